"""Test the broker that notifies workers: a queue in this process, or a Redis stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from taskiq import BrokerMessage

from icecream.runtime import logs
from tasks import broker
from tests import servers
from tests.processes import PATIENCE

pytestmark = pytest.mark.anyio


def message(text: str) -> BrokerMessage:
    return BrokerMessage(task_id=text, task_name="x", message=text.encode(), labels={})


async def test_a_full_queue_drops_new_notifications(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker, "MAX_QUEUED_MESSAGES", 2)
    queue = broker.InProcessBroker()
    for text in ("one", "two", "three"):
        await queue.kick(message(text))
    assert queue.queue.qsize() == 2
    async with aclosing(queue.listen()) as messages:
        assert [await anext(messages), await anext(messages)] == [b"one", b"two"]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.redis(Path(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@asynccontextmanager
async def stream(server: servers.Server, options: str = "") -> AsyncIterator[broker.RedisBroker]:
    one = broker.RedisBroker(
        server.url + options,
        queue_name="ours:payments",
        consumer_group_name="workers",
        consumer_name="me",
        consumer_id="0",
        xread_block=100,
        socket_connect_timeout=1,
        socket_timeout=5,
    )
    await one.startup()
    try:
        yield one
    finally:
        await one.shutdown()


async def test_notifications_from_before_the_listener_started_are_delivered(
    redis: servers.Server,
) -> None:
    async with stream(redis) as one, aclosing(one.listen()) as messages:
        await one.kick(message("early"))
        assert await anext(messages) == b"early"
        await one.kick(message("late"))
        assert await anext(messages) == b"late"


async def test_a_flushed_redis_and_unknown_entries_do_not_end_the_listener(
    redis: servers.Server,
) -> None:
    async with (
        stream(redis) as one,
        aclosing(one.listen()) as messages,
        Redis.from_url(redis.url) as client,
    ):
        await one.kick(message("before"))
        assert await anext(messages) == b"before"
        await client.flushall()
        await client.xadd("ours:payments", {"other": "x"})
        await one.kick(message("after"))
        assert await anext(messages) == b"after"


async def test_all_keys_have_the_prefix_and_the_consumer_is_removed(
    redis: servers.Server,
) -> None:
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
        async with stream(redis) as one, aclosing(one.listen()) as messages:
            await one.kick(message("x"))
            await anext(messages)
            (group,) = await client.xinfo_groups("ours:payments")
            assert (group["consumers"], group["pending"]) == (1, 0)
        (group,) = await client.xinfo_groups("ours:payments")
        assert (group["consumers"], group["pending"]) == (0, 0)
        assert await client.keys("*") == [b"ours:payments"]


async def test_an_outage_of_redis_and_its_end_are_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broker, "RETRY_DELAY_SECONDS", 0.05)
    monkeypatch.setattr(logs, "RECOVERY_SECONDS", 0)
    caplog.set_level(logging.WARNING, logger="tasks.broker")
    with servers.redis(tmp_path) as server:
        async with stream(server) as one, aclosing(one.listen()) as messages:
            await one.kick(message("before"))
            assert await anext(messages) == b"before"
            server.stop()
            waiting = asyncio.ensure_future(anext(messages))
            while one.unavailable_since is None:
                await asyncio.wait({waiting}, timeout=0.02)
            await asyncio.wait({waiting}, timeout=0.3)
            server.start()
            while one.unavailable_since is not None:
                await asyncio.wait({waiting}, timeout=0.02)
            await one.kick(message("after"))
            assert await waiting == b"after"
    # Other loggers may still write about the tests before.
    lines = [one.getMessage() for one in caplog.records if one.name == "tasks.broker"]
    assert len(lines) == 2
    assert lines[0].startswith("Redis is unavailable")
    assert lines[1].startswith("Redis is available again after ")


@pytest.mark.parametrize("protocol", [2, 3])
async def test_both_versions_of_the_protocol_work(redis: servers.Server, protocol: int) -> None:
    async with stream(redis, f"?protocol={protocol}") as one, aclosing(one.listen()) as messages:
        for text in ("first", "second"):
            await one.kick(message(text))
            assert await asyncio.wait_for(anext(messages), PATIENCE) == text.encode()
        assert not await one.is_unavailable(5)


async def test_a_bug_does_not_end_the_listener(
    redis: servers.Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broker, "RETRY_DELAY_SECONDS", 0.01)
    real, faults = broker.RedisBroker._read, [TypeError("a bug")] * 3

    async def read(self: broker.RedisBroker) -> list[bytes]:
        if faults:
            raise faults.pop()
        return await real(self)

    monkeypatch.setattr(broker.RedisBroker, "_read", read)
    async with stream(redis) as one, aclosing(one.listen()) as messages:
        await one.kick(message("after it"))
        assert await asyncio.wait_for(anext(messages), PATIENCE) == b"after it"
    assert caplog.text.count("Traceback") == 1
    assert caplog.text.count("Redis is unavailable (a bug)") == 1


async def test_a_cancellation_that_the_client_loses_ends_the_listener(
    redis: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reading = broker.RedisBroker._read, asyncio.Event()

    async def read(self: broker.RedisBroker) -> list[bytes]:
        reading.set()
        try:
            return await real(self)
        except asyncio.CancelledError:
            return []

    monkeypatch.setattr(broker.RedisBroker, "_read", read)
    async with stream(redis) as one:
        listener = asyncio.ensure_future(anext(one.listen(), None))
        await reading.wait()
        listener.cancel()
        assert await asyncio.wait_for(listener, PATIENCE) is None
