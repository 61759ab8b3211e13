"""The counts of attempts to sign in: in Redis for all processes, or in the memory of this one.

Only sign-ins are counted in Redis, because a round trip would cost more than the rest of a request.
Checking a password takes longer than any of these calls.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from icecream import settings
from icecream.runtime import logs

# Then this process counts alone.
REDIS_TIMEOUT_SECONDS = 0.5
# However many attempts there are at once.
MAX_REDIS_CONNECTIONS = 4
_outage = logs.Outage(
    logging.getLogger(__name__), "Redis", "; each process counts attempts to sign in alone"
)


class LoginCounts:
    """The counts in one storage; each call is atomic."""

    def __init__(self, storage: Storage) -> None:
        self.storage, self.limiter = storage, FixedWindowRateLimiter(storage)


@cache
def in_memory() -> LoginCounts:
    """Return the counts of this process."""
    return LoginCounts(MemoryStorage())


@cache
def _pool(address: str) -> Any:
    """Return the connections of this process."""
    from redis.asyncio import BlockingConnectionPool

    return BlockingConnectionPool.from_url(
        address,
        max_connections=MAX_REDIS_CONNECTIONS,
        timeout=REDIS_TIMEOUT_SECONDS,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )


@cache
def _in_redis(address: str, prefix: str) -> LoginCounts:
    storage = RedisStorage(
        "async+redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=f"{prefix}:logins",
        connection_pool=_pool(address),
    )
    return LoginCounts(storage)


async def close() -> None:
    """Close the connections to Redis; they open again when they are needed."""
    address = settings.load().redis_url
    if address is not None:
        await _pool(address).disconnect()


async def use(work: Callable[[LoginCounts], Awaitable[None]]) -> None:
    """Do this with the counts in Redis; without Redis, or if it fails, with those in memory."""
    current = settings.load()
    if current.redis_url is not None:
        try:
            await work(_in_redis(current.redis_url, current.redis_prefix))
        except StorageError as error:
            _outage.record_failure(error)
        else:
            _outage.record_success()
            return
    await work(in_memory())
