"""`icecream worker`: carries payments out, in one process or in several that it supervises."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import click

from icecream import settings
from icecream.cli import startup
from icecream.cli.commands import errors_in_one_line, main
from icecream.payments import MAX_PAYMENTS_IN_FLIGHT
from icecream.runtime import garbage_collection, shutdown

# The longest time from the signal to the end of a worker, even if the database hangs.
STOP_SECONDS = 9


@main.command()
@click.option("--processes", type=click.IntRange(1), default=1, help="The number of processes.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=MAX_PAYMENTS_IN_FLIGHT,
    show_default=True,
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
    """Carry out payments, next to `serve`.

    With PostgreSQL, as many workers as you like.
    """
    # First, because the next line imports the counters, which look for the folder.
    with startup.shared_metrics(processes if metrics_port else 1), errors_in_one_line():
        if settings.load().embedded:
            raise ValueError("with SQLite, `icecream serve` also carries out the payments.")
        listener = None
        if metrics_port:
            hint = (
                "set --metrics-port to a free port, --metrics-host to an address of this machine."
            )
            listener = startup.listen(metrics_host, metrics_port, hint)
        asyncio.run(startup.prepare())
        startup.share_connections(processes)
        if processes > 1:
            shutdown.exit_if_forced(asyncio.run(_run_workers(processes, concurrency, listener)))
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
    with garbage_collection.paused():
        from icecream import database
        from icecream.http import metrics
        from tasks import broker, notify
        from tasks.publishing import run_publisher
        from tasks.totals import update_totals

    page = metrics.MetricsPage(notify.redis_is_unavailable)
    serving = metrics.serve_metrics(listener, page) if listener else nullcontext()
    async with (
        database.open_pool("worker"),
        broker.open_broker(),
        run_publisher(),
        update_totals(),
        serving,
    ):
        yield


async def _run_worker(
    concurrency: int, is_supervised: bool, listener: socket.socket | None
) -> None:
    with garbage_collection.paused():
        from tasks.worker import run_worker

    stop = _stop_signal()
    if is_supervised:
        _stop_at_end_of_input(stop)
    async with _open_services(listener), run_worker(concurrency):
        garbage_collection.ignore_current_objects()
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
