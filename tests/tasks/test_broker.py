"""Test the broker that notifies workers: a queue in this process, or a Redis stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

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


async def test_a_full_queue_drops_the_bell_and_keeps_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker, "LONGEST_QUEUE", 2)
    queue = broker.InProcess()
    for text in ("one", "two", "three"):
        await queue.kick(message(text))
    assert queue.queue.qsize() == 2
    async with aclosing(queue.listen()) as heard:
        assert [await anext(heard), await anext(heard)] == [b"one", b"two"]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.redis(Path(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@asynccontextmanager
async def stream(server: servers.Server, options: str = "") -> AsyncIterator[broker.Stream]:
    one = broker.Stream(
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


async def test_what_was_rung_before_anybody_listened_is_heard(redis: servers.Server) -> None:
    async with stream(redis) as one, aclosing(one.listen()) as heard:
        await one.kick(message("early"))
        assert await anext(heard) == b"early"
        await one.kick(message("late"))
        assert await anext(heard) == b"late"


async def test_a_flushed_redis_and_strange_entries_do_not_end_the_listening(
    redis: servers.Server,
) -> None:
    async with (
        stream(redis) as one,
        aclosing(one.listen()) as heard,
        Redis.from_url(redis.url) as client,
    ):
        await one.kick(message("before"))
        assert await anext(heard) == b"before"
        await client.flushall()
        await client.xadd("ours:payments", {"other": "x"})
        await one.kick(message("after"))
        assert await anext(heard) == b"after"


async def test_nothing_is_left_behind_and_nothing_lies_outside_the_prefix(
    redis: servers.Server,
) -> None:
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
        async with stream(redis) as one, aclosing(one.listen()) as heard:
            await one.kick(message("x"))
            await anext(heard)
            (group,) = await client.xinfo_groups("ours:payments")
            assert (group["consumers"], group["pending"]) == (1, 0)
        (group,) = await client.xinfo_groups("ours:payments")
        assert (group["consumers"], group["pending"]) == (0, 0)
        assert await client.keys("*") == [b"ours:payments"]


async def test_a_redis_that_goes_and_comes_back_is_told_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broker, "REST", 0.05)
    monkeypatch.setattr(logs, "QUIET_SECONDS", 0)
    caplog.set_level(logging.WARNING, logger="tasks.broker")
    with servers.redis(tmp_path) as server:
        async with stream(server) as one, aclosing(one.listen()) as heard:
            await one.kick(message("before"))
            assert await anext(heard) == b"before"
            server.stop()
            waiting = asyncio.ensure_future(anext(heard))
            while one.away_since is None:
                await asyncio.wait({waiting}, timeout=0.02)
            await asyncio.wait({waiting}, timeout=0.3)
            server.start()
            while one.away_since is not None:
                await asyncio.wait({waiting}, timeout=0.02)
            await one.kick(message("after"))
            assert await waiting == b"after"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("Redis is away")
    assert told[1].startswith("Redis is back after ")


@pytest.mark.parametrize("protocol", [2, 3])
async def test_either_version_of_the_protocol_will_do(redis: servers.Server, protocol: int) -> None:
    async with stream(redis, f"?protocol={protocol}") as one, aclosing(one.listen()) as heard:
        for text in ("first", "second"):
            await one.kick(message(text))
            assert await asyncio.wait_for(anext(heard), PATIENCE) == text.encode()
        assert not await one.is_away(5)


async def test_a_bug_does_not_end_the_listening(
    redis: servers.Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broker, "REST", 0.01)
    real, faults = broker.Stream._read, [TypeError("a bug")] * 3

    async def read(self: broker.Stream, redis: Any) -> list[bytes]:
        if faults:
            raise faults.pop()
        return await real(self, redis)

    monkeypatch.setattr(broker.Stream, "_read", read)
    async with stream(redis) as one, aclosing(one.listen()) as heard:
        await one.kick(message("after it"))
        assert await asyncio.wait_for(anext(heard), PATIENCE) == b"after it"
    assert caplog.text.count("Traceback") == 1
    assert caplog.text.count("Redis is away (a bug)") == 1


async def test_a_cancellation_that_the_client_loses_ends_the_listening(
    redis: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reading = broker.Stream._read, asyncio.Event()

    async def read(self: broker.Stream, redis: Any) -> list[bytes]:
        reading.set()
        try:
            return await real(self, redis)
        except asyncio.CancelledError:
            return []

    monkeypatch.setattr(broker.Stream, "_read", read)
    async with stream(redis) as one:
        listening = asyncio.ensure_future(anext(one.listen(), None))
        await reading.wait()
        listening.cancel()
        assert await asyncio.wait_for(listening, PATIENCE) is None
