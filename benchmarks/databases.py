"""The PostgreSQL and Redis that a run uses: `BENCH_POSTGRES` and `BENCH_REDIS`.

Each service gets its own database and its own keys there, which are deleted with the service.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis

from benchmarks import commands

POSTGRES = os.environ.get("BENCH_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/9")


def psql(address: str, query: str) -> str:
    """Return the plain result of a query."""
    return commands.run_command("psql", address, "-XAtqv", "ON_ERROR_STOP=1", "-c", query)


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of an empty PostgreSQL database, and drop the database at the end."""
    name = f"icecream_bench_{os.getpid()}_{time.monotonic_ns()}"
    psql(POSTGRES, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
    finally:
        psql(POSTGRES, f"DROP DATABASE {name} WITH (FORCE)")


def size(address: str) -> float:
    """Return the size of a database in MB."""
    return float(psql(address, "SELECT pg_database_size(current_database())")) / 1e6


@contextmanager
def snapshot(address: str) -> Iterator[None]:
    """Hold an idle snapshot of a database, like a forgotten session or a long dump."""
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM job;"
    session = subprocess.Popen(
        ["psql", address, "-XAtq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(f"{begin}\n")
    session.stdin.flush()
    session.stdout.readline()
    try:
        yield
    finally:
        session.communicate()


@contextmanager
def prefix() -> Iterator[str]:
    """Yield a prefix for keys in Redis, and delete these keys at the end."""
    name = f"icecream-bench-{os.getpid()}-{time.monotonic_ns()}"
    try:
        yield name
    finally:
        with redis.Redis.from_url(REDIS) as client:
            for key in client.scan_iter(f"{name}*"):
                client.delete(key)
