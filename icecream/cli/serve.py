"""The long-running processes: servers and workers."""

import asyncio
import gc
import logging.config
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress

import click
import uvicorn
from uvicorn.supervisors import Multiprocess

from icecream import settings
from icecream.cli.commands import errors_in_one_line, log_configuration, main
from icecream.http import connections
from icecream.runtime import shutdown

# The time for open requests after the stop signal; then payments have six more seconds.
REQUEST_GRACE_SECONDS = 2
# The longest time from the signal to the end of a worker, even if the database hangs.
STOP_SECONDS = 9


@main.command()
@click.option("--host", help="The address to listen on (ICECREAM_HOST).")
@click.option("--port", type=int, help="The port to listen on (ICECREAM_PORT).")
@click.option("--workers", type=click.IntRange(1), default=1, help="The number of processes.")
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Serve the API, the admin and the docs; with SQLite, also carry out payments."""
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
            _shared_metrics(workers),
        ):
            hint = "set ICECREAM_PORT to a free port, ICECREAM_HOST to an address of this machine."
            listener = _listen(current.host, current.port, hint)
            asyncio.run(_prepare())
            _run_server(current, workers, listener)


async def _prepare() -> None:
    from icecream import bootstrap, database

    # Every long-running process begins here, also one that only supervises others.
    logging.config.dictConfig(log_configuration("INFO"))
    async with database.open_pool():
        await bootstrap.prepare_database(click.echo)


@contextmanager
def _shared_metrics(processes: int) -> Iterator[None]:
    """Share the counters of several processes in one folder; each can then answer for all."""
    if processes == 1:
        yield
        return
    # In memory if possible, unless TMPDIR is set: counting must not wait for a disk.
    in_memory = "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK)
    parent = "/dev/shm" if in_memory else None
    with tempfile.TemporaryDirectory(prefix="icecream-metrics-", dir=parent) as folder:
        # `counters` reads this variable, here and in all child processes.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


def _listen(host: str, port: int, hint: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise ValueError(f"cannot listen on {host}:{port} ({error.strerror}): {hint}") from None
    listener.set_inheritable(True)
    return listener


def _print_addresses() -> None:
    """Print the addresses of the service."""
    address = settings.load().address
    click.echo(
        f"Ice cream at {address}/\n"
        f"  API docs  {address}/schema\n"
        f"  Dashboard {address}/dashboard/\n"
        f"  Admin     {address}/admin/",
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


def _run_server(current: settings.Settings, workers: int, listener: socket.socket) -> None:
    config = uvicorn.Config(
        "icecream.app:create",
        factory=True,
        workers=workers,
        http=connections.ClientConnection,
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
            _exit_if_forced(process.exitcode for process in servers.processes)
        else:
            server = OneServer(config)
            server.run(sockets=[listener])
            if not server.started:
                sys.exit(3)


def _exit_if_forced(codes: Iterable[int | None]) -> None:
    """Exit with FORCED_STOP if one of several processes had to be stopped by force."""
    if shutdown.FORCED_STOP_EXIT_CODE in codes:
        sys.exit(shutdown.FORCED_STOP_EXIT_CODE)


@main.command()
@click.option("--processes", type=click.IntRange(1), default=1, help="The number of processes.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=50,
    help="The number of payments in flight per process.",
)
@click.option(
    "--metrics-port", type=click.IntRange(1, 65535), help="The port on which to serve /metrics."
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    help="The address on which to serve /metrics.",
)
# A worker passes this option to each of its processes.
@click.option(
    "--kept", "is_supervised", is_flag=True, hidden=True, help="Stop when standard input ends."
)
def worker(
    processes: int,
    concurrency: int,
    metrics_port: int | None,
    metrics_host: str,
    is_supervised: bool,
) -> None:
    """Carry out payments; with PostgreSQL, next to `serve`, as many workers as you like."""
    # First, because the next line imports the counters, which look for the folder.
    with _shared_metrics(processes if metrics_port else 1), errors_in_one_line():
        if settings.load().embedded:
            raise ValueError("with SQLite, `icecream serve` also carries out the payments.")
        listener = None
        if metrics_port:
            hint = (
                "set --metrics-port to a free port, --metrics-host to an address of this machine."
            )
            listener = _listen(metrics_host, metrics_port, hint)
        asyncio.run(_prepare())
        if processes > 1:
            _exit_if_forced(asyncio.run(_run_workers(processes, concurrency, listener)))
        else:
            asyncio.run(_run_worker(concurrency, is_supervised, listener))


def _stop_signal() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


def _stop_at_end_of_input(stop: asyncio.Event) -> None:
    from icecream.runtime import instrumentation

    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(sys.stdin)
        instrumentation.remove_folder()
        stop.set()

    loop.add_reader(sys.stdin, ended)


@asynccontextmanager
async def _open_services(listener: socket.socket | None) -> AsyncIterator[None]:
    """Open the database, the broker and the feed, and serve /metrics on `listener`."""
    from icecream import database
    from icecream.http import metrics
    from tasks import broker, notify
    from tasks.publishing import run_publisher

    page = metrics.MetricsPage(notify.redis_is_unavailable)
    serving = metrics.serve_metrics(listener, page) if listener else nullcontext()
    async with database.open_pool("worker"), broker.open_broker(), run_publisher(), serving:
        yield


async def _run_worker(
    concurrency: int, is_supervised: bool, listener: socket.socket | None
) -> None:
    from tasks.worker import run_worker

    stop = _stop_signal()
    if is_supervised:
        _stop_at_end_of_input(stop)
    async with _open_services(listener), run_worker(concurrency):
        # As in `app`: the garbage collector need not scan the objects that exist by now.
        gc.collect()
        gc.freeze()
        click.echo(f"Charging payments, {concurrency} at a time.")
        await stop.wait()
        shutdown.force_exit_after(STOP_SECONDS)


async def _run_workers(
    processes: int, concurrency: int, listener: socket.socket | None
) -> list[int]:
    """Keep several worker processes running until the stop signal; return their exit codes."""
    stop = _stop_signal()
    supervisors = [
        asyncio.create_task(_keep_worker_running(stop, concurrency)) for _ in range(processes)
    ]
    stopping = asyncio.create_task(stop.wait())
    # Closed before the workers have ended, because closing may take as long as their end.
    async with _open_services(listener) if listener else nullcontext():
        await asyncio.wait({stopping, *supervisors}, return_when=asyncio.FIRST_COMPLETED)
    # Wait for all of them, even if one fails: no worker may run unsupervised.
    await asyncio.wait(supervisors)
    return await asyncio.gather(*supervisors)


async def _keep_worker_running(stop: asyncio.Event, concurrency: int) -> int:
    """Keep one worker running until the stop signal, and return the last exit code."""
    options = ["--concurrency", str(concurrency), "--kept"]
    command = [sys.executable, "-m", "icecream", "worker", *options]
    stopping = asyncio.ensure_future(stop.wait())
    code = 0
    while not stop.is_set():
        # The pipe closes when this process ends, even by SIGKILL; then the worker ends too.
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
        # The worker was killed, or could not start without the database. The next one may
        # succeed, but the pause below avoids a busy loop.
        code = await ended
        await asyncio.wait({stopping}, timeout=1)
    return code
