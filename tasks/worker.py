"""A worker: the desk, what hears the bell, and the sweep; started and stopped together."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskiq.receiver import Receiver

from icecream import gateway, keys, settings
from icecream.payments import Desk, notices, reconciliation
from tasks import payments, sweep
from tasks.broker import broker

log = logging.getLogger(__name__)
# Payments in flight: they only wait for the provider.
CONCURRENCY = 50
# Seconds for what is under way when the process is told to stop; all of it ends within ten.
GRACE = 6.0
# Seconds for the listener to say goodbye to Redis.
LAST_WORDS = 1.0
# Seconds between two looks for keys and notices whose time is over, and for lists that are to be
# compared.
PRUNE = 60.0


@asynccontextmanager
async def working(concurrency: int = CONCURRENCY) -> AsyncIterator[None]:
    """Carry payments out, at most so many at a time, until the block ends."""
    current = settings.load()
    provider = gateway.chosen(current)
    lease, timeout = current.lease, current.payment_timeout
    desk = Desk(provider, places=concurrency, lease=lease, timeout=timeout)
    inbox = notices.Inbox(provider, lease=lease, timeout=timeout)
    broker.state.desk = desk
    broker.is_worker_process = True
    sweepers = {
        asyncio.create_task(sweep.run(desk.sweep, current.sweep_every), name="sweep"),
        asyncio.create_task(sweep.run(inbox.sweep, current.sweep_every), name="inbox"),
        asyncio.create_task(sweep.run(keys.prune, PRUNE), name="prune of keys"),
        asyncio.create_task(sweep.run(notices.prune, PRUNE), name="prune of notices"),
        asyncio.create_task(
            sweep.run(lambda: reconciliation.run_due(provider), PRUNE), name="reconcile"
        ),
    }
    stop, jobs = asyncio.Event(), set(sweepers)
    if payments.has_bell():
        receiver = Receiver(
            broker, max_async_tasks=concurrency, run_startup=False, wait_tasks_timeout=GRACE
        )
        jobs.add(asyncio.create_task(receiver.listen(stop), name="bell"))
    for job in jobs:
        job.add_done_callback(_tell)
    try:
        yield
    finally:
        stop.set()
        for sweeper in sweepers:
            sweeper.cancel()
        await desk.close(GRACE)
        await provider.close()
        await asyncio.wait(jobs, timeout=LAST_WORDS)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


def _tell(job: asyncio.Task[None]) -> None:
    if not job.cancelled() and (error := job.exception()):
        log.error("The %s stopped: %r", job.get_name(), error, exc_info=error)
