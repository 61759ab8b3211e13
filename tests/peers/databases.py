"""Start extra PostgreSQL servers, a standby, and PgBouncer in front of any of them.

Each listens on a free port of 127.0.0.1 and ends with the process that started it.
"""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from tests import servers
from tests.conftest import tool
from tests.processes import until

PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
"""


def ask(url: str, query: str) -> list[dict[str, Any]]:
    """Run a query over a new connection and return the rows."""

    async def once() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(once())


def answers(url: str) -> bool:
    with suppress(OSError, TimeoutError, asyncpg.PostgresError):
        return bool(ask(url, "SELECT 1"))
    return False


@dataclass
class Cluster:
    """A PostgreSQL server with its own data folder."""

    programs: Path
    data: Path
    server: servers.Server

    @property
    def url(self) -> str:
        return self.server.url

    def restart(self) -> None:
        """Restart after a fast shutdown, in which the server ends every connection."""
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
        until(lambda: not (self.data / "postmaster.pid").exists(), "it ends")
        self.server.stop()
        self.server.start()

    def run(self, program: str, *words: str) -> None:
        command = [*servers.without_root(), str(self.programs / program), *words]
        subprocess.run(command, check=True, capture_output=True)


def programs_of(name: str) -> Path:
    """Return the folder with the programs of a PostgreSQL."""
    postgres = tool(name)
    assert postgres
    folder = Path(postgres).parent
    # npm runs no install scripts here. The script of this package would make these links.
    links = folder.parent / "pg-symlinks.json"
    for link in json.loads(links.read_text()) if links.exists() else []:
        with suppress(FileExistsError):
            source = Path(link["source"]).name
            (folder.parent.parent / link["target"]).symlink_to(source)
    return folder


@contextmanager
def _served(programs: Path, data: Path, *settings: str) -> Iterator[Cluster]:
    port = servers.free_port()
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    command = [*servers.without_root(), str(programs / "postgres"), f"-D{data}", f"--port={port}"]
    command += [*servers.SETTINGS, *settings]
    server = servers.Server(url, port, command, lambda: answers(url), data.parent / "log")
    with servers.running(server):
        yield Cluster(programs, data, server)


@contextmanager
def postgres(name: str, folder: Path, *settings: str) -> Iterator[Cluster]:
    """Start a new server with the programs of that name."""
    programs = programs_of(name)
    with _served(programs, servers.make_cluster(folder, programs), *settings) as cluster:
        yield cluster


@contextmanager
def standby(primary: Cluster, folder: Path) -> Iterator[Cluster]:
    """Start a standby that follows the primary."""
    folder.mkdir()
    if servers.without_root():
        os.chown(folder, *servers.nobody())
    data = folder / "data"
    primary.run("pg_basebackup", f"-D{data}", f"-d{primary.url}", "-R", "-Xstream", "-cfast")
    with _served(primary.programs, data) as cluster:
        yield cluster


@contextmanager
def pgbouncer(server: str, folder: Path, mode: str, size: int = 20) -> Iterator[str]:
    """Start PgBouncer with `size` connections to the server; yield the address behind it."""
    parts, port = urlsplit(server), servers.free_port()
    folder.mkdir()
    (folder / "users").write_text('"postgres" ""\n')
    config = folder / "pgbouncer.ini"
    config.write_text(
        PGBOUNCER.format(server=parts.port, port=port, folder=folder, mode=mode, size=size)
    )
    url = f"postgresql://postgres@127.0.0.1:{port}{parts.path}"
    command = [*servers.without_root(), tool("pgbouncer") or "", str(config)]
    one = servers.Server(url, port, command, lambda: answers(url), folder / "log")
    with servers.running(one):
        yield url
