"""The start of servers and workers: a ready database, a port, counters of several processes."""

import logging.config
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import click

from icecream import settings
from icecream.cli.commands import log_configuration


async def prepare() -> None:
    """Configure the log, and check the database; with SQLite, also create or migrate it."""
    from icecream import bootstrap, database

    # Every long-running process begins here, also one that only supervises others.
    logging.config.dictConfig(log_configuration("INFO"))
    async with database.open_pool():
        await bootstrap.prepare_database(click.echo)


def share_connections(processes: int) -> None:
    """Divide the database connections of a command among the processes that it will start.

    So the number of processes may grow without exceeding the limit of the server.
    """
    share = settings.load().database_connections // processes
    os.environ[f"{settings.VARIABLE_PREFIX}DATABASE_CONNECTIONS"] = str(
        max(settings.MIN_DATABASE_CONNECTIONS, share)
    )


@contextmanager
def shared_metrics(processes: int) -> Iterator[None]:
    """Share the counters of several processes in one folder; each can then answer for all."""
    if processes == 1:
        yield
        return
    # In memory if possible, unless TMPDIR is set: counting must not wait for a disk.
    # The folder in it gets a random name, and only its owner may enter it.
    memory = "/dev/shm"  # nosec B108
    parent = memory if "TMPDIR" not in os.environ and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="icecream-metrics-", dir=parent) as folder:
        # `instrumentation` reads this variable, here and in all child processes.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


def listen(host: str, port: int, hint: str) -> socket.socket:
    """Return a socket on this port.

    Raises:
        ValueError: the port cannot be used; `hint` says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise ValueError(f"cannot listen on {host}:{port} ({error.strerror}): {hint}") from None
    listener.set_inheritable(True)
    return listener
