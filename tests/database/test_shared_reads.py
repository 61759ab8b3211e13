"""Test that callers who want the same data share one read, and never an old one."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from icecream import database, errors
from icecream.database import shared_reads
from icecream.tables import Flavor
from tests.conftest import PATIENCE

pytestmark = pytest.mark.anyio
caller_name: ContextVar[str] = ContextVar("caller_name", default="none")


class Counter:
    """Reads a number that tests increase; a read ends when the gate is open."""

    def __init__(self, *, room: int = 100) -> None:
        self.gate = asyncio.Event()
        self.began: list[str] = []
        self.value = 0
        self.error: BaseException | None = None
        self.reads = shared_reads.SharedReads(self._read, max_waiting=room)

    async def _read(self, key: str) -> int:
        self.began.append(key)
        value, error = self.value, self.error
        await self.gate.wait()
        if error is not None:
            raise error
        return value

    async def start(self, *keys: str) -> list[asyncio.Task[int]]:
        """Start one caller per key; the reads have begun when this returns."""
        tasks = [asyncio.create_task(self.reads.read(key)) for key in keys]
        await asyncio.sleep(0.01)
        return tasks


async def results(tasks: Sequence[asyncio.Task[int]]) -> list[int | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_callers_of_the_same_moment_share_a_read() -> None:
    counter = Counter()
    tasks = await counter.start("a", "a", "b", "a")
    counter.gate.set()
    assert await results(tasks) == [0] * 4
    assert counter.began == ["a", "b"]


async def test_a_caller_does_not_get_the_answer_of_a_read_that_already_runs() -> None:
    counter = Counter()
    first = await counter.start("a")
    counter.value = 1
    later = await counter.start("a", "a")
    counter.gate.set()
    assert await results(first + later) == [0, 1, 1]
    assert counter.began == ["a", "a"]


async def test_a_single_caller_is_not_delayed_and_nothing_is_kept() -> None:
    counter = Counter()
    counter.gate.set()
    for value in range(3):
        counter.value = value
        assert await counter.reads.read("a") == value
    assert counter.began == ["a"] * 3
    assert counter.reads._waiting == {}


async def test_callers_who_arrive_a_turn_later_join() -> None:
    counter = Counter()

    async def a_turn_later() -> int:
        await asyncio.sleep(0)
        return await counter.reads.read("a")

    counter.gate.set()
    assert [*await asyncio.gather(counter.reads.read("a"), a_turn_later())] == [0, 0]
    assert counter.began == ["a"]


async def test_an_error_reaches_all_callers_of_its_read_and_no_later_one() -> None:
    counter = Counter()
    counter.error = database.DatabaseUnavailable("down")
    failed = await counter.start("a", "a")
    counter.error = None
    later = await counter.start("a")
    counter.gate.set()
    first, second, third = await results(failed + later)
    assert first is second is not None
    assert isinstance(first, database.DatabaseUnavailable)
    assert third == 0


async def test_a_canceled_read_fails_its_callers_and_the_next_read_is_served() -> None:
    counter = Counter()
    counter.error = asyncio.CancelledError()
    failed = await counter.start("a")
    counter.error = None
    later = await counter.start("a")
    counter.gate.set()
    refused, served = await results(failed + later)
    assert isinstance(refused, errors.Unavailable)
    assert served == 0


async def test_a_disconnect_does_not_affect_other_callers() -> None:
    counter = Counter()
    reading = await counter.start("a", "a")
    waiting = await counter.start("a", "a")
    reading[0].cancel()
    waiting[0].cancel()
    await asyncio.sleep(0)
    counter.gate.set()
    assert await results([reading[1], waiting[1]]) == [0, 0]
    assert counter.began == ["a", "a"]


async def test_data_that_no_caller_waits_for_is_not_read() -> None:
    counter = Counter()
    reading = await counter.start("a")
    waiting = await counter.start("a")
    waiting[0].cancel()
    counter.gate.set()
    assert await results(reading) == [0]
    await asyncio.sleep(0.01)
    assert counter.began == ["a"]
    assert counter.reads._waiting == {}


async def test_too_many_callers_are_refused_and_the_waiting_ones_are_served() -> None:
    counter = Counter(room=3)
    tasks = await counter.start("a", "b", "b")
    refused = await counter.start("a")
    counter.gate.set()
    assert await results(tasks) == [0] * 3
    assert isinstance((await results(refused))[0], errors.Unavailable)
    assert await counter.reads.read("a") == 0


async def test_a_stopped_task_fails_all_callers_and_the_next_caller_is_served() -> None:
    counter = Counter()
    tasks = [*await counter.start("a"), *await counter.start("a")]
    runner = counter.reads._waiting["a"].runner
    assert runner is not None
    runner.cancel()
    async with asyncio.timeout(PATIENCE):
        assert [type(one) for one in await results(tasks)] == [errors.Unavailable] * 2
    counter.gate.set()
    assert await counter.reads.read("a") == 0


async def test_a_read_is_outside_of_its_callers_request_and_transaction() -> None:
    seen: list[str] = []

    async def count(name: str) -> int:
        seen.append(caller_name.get())
        return len(await Flavor.select(Flavor.id).where(Flavor.name == name))

    reads = shared_reads.SharedReads(count)
    caller_name.set("request 1")

    async def write_and_read() -> int:
        await Flavor.insert(Flavor(name="Shared read", price=1))
        return await reads.read("Shared read")

    assert await database.transaction(write_and_read) == 0
    assert await reads.read("Shared read") == 1
    assert seen == ["none", "none"]
    await Flavor.delete().where(Flavor.name == "Shared read")
