"""Test that calls which arrive together are processed in one batch."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from icecream import database, errors
from icecream.database import batching
from icecream.runtime import instrumentation

pytestmark = pytest.mark.anyio


class Doubling:
    """Doubles numbers in batches once the gate is open; refuses some numbers, fails at others."""

    def __init__(
        self, *, most: int = 10, room: int = 20, weight: Callable[[int], int] = lambda n: 1
    ) -> None:
        self.gate = asyncio.Event()
        self.after: Callable[[], None] = lambda: None
        self.seen: list[list[int]] = []
        self.line = batching.Batches(
            self._work,
            of="calls",
            most=most,
            room=room,
            weight=weight,
            done=lambda outcomes: self.after(),
        )

    async def _work(self, calls: list[int]) -> Sequence[int | Exception]:
        self.seen.append(calls)
        await self.gate.wait()
        if 13 in calls:
            raise ZeroDivisionError
        if -1 in calls:
            raise database.Unavailable
        if -2 in calls:
            raise asyncio.CancelledError
        answers = [errors.NotFound(str(n)) if n == 7 else 2 * n for n in calls]
        return answers[1:] if 5 in calls else answers

    async def ask(self, calls: Sequence[int]) -> list[asyncio.Task[int]]:
        """Queue all these calls; the gate is still closed."""
        tasks = [asyncio.create_task(self.line.ask(call)) for call in calls]
        await asyncio.sleep(0.01)
        return tasks


async def results(tasks: list[asyncio.Task[int]]) -> list[int | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_waits_at_the_same_moment_is_answered_together() -> None:
    double = Doubling(most=3)
    tasks = await double.ask(range(5))
    double.gate.set()
    assert await results(tasks) == [0, 2, 4, 6, 8]
    assert double.seen == [[0, 1, 2], [3, 4]]


async def test_who_is_at_the_door_goes_along() -> None:
    double = Doubling()

    async def a_turn_later() -> int:
        await asyncio.sleep(0)
        return await double.line.ask(2)

    double.gate.set()
    assert [*await asyncio.gather(double.line.ask(1), a_turn_later())] == [2, 4]
    assert double.seen == [[1, 2]]


async def test_alone_nobody_waits_for_company() -> None:
    double = Doubling()
    double.gate.set()
    assert [await double.line.ask(n) for n in (1, 2)] == [2, 4]
    assert double.seen == [[1], [2]]


async def test_a_refusal_is_its_own_callers() -> None:
    double = Doubling()
    tasks = await double.ask([6, 7, 8])
    double.gate.set()
    first, refused, last = await results(tasks)
    assert (first, last) == (12, 16)
    assert isinstance(refused, errors.NotFound)


async def test_a_call_that_breaks_its_batch_fails_alone() -> None:
    double = Doubling()
    tasks = await double.ask([1, 2, 13, 4, 6])
    double.gate.set()
    answers = await results(tasks)
    assert [answers[i] for i in (0, 1, 3, 4)] == [2, 4, 8, 12]
    assert isinstance(answers[2], ZeroDivisionError)


async def test_a_database_that_is_away_is_not_asked_again() -> None:
    double = Doubling()
    tasks = await double.ask([1, -1, 3])
    double.gate.set()
    assert {type(answer) for answer in await results(tasks)} == {database.Unavailable}
    assert double.seen == [[1, -1, 3]]


async def test_work_that_was_cancelled_is_not_done_again() -> None:
    """The cancellation may have happened during the COMMIT."""
    double = Doubling()
    tasks = await double.ask([1, -2, 3])
    double.gate.set()
    assert {type(answer) for answer in await results(tasks)} == {database.Unsettled}
    assert double.seen == [[1, -2, 3]]


async def test_who_hangs_up_changes_nothing_for_the_others() -> None:
    double = Doubling(most=2)
    tasks = await double.ask(range(5))
    tasks[0].cancel()  # This call is being processed.
    tasks[3].cancel()  # This call is still in the queue.
    await asyncio.sleep(0)
    double.gate.set()
    answers = await results(tasks)
    assert [answers[i] for i in (1, 2, 4)] == [2, 4, 8]
    assert double.seen == [[0, 1], [2, 4]]


async def test_a_batch_is_as_heavy_as_it_may_be_and_one_call_may_be_heavier() -> None:
    double = Doubling(most=5, weight=int)
    tasks = await double.ask([1])
    tasks += await double.ask([2, 3, 1, 9, 4, 1, 1])
    double.gate.set()
    assert await results(tasks) == [2, 4, 6, 2, 18, 8, 2, 2]
    assert double.seen == [[1], [2, 3], [1], [9], [4, 1], [1]]


async def test_a_full_line_refuses_and_serves_the_others() -> None:
    double = Doubling(most=1, room=2)
    tasks = [*await double.ask([1]), *await double.ask([2, 3])]
    with pytest.raises(errors.Unavailable):
        await double.line.ask(4)
    double.gate.set()
    assert await results(tasks) == [2, 4, 6]
    assert await double.line.ask(4) == 8


async def test_closing_answers_who_was_let_in_and_refuses_who_comes_later() -> None:
    double = Doubling(most=1)
    tasks = await double.ask([1, 2])
    closing = asyncio.create_task(double.line.close())
    await asyncio.sleep(0)
    with pytest.raises(errors.Unavailable):
        await double.line.ask(3)
    double.gate.set()
    await closing
    assert await results(tasks) == [2, 4]


async def test_too_few_outcomes_fail_the_batch_once_and_the_next_one_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    double = Doubling()
    tasks = await double.ask([4, 5, 6])
    double.gate.set()
    assert {type(answer) for answer in await results(tasks)} == {RuntimeError}
    # The work may have been committed, so it is not repeated.
    assert double.seen == [[4, 5, 6]]
    assert caplog.text.count("2 outcomes for 3 calls") == 1
    assert await double.line.ask(1) == 2


async def test_a_call_that_cannot_be_weighed_fails_alone() -> None:
    def weight(call: int) -> int:
        return 1 // call

    double = Doubling(weight=weight)
    tasks = await double.ask([1, 0, 2])
    double.gate.set()
    first, unweighed, last = await results(tasks)
    assert (first, last) == (2, 4)
    assert isinstance(unweighed, ZeroDivisionError)
    assert await double.line.ask(3) == 6


@pytest.mark.parametrize("counting", [True, False])
async def test_what_follows_the_work_neither_repeats_it_nor_fails_the_callers(
    counting: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("a bug in what follows")

    double = Doubling()
    if counting:
        monkeypatch.setattr(instrumentation, "written", breaks)
    else:
        double.after = breaks
    tasks = await double.ask([1, 2, 3])
    double.gate.set()
    assert await results(tasks) == [2, 4, 6]
    assert double.seen == [[1, 2, 3]]
    assert caplog.text.count("ZeroDivisionError: a bug in what follows") == 1
    assert await double.line.ask(4) == 8


async def test_closing_under_a_timeout_leaves_nobody_waiting() -> None:
    double = Doubling(most=1)
    tasks = await double.ask([1, 2])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await double.line.close()
    begun, waiting = await results(tasks)
    # The outcome of the first call is unknown; the second call has not begun.
    assert isinstance(begun, database.Unsettled)
    assert isinstance(waiting, errors.Unavailable)
    assert double.seen == [[1]]


async def test_a_runner_that_is_cancelled_answers_everybody_and_the_next_call_is_served() -> None:
    double = Doubling(most=1)
    tasks = await double.ask([1, 2])
    assert double.line._runner is not None
    double.line._runner.cancel()
    assert [type(one) for one in await results(tasks)] == [database.Unsettled, errors.Unavailable]
    double.gate.set()
    assert await double.line.ask(3) == 6


async def test_a_batch_that_takes_too_long_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    double = Doubling()
    tasks = await double.ask([1])
    assert double.line.stuck is None
    monkeypatch.setattr(batching, "STUCK_SECONDS", 0.0)
    assert double.line.stuck == "a batch of calls has taken 0 seconds"
    assert double.line.stuck in batching.stuck()
    monkeypatch.undo()
    double.gate.set()
    assert await results(tasks) == [2]
    assert double.line.seconds == 0
