"""The one Taskiq broker, in this process or on a Redis Stream: a doorbell, not the truth.

What a message asks for is a row in the database already, so a message may be lost, doubled or late.
That is why the stream is read without acknowledgements: nothing stays pending under the name of a
worker that died, and nothing needs to be reclaimed; the sweep finds what was not done.
"""

import asyncio
import contextlib
import logging
import socket
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from taskiq import AsyncBroker, BrokerMessage
from taskiq_redis import RedisStreamBroker

from icecream import settings

log = logging.getLogger(__name__)
# Messages that may wait: with more work than that, a sweep finds it just as soon.
LONGEST_QUEUE = 10_000
LONGEST_STREAM = 100_000
# Seconds that ringing may take, and that we leave an unreachable Redis alone.
RING_TIMEOUT, REST = 1.0, 2.0


class InProcess(AsyncBroker):
    """A queue in memory, for the one process that both takes orders and charges them."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(LONGEST_QUEUE)

    async def kick(self, message: BrokerMessage) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait(message.message)

    async def listen(self) -> AsyncGenerator[bytes, None]:
        while True:
            yield await self.queue.get()


class Stream(RedisStreamBroker):
    """taskiq-redis's stream, read by a listener that outlives Redis and strange entries."""

    away_since: float | None = None

    async def startup(self) -> None:
        # The group is made when it is first read from: Redis may be down right now.
        await AsyncBroker.startup(self)

    async def listen(self) -> AsyncGenerator[bytes, None]:  # type: ignore[override]  # no acks
        while True:
            try:
                async with Redis(connection_pool=self.connection_pool) as redis:
                    while True:
                        for message in await self._read(redis):
                            yield message
            except (RedisError, OSError) as error:
                if not await self._has_group_again(error):
                    await self._rest(error)

    async def _has_group_again(self, error: Exception) -> bool:
        """Whether that was Redis being new, or flushed, and it could be mended."""
        if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
            return False
        try:
            async with Redis(connection_pool=self.connection_pool) as redis:
                # From the start of the stream: what came before us counts too.
                await redis.xgroup_create(
                    self.queue_name, self.consumer_group_name, id=self.consumer_id, mkstream=True
                )
        except (RedisError, OSError) as refused:
            # Another worker was faster; or Redis is full or read-only, and asking again at once
            # would keep us busy for nothing.
            return str(refused).startswith("BUSYGROUP")
        return True

    async def _read(self, redis: Redis) -> list[bytes]:
        fetched: Any = await redis.xreadgroup(
            self.consumer_group_name,
            self.consumer_name,
            {self.queue_name: ">"},
            count=self.count,
            block=self.block,
            noack=True,
        )
        self.note_answer()
        entries = [entry for _, stream in fetched or () for _, entry in stream]
        return [entry[b"data"] for entry in entries if b"data" in entry]

    async def _rest(self, error: Exception) -> None:
        self.note_away(error)
        await asyncio.sleep(REST)

    def note_away(self, error: Exception) -> None:
        if self.away_since is None:
            what = error.__cause__ or error  # Taskiq's own error says nothing.
            log.warning("Redis is away (%s); payments go on by sweeping.", str(what) or repr(what))
        self.away_since = time.monotonic()

    def note_answer(self) -> None:
        if self.away_since is not None:
            log.warning("Redis is back.")
        self.away_since = None

    async def shutdown(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            async with (
                asyncio.timeout(RING_TIMEOUT),
                Redis(connection_pool=self.connection_pool) as redis,
            ):
                await redis.xgroup_delconsumer(
                    self.queue_name, self.consumer_group_name, self.consumer_name
                )
        await super().shutdown()


def _broker() -> AsyncBroker:
    current = settings.load()
    if current.redis_url is None:
        return InProcess()
    return Stream(
        current.redis_url,
        queue_name=f"{current.redis_prefix}:payments",
        consumer_group_name="workers",
        consumer_name=f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        consumer_id="0",
        maxlen=LONGEST_STREAM,
        xread_count=10,
        xread_block=1000,
        socket_connect_timeout=RING_TIMEOUT,
        socket_timeout=5,
    )


broker = _broker()


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Hold the broker open."""
    await broker.startup()
    try:
        yield
    finally:
        await broker.shutdown()
