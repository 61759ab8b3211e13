"""The Taskiq broker, in this process or on a Redis Stream: a notification, not the truth.

The work behind a message is already a row in the database, so a message may be lost, doubled or
late. That is why the stream is read without acknowledgements: no message stays pending for a dead
worker, and none has to be reclaimed. The sweep finds the work that was not done.
"""

import asyncio
import contextlib
import logging
import re
import socket
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from taskiq import AsyncBroker, BrokerMessage
from taskiq.exceptions import SendTaskError
from taskiq_redis import RedisStreamBroker

from icecream import settings
from icecream.runtime import background, logs

log = logging.getLogger(__name__)
# The maximum number of waiting messages. With more work than that, a sweep finds it just as soon.
LONGEST_QUEUE = 10_000
LONGEST_STREAM = 100_000
# Seconds that a notification may take, and seconds without calls to an unreachable Redis.
RING_TIMEOUT, REST = 1.0, 2.0
# Seconds between two probes that write and read Redis, for any number of callers.
PROBE_EVERY = 1.0
GO_ON = "; payments go on by sweeping"
_CLUSTER = "this is a node of a Redis Cluster, set ICECREAM_REDIS_URL to a single server"
# Advice for the operator, by the error code of the answer.
HINTS = {
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "READONLY": "this is a replica, set ICECREAM_REDIS_URL to its primary",
    "NOAUTH": "set ICECREAM_REDIS_URL to redis://user:password@host/0",
    "NOPERM": "see docs/operating.md for what the user has to be allowed",
    "unknown command": "this is no Redis with streams, perhaps a Sentinel; "
    "set ICECREAM_REDIS_URL to the server itself",
}


class InProcess(AsyncBroker):
    """A queue in memory, for the single process that both takes orders and charges them."""

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
    """taskiq-redis's stream, with a listener that survives outages and unknown entries."""

    away_since: float | None = None
    # The last error of Redis, while it is away.
    said = ""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._outage = logs.Outage(log, "Redis", GO_ON)
        self._probe: asyncio.Task[None] | None = None
        self._probed_at = -PROBE_EVERY

    async def startup(self) -> None:
        # The group is created on the first read, because Redis may be down now.
        await AsyncBroker.startup(self)

    async def listen(self) -> AsyncGenerator[bytes, None]:  # type: ignore[override]  # no acks
        # Taskiq cancels a read once and then waits for it. That cancellation can get lost.
        while not background.is_being_cancelled():
            try:
                async with Redis(connection_pool=self.connection_pool) as redis:
                    while not background.is_being_cancelled():
                        for message in await self._read(redis):
                            yield message
            except Exception as error:
                # Catch everything, also bugs: nothing else would restart the listener.
                if not await self._has_group_again(error):
                    self.note_away(error)
                    await asyncio.sleep(REST)

    async def _has_group_again(self, error: Exception) -> bool:
        """Return whether the group was missing (Redis is new or was flushed) and now exists."""
        if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
            return False
        try:
            async with Redis(connection_pool=self.connection_pool) as redis:
                # Read from the start of the stream, because earlier messages count too.
                await redis.xgroup_create(
                    self.queue_name, self.consumer_group_name, id=self.consumer_id, mkstream=True
                )
        except (RedisError, OSError) as refused:
            # BUSYGROUP: another worker created it first. For other errors, Redis is full or
            # read-only. An immediate retry would only use CPU.
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
        return [entry[b"data"] for entry in _entries(fetched) if b"data" in entry]

    async def is_away(self, seconds: float) -> bool:
        """Return whether writing or reading the stream fails, as far as known within `seconds`."""
        idle = self._probe is None or self._probe.done()
        if idle and time.monotonic() - self._probed_at >= PROBE_EVERY:
            self._probed_at = time.monotonic()
            self._probe = asyncio.create_task(self._write_and_read(), context=Context())
        if self._probe is not None:
            await asyncio.wait({self._probe}, timeout=seconds)
        return self.away_since is not None

    async def _write_and_read(self) -> None:
        """Write and read like orders and workers do; PING also succeeds on unusable servers."""
        try:
            async with (
                asyncio.timeout(RING_TIMEOUT),
                Redis(connection_pool=self.connection_pool) as redis,
            ):
                # Readers skip an entry without a message.
                await redis.xadd(self.queue_name, {b"probe": b""}, maxlen=self.maxlen)
                await redis.xrevrange(self.queue_name, count=1)
        except Exception as error:
            # Also a bug: metrics and health must continue.
            self.note_away(error)
        else:
            self.note_answer()

    def note_away(self, error: Exception) -> None:
        """Record that Redis could not be read or written; report our own bugs as such."""
        cause = error.__cause__ if isinstance(error, SendTaskError) else error  # It has no details.
        if not isinstance(cause, RedisError | OSError):
            logs.fault(log, "Reading or writing Redis failed", cause or error)
        self.said = answer_of(cause or error)
        self._outage.failed(self.said)
        self.away_since = time.monotonic()

    def note_answer(self) -> None:
        """Record that Redis was read or written just now."""
        self._outage.succeeded()
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


def _entries(fetched: Any) -> list[dict[bytes, bytes]]:
    """Return the entries of an XREADGROUP answer, in either version of the protocol."""
    if isinstance(fetched, dict):
        return [entry for lists in fetched.values() for one in lists for _, entry in one]
    return [entry for _, stream in fetched or () for _, entry in stream]


def answer_of(error: BaseException) -> str:
    """Return the answer of Redis, with its code and advice for the operator."""
    code = getattr(error, "status_code", None) or ""
    text = re.split(", with args|, otherwise", str(error))[0] or repr(error)
    if code == "ERR" and text.startswith("unknown command"):
        code = "unknown command"
    said = text if text.startswith(code) else f"{code} {text}"
    return f"{said.rstrip('.')}; {HINTS[code]}" if code in HINTS else said


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
        xread_block=1000 * settings.REDIS_BLOCKS,
        socket_connect_timeout=RING_TIMEOUT,
        socket_timeout=5,
    )


broker = _broker()


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Keep the broker open until the block ends."""
    await broker.startup()
    try:
        yield
    finally:
        await broker.shutdown()
