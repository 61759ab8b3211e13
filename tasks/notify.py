"""The worker's task, one call into `icecream.payments`, and the notification that starts it."""

import asyncio
import logging
import time
from collections.abc import Sequence

from redis.exceptions import RedisError
from taskiq.exceptions import SendTaskError

from icecream import database, settings
from icecream.runtime import logs
from tasks.broker import GO_ON, REST, RING_TIMEOUT, Stream, broker

log = logging.getLogger(__name__)
# Seconds that readiness waits for Redis: a load balancer allows one second in total.
READY_WAITS = 0.3


@broker.task("payments.charge")
async def charge(payments: list[int], customers: Sequence[int] = ()) -> None:
    """Carry out these payments unless another worker has; a sweep finds the payments left.

    `customers` are their customers, if known, in the same order.
    """
    # Taskiq would log a traceback for each message, also while the database is away.
    with logs.contained(log, "Carrying out payments that were rung for"):
        try:
            await broker.state.desk.execute(payments, customers)
        except database.AWAY as error:
            logs.DATABASE.failed(error)


def has_bell() -> bool:
    """Return whether workers can be notified; with PostgreSQL but no Redis they only sweep."""
    current = settings.load()
    return current.embedded or current.redis_url is not None


async def ring(payments: list[int], customers: Sequence[int] = ()) -> None:
    """Notify workers of payments to be carried out; a sweep finds them if this fails."""
    if not has_bell():
        return
    if isinstance(broker, Stream):
        if broker.away_since is not None and time.monotonic() - broker.away_since < REST:
            return
        try:
            async with asyncio.timeout(RING_TIMEOUT):
                await charge.kiq(payments, customers)
        except (SendTaskError, RedisError, OSError, TimeoutError) as error:
            broker.note_away(error)
        else:
            broker.note_answer()
    else:
        await charge.kiq(payments, customers)


async def redis_is_away() -> bool | None:
    """Return whether Redis cannot be written or read right now; None if Redis is not used."""
    if not isinstance(broker, Stream):
        return None
    return await broker.is_away(RING_TIMEOUT)


async def warnings() -> list[str]:
    """Return warnings for the operator about notifications."""
    if isinstance(broker, Stream) and await broker.is_away(READY_WAITS):
        return [f"Redis is away ({broker.said}){GO_ON}."]
    return []
