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

from icecream import settings
from icecream.runtime import background, logs, optional_imports
from icecream.settings import checks

# Taskiq supports dependencies of FastAPI, which is only installed for Piccolo Admin, and calls its
# own dashboard with aiohttp. The client of Redis supports OpenTelemetry. Importing them takes
# longer than importing all other packages together.
with (
    optional_imports.hidden("fastapi", "opentelemetry"),
    optional_imports.replaced("aiohttp"),
):
    from redis.asyncio import Redis
    from redis.exceptions import RedisError
    from taskiq import AsyncBroker, BrokerMessage
    from taskiq.exceptions import SendTaskError
    from taskiq.receiver import Receiver
    from taskiq_redis import RedisStreamBroker

log = logging.getLogger(__name__)
# The maximum number of waiting messages. With a longer queue, a sweep finds the work just as soon.
MAX_QUEUED_MESSAGES = 10_000
MAX_STREAM_ENTRIES = 100_000
NOTIFY_TIMEOUT_SECONDS = 1.0
# The time without calls to an unreachable Redis.
RETRY_DELAY_SECONDS = 2.0
# The errors of a notification that Redis did not take.
NOTIFY_ERRORS = (SendTaskError, RedisError, OSError, TimeoutError)
# The time between two probes that write and read Redis, for any number of callers.
PROBE_INTERVAL_SECONDS = 1.0
OUTAGE_EFFECT = "; payments continue with the sweep"
_CLUSTER_HINT = "this is a node of a Redis Cluster, set ICECREAM_REDIS_URL to a single server"
# Advice for the operator, by the error code of the answer.
OPERATOR_HINTS = {
    "MOVED": _CLUSTER_HINT,
    "ASK": _CLUSTER_HINT,
    "CLUSTERDOWN": _CLUSTER_HINT,
    "READONLY": "this is a replica, set ICECREAM_REDIS_URL to its primary",
    "NOAUTH": "set ICECREAM_REDIS_URL to redis://user:password@host/0",
    "NOPERM": "see docs/operating.md for the permissions that the user needs",
    "unknown command": "this server has no streams, perhaps it is a Sentinel; "
    "set ICECREAM_REDIS_URL to the server itself",
}


class InProcessBroker(AsyncBroker):
    """A queue in memory, for the single process that both accepts orders and charges them."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(MAX_QUEUED_MESSAGES)

    async def kick(self, message: BrokerMessage) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait(message.message)

    async def listen(self) -> AsyncGenerator[bytes, None]:
        while True:
            yield await self.queue.get()


class RedisBroker(RedisStreamBroker):
    """taskiq-redis's stream, with a listener that survives outages and unknown entries."""

    unavailable_since: float | None = None
    # The last error of Redis, while it is unavailable.
    last_error = ""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._redis = Redis(connection_pool=self.connection_pool)
        self._outage = logs.Outage(log, "Redis", OUTAGE_EFFECT)
        self._probe: asyncio.Task[None] | None = None
        self._probed_at = -PROBE_INTERVAL_SECONDS

    async def startup(self) -> None:
        # The group is created on the first read, because Redis may be down now.
        await AsyncBroker.startup(self)

    async def kick(self, message: BrokerMessage) -> None:
        # taskiq-redis makes a client for each message, which takes longer than all the rest.
        await self._redis.xadd(self.queue_name, {b"data": message.message}, maxlen=self.maxlen)

    async def listen(self) -> AsyncGenerator[bytes, None]:  # type: ignore[override]  # no acks
        # Taskiq cancels a read once and then waits for it. That cancellation can get lost.
        while not background.is_being_canceled():
            try:
                for message in await self._read():
                    yield message
            except Exception as error:
                # Catch everything, even bugs: nothing else would restart the listener.
                if not await self._recreate_group(error):
                    self.record_failure(error)
                    await asyncio.sleep(RETRY_DELAY_SECONDS)

    async def _recreate_group(self, error: Exception) -> bool:
        """Return whether the group was missing (Redis is new or was flushed) and now exists."""
        if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
            return False
        try:
            # Read from the start of the stream, because earlier messages count too.
            await self._redis.xgroup_create(
                self.queue_name, self.consumer_group_name, id=self.consumer_id, mkstream=True
            )
        except (RedisError, OSError) as refused:
            # BUSYGROUP: another worker created it first. For other errors, Redis is full or
            # read-only. An immediate retry would only use CPU.
            return str(refused).startswith("BUSYGROUP")
        return True

    async def _read(self) -> list[bytes]:
        fetched: Any = await self._redis.xreadgroup(
            self.consumer_group_name,
            self.consumer_name,
            {self.queue_name: ">"},
            count=self.count,
            block=self.block,
            noack=True,
        )
        self.record_success()
        return [entry[b"data"] for entry in _entries(fetched) if b"data" in entry]

    async def is_unavailable(self, seconds: float) -> bool:
        """Return whether the last write or read failed; wait at most `seconds` for a new probe."""
        is_idle = self._probe is None or self._probe.done()
        if is_idle and time.monotonic() - self._probed_at >= PROBE_INTERVAL_SECONDS:
            self._probed_at = time.monotonic()
            self._probe = asyncio.create_task(self._write_and_read(), context=Context())
        if self._probe is not None:
            await asyncio.wait({self._probe}, timeout=seconds)
        return self.unavailable_since is not None

    async def _write_and_read(self) -> None:
        """Write and read as orders and workers do; PING also succeeds on unusable servers."""
        try:
            async with asyncio.timeout(NOTIFY_TIMEOUT_SECONDS):
                # Readers skip an entry without a message.
                await self._redis.xadd(self.queue_name, {b"probe": b""}, maxlen=self.maxlen)
                await self._redis.xrevrange(self.queue_name, count=1)
        except Exception as error:
            # Catch everything, even bugs: metrics and health must continue.
            self.record_failure(error)
        else:
            self.record_success()

    def record_failure(self, error: Exception) -> None:
        """Record that Redis could not be read or written; report bugs of ours as bugs."""
        cause = error.__cause__ if isinstance(error, SendTaskError) else error  # It has no details.
        if not isinstance(cause, RedisError | OSError):
            logs.log_bug(log, "Reading or writing Redis failed", cause or error)
        self.last_error = describe_error(cause or error)
        self._outage.record_failure(self.last_error)
        self.unavailable_since = time.monotonic()

    def record_success(self) -> None:
        """Record that Redis was read or written just now."""
        self._outage.record_success()
        self.unavailable_since = None

    async def shutdown(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(NOTIFY_TIMEOUT_SECONDS):
                await self._redis.xgroup_delconsumer(
                    self.queue_name, self.consumer_group_name, self.consumer_name
                )
        await super().shutdown()


def _entries(fetched: Any) -> list[dict[bytes, bytes]]:
    """Return the entries of an XREADGROUP answer, in either version of the protocol."""
    if isinstance(fetched, dict):
        return [entry for lists in fetched.values() for batch in lists for _, entry in batch]
    return [entry for _, stream in fetched or () for _, entry in stream]


def describe_error(error: BaseException) -> str:
    """Return the answer of Redis, with its code and advice for the operator."""
    code = getattr(error, "status_code", None) or ""
    text = re.split(", with args|, otherwise", str(error))[0] or repr(error)
    if code == "ERR" and text.startswith("unknown command"):
        code = "unknown command"
    answer = text if text.startswith(code) else f"{code} {text}"
    if code not in OPERATOR_HINTS:
        return answer
    return f"{answer.rstrip('.')}; {OPERATOR_HINTS[code]}"


def _create_broker() -> AsyncBroker:
    current = settings.load()
    if current.redis_url is None:
        return InProcessBroker()
    return RedisBroker(
        current.redis_url,
        queue_name=f"{current.redis_prefix}:payments",
        consumer_group_name="workers",
        consumer_name=f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        consumer_id="0",
        maxlen=MAX_STREAM_ENTRIES,
        xread_count=10,
        xread_block=1000 * checks.REDIS_BLOCK_SECONDS,
        socket_connect_timeout=NOTIFY_TIMEOUT_SECONDS,
        socket_timeout=5,
    )


broker = _create_broker()


@asynccontextmanager
async def open_broker() -> AsyncIterator[None]:
    """Keep the broker open until the block ends."""
    await broker.startup()
    try:
        yield
    finally:
        await broker.shutdown()


async def listen(stop: asyncio.Event, concurrency: int, grace_seconds: float) -> None:
    """Carry out the tasks of notifications until `stop`, at most `concurrency` at a time."""
    receiver = Receiver(
        broker,
        max_async_tasks=concurrency,
        run_startup=False,
        wait_tasks_timeout=grace_seconds,
    )
    await receiver.listen(stop)
    if not stop.is_set():
        raise RuntimeError("the listener ended unexpectedly")
