"""A worker: the desk, the listener for notifications, and the sweeps, started together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from taskiq.receiver import Receiver

from icecream import settings
from icecream.idempotency import keys
from icecream.payments import providers, reconciliation, webhook_inbox
from icecream.payments.executor import Executor
from icecream.runtime import background
from tasks import notify, sweep
from tasks.broker import broker

# The maximum number of payments in flight. Each only waits for the provider.
CONCURRENCY = 50
# Seconds for running payments when the process is stopped. The whole stop takes at most ten.
GRACE = 6.0
# Seconds for the listener to leave Redis.
LAST_WORDS = 1.0
# Seconds between two searches for expired keys, old notices, and a due reconciliation.
PRUNE = 60.0
Step = Callable[[], Awaitable[bool]]


@asynccontextmanager
async def working(concurrency: int = CONCURRENCY) -> AsyncIterator[None]:
    """Carry payments out, at most `concurrency` at a time, until the block ends."""
    current = settings.load()
    provider = providers.create_gateway(current)
    lease, timeout = current.lease, current.payment_timeout
    desk = Executor(provider, slots=concurrency, lease_seconds=lease, timeout=timeout)
    inbox = webhook_inbox.WebhookInbox(provider, lease_seconds=lease, timeout=timeout)
    broker.state.desk = desk
    broker.is_worker_process = True
    sweepers = {
        _sweeper("sweep of payments", desk.sweep, current.sweep_every),
        _sweeper("sweep of notices", inbox.sweep, current.sweep_every),
        _sweeper("prune of keys", keys.prune_keys, PRUNE),
        _sweeper("prune of notices", webhook_inbox.prune_events, PRUNE),
        _sweeper("reconciliation", lambda: reconciliation.reconcile_if_due(provider), PRUNE),
    }
    stop, jobs = asyncio.Event(), set(sweepers)
    if notify.has_bell():
        jobs.add(background.start("bell", lambda: _listen(stop, concurrency)))
    try:
        yield
    finally:
        stop.set()
        for sweeper in sweepers:
            sweeper.cancel()
        await desk.close(GRACE)
        await provider.close()
        await asyncio.wait(jobs, timeout=LAST_WORDS)
        await background.cancel(jobs)


def _sweeper(name: str, step: Step, every: float) -> asyncio.Task[None]:
    return background.start(name, lambda: sweep.run(step, every))


async def _listen(stop: asyncio.Event, concurrency: int) -> None:
    """Listen for notifications until the worker stops."""
    receiver = Receiver(
        broker, max_async_tasks=concurrency, run_startup=False, wait_tasks_timeout=GRACE
    )
    await receiver.listen(stop)
    if not stop.is_set():
        raise RuntimeError("the listener ended by itself")
