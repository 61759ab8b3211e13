"""The worker's task, one call into `icecream.payments`, and the notification that starts it."""

import asyncio
import logging
import time
from collections.abc import Sequence

from icecream import database, settings
from icecream.runtime import logs
from tasks.broker import (
    NOTIFY_ERRORS,
    NOTIFY_TIMEOUT_SECONDS,
    OUTAGE_EFFECT,
    RETRY_DELAY_SECONDS,
    RedisBroker,
    broker,
)

log = logging.getLogger(__name__)
# Readiness waits this long for Redis: a load balancer allows one second in total.
READINESS_TIMEOUT_SECONDS = 0.3


@broker.task("payments.charge")
async def carry_out_payments(payments: list[int], customers: Sequence[int] = ()) -> None:
    """Carry out these payments unless another worker has; a sweep finds the remaining ones.

    `customers` are their customers, if known, in the same order.
    """
    # Taskiq would log a traceback for each message, even while the database is unavailable.
    with logs.log_errors(log, "Carrying out payments after a notification"):
        try:
            await broker.state.executor.execute(payments, customers)
        except database.DATABASE_UNAVAILABLE as error:
            logs.DATABASE_OUTAGE.record_failure(error)


def can_notify() -> bool:
    """Return whether workers can be notified; with PostgreSQL but no Redis they only sweep."""
    current = settings.load()
    return current.embedded or current.redis_url is not None


async def notify_workers(payments: list[int], customers: Sequence[int] = ()) -> None:
    """Notify workers of payments to be carried out, if there are any.

    Errors are only logged: the payments are committed, and a sweep finds them.
    """
    if payments and can_notify():
        with logs.log_errors(log, "The notification of the workers"):
            await _send_notification(payments, customers)


async def _send_notification(payments: list[int], customers: Sequence[int]) -> None:
    if isinstance(broker, RedisBroker):
        if (
            broker.unavailable_since is not None
            and time.monotonic() - broker.unavailable_since < RETRY_DELAY_SECONDS
        ):
            return
        try:
            async with asyncio.timeout(NOTIFY_TIMEOUT_SECONDS):
                await carry_out_payments.kiq(payments, customers)
        except NOTIFY_ERRORS as error:
            broker.record_failure(error)
        else:
            broker.record_success()
    else:
        await carry_out_payments.kiq(payments, customers)


async def redis_is_unavailable() -> bool | None:
    """Return whether Redis cannot be written or read right now; None if Redis is not used."""
    if not isinstance(broker, RedisBroker):
        return None
    return await broker.is_unavailable(NOTIFY_TIMEOUT_SECONDS)


async def redis_warnings() -> list[str]:
    """Return warnings for the operator about notifications."""
    if isinstance(broker, RedisBroker) and await broker.is_unavailable(READINESS_TIMEOUT_SECONDS):
        return [f"Redis is unavailable ({broker.last_error}){OUTAGE_EFFECT}."]
    return []
