"""A worker: the executor of payments, the notification listener and the periodic tasks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from icecream import settings
from icecream.idempotency import keys
from icecream.payments import MAX_PAYMENTS_IN_FLIGHT, providers, reconciliation, webhook_inbox
from icecream.payments.executor import Executor
from icecream.runtime import background
from icecream.webhooks import deliveries, queueing
from icecream.webhooks.delivering import Deliverer
from tasks import notify, periodic
from tasks.broker import broker, listen

# The time for running payments when the process stops. The whole stop takes at most ten seconds.
SHUTDOWN_GRACE_SECONDS = 6.0
# The time for the listener to leave Redis.
LISTENER_STOP_SECONDS = 1.0
# The interval of the searches for expired keys, old webhook events, and a due reconciliation.
PRUNE_INTERVAL_SECONDS = 60.0
# The interval of the searches for new events and due deliveries of webhooks.
WEBHOOK_INTERVAL_SECONDS = 0.5
Step = Callable[[], Awaitable[bool]]


@asynccontextmanager
async def run_worker(concurrency: int = MAX_PAYMENTS_IN_FLIGHT) -> AsyncIterator[None]:
    """Carry payments out, at most `concurrency` at a time, until the block ends."""
    current = settings.load()
    provider = providers.create_provider(current)
    lease, timeout = current.lease, current.payment_timeout
    executor = Executor(provider, slots=concurrency, lease_seconds=lease, timeout=timeout)
    inbox = webhook_inbox.WebhookInbox(provider, lease_seconds=lease, timeout=timeout)
    deliverer = Deliverer(current.webhook_private_networks)
    broker.state.executor = executor
    broker.is_worker_process = True
    periodic_tasks = {
        _start_periodic("sweep of payments", executor.sweep, current.sweep_every),
        _start_periodic("sweep of the webhook inbox", inbox.sweep, current.sweep_every),
        _start_periodic("prune of keys", keys.prune_keys, PRUNE_INTERVAL_SECONDS),
        _start_periodic(
            "prune of the webhook inbox", webhook_inbox.prune_events, PRUNE_INTERVAL_SECONDS
        ),
        _start_periodic("queue of webhooks", queueing.queue_events, WEBHOOK_INTERVAL_SECONDS),
        _start_periodic("prune of webhooks", deliveries.prune_deliveries, PRUNE_INTERVAL_SECONDS),
        _start_periodic("sweep of webhooks", deliverer.sweep, WEBHOOK_INTERVAL_SECONDS),
        _start_periodic(
            "reconciliation",
            lambda: reconciliation.reconcile_if_due(provider),
            PRUNE_INTERVAL_SECONDS,
        ),
    }
    stop, jobs = asyncio.Event(), set(periodic_tasks)
    if notify.can_notify():
        jobs.add(
            background.start_task(
                "notification listener",
                lambda: listen(stop, concurrency, SHUTDOWN_GRACE_SECONDS),
            )
        )
    try:
        yield
    finally:
        stop.set()
        for task in periodic_tasks:
            task.cancel()
        await asyncio.gather(
            executor.close(SHUTDOWN_GRACE_SECONDS), deliverer.close(SHUTDOWN_GRACE_SECONDS)
        )
        await provider.close()
        await asyncio.wait(jobs, timeout=LISTENER_STOP_SECONDS)
        await background.cancel_tasks(jobs)


def _start_periodic(name: str, step: Step, interval: float) -> asyncio.Task[None]:
    return background.start_task(name, lambda: periodic.run_periodically(step, interval))
