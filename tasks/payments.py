"""What the worker runs: one line into `icecream.payments`; and the bell that asks for it."""

import asyncio
import logging
import time
from collections.abc import Sequence

from redis.exceptions import RedisError
from taskiq.exceptions import SendTaskError

from icecream import database, logs, settings
from tasks.broker import GO_ON, REST, RING_TIMEOUT, Stream, broker

log = logging.getLogger(__name__)
# Seconds that readiness waits for Redis: a load balancer gives it one in all.
READY_WAITS = 0.3


@broker.task("payments.charge")
async def charge(payments: list[int], customers: Sequence[int] = ()) -> None:
    """Carry these payments out, as far as nobody else has; a sweep finds what was left undone.

    `customers` are theirs, in the same order, where they are known.
    """
    # Taskiq would write a traceback for each message, also while the database is away.
    with logs.contained(log, "Carrying out payments that were rung for"):
        try:
            await broker.state.desk.serve(payments, customers)
        except database.AWAY as error:
            logs.DATABASE.failed(error)


def has_bell() -> bool:
    """PostgreSQL without Redis has none; its workers sweep."""
    current = settings.load()
    return current.embedded or current.redis_url is not None


async def ring(payments: list[int], customers: Sequence[int] = ()) -> None:
    """Say that these payments are to be carried out; who does not hear it, sweeps."""
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
    """Whether Redis cannot be written or read right now; None where none is used."""
    if not isinstance(broker, Stream):
        return None
    return await broker.is_away(RING_TIMEOUT)


async def warnings() -> list[str]:
    """What an operator should know about the bell."""
    if isinstance(broker, Stream) and await broker.is_away(READY_WAITS):
        return [f"Redis is away ({broker.said}){GO_ON}."]
    return []
