"""`icecream serve`: the service, in one process or in several."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import nullcontext, suppress
from typing import Any

import click
import uvicorn
from uvicorn.supervisors import Multiprocess

from icecream import settings
from icecream.cli import startup
from icecream.cli.commands import errors_in_one_line, log_configuration, main
from icecream.http import request_limits
from icecream.runtime import garbage_collection, optional_imports, shutdown

# The time for open requests after the stop signal; then payments have six more seconds.
REQUEST_GRACE_SECONDS = 2


@main.command()
@click.option("--host", help="The address to listen on (ICECREAM_HOST).")
@click.option("--port", type=int, help="The port to listen on (ICECREAM_PORT).")
@click.option("--workers", type=click.IntRange(1), default=1, help="The number of processes.")
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Serve the API, the pages and the docs.

    With SQLite, it also carries out payments.
    """
    # Set in the environment, so that further processes use the same values.
    for name, value in (("ICECREAM_HOST", host), ("ICECREAM_PORT", port)):
        if value is not None:
            os.environ[name] = str(value)
    with errors_in_one_line():
        current = settings.load()
        if current.embedded and workers > 1:
            raise ValueError("SQLite allows only one process: remove --workers.")
        from icecream import database

        with (
            database.DB.lock_for_serving()
            if isinstance(database.DB, database.SQLite)
            else nullcontext(),
            startup.shared_metrics(workers),
        ):
            hint = "set ICECREAM_PORT to a free port, ICECREAM_HOST to an address of this machine."
            listener = startup.listen(current.host, current.port, hint)
            asyncio.run(startup.prepare())
            startup.share_connections(workers)
            _run_server(current, workers, listener)


def _print_addresses() -> None:
    """Print the addresses of the service."""
    address = settings.load().address
    click.echo(
        f"Ice cream at {address}/\n"
        f"  Dashboard {address}/dashboard/\n"
        f"  Shop      {address}/shop/\n"
        f"  Database  {address}/admin/\n"
        f"  API docs  {address}/schema",
    )


class OneServer(uvicorn.Server):
    """A server that prints its addresses when its port answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _print_addresses()


class SeveralServers(Multiprocess):
    """Several server processes; prints their addresses when the first one answers."""

    announced = False

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        if not self.announced and any(process.is_ready(timeout=1) for process in self.processes):
            self.announced = True
            _print_addresses()


def create_app() -> Any:
    """Import and return the ASGI application, in the process that will serve it."""
    # Litestar also writes the API document as YAML, but ours is only JSON.
    with garbage_collection.paused(), optional_imports.replaced("yaml"):
        from icecream import app

        return app.create()


def _run_server(current: settings.Settings, workers: int, listener: socket.socket) -> None:
    config = uvicorn.Config(
        "icecream.cli.serve:create_app",
        factory=True,
        workers=workers,
        http=request_limits.LimitedConnection,
        timeout_keep_alive=current.keepalive,
        log_config=log_configuration("INFO"),
        access_log=False,
        ws="none",
        server_header=False,
        proxy_headers=bool(current.trusted_proxies),
        forwarded_allow_ips=list(current.trusted_proxies),
        timeout_graceful_shutdown=REQUEST_GRACE_SECONDS,
    )
    # uvicorn ends by raising again the signal that stopped it; that is not a failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        if workers > 1:
            servers = SeveralServers(config, sockets=[listener])
            servers.run()
            shutdown.exit_if_forced(process.exitcode for process in servers.processes)
        else:
            server = OneServer(config)
            server.run(sockets=[listener])
            if not server.started:
                sys.exit(3)
