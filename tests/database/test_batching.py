"""Test that calls which arrive together are processed in one batch."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from icecream import database, errors
from icecream.database import batching
from icecream.runtime import instrumentation

pytestmark = pytest.mark.anyio


# Rounds of the event loop in which calls are queued, and their batches started.
ROUNDS = 10


class Doubling:
    """Doubles numbers in batches once the gate is open; refuses some numbers, fails at others."""

    def __init__(
        self,
        *,
        most: int = 10,
        room: int = 20,
        weight: Callable[[int], int] = lambda n: 1,
        overlaps: bool = False,
    ) -> None:
        self.gate = asyncio.Event()
        self.after: Callable[[], None] = lambda: None
        self.seen: list[list[int]] = []
        self.queue = batching.BatchQueue(
            self._work,
            name="calls",
            max_weight=most,
            max_waiting=room,
            weight=weight,
            after_batch=lambda outcomes: self.after(),
            overlaps=overlaps,
        )

    async def _work(self, calls: list[int]) -> Sequence[int | Exception]:
        self.seen.append(calls)
        await self.gate.wait()
        if 13 in calls:
            raise ZeroDivisionError
        if -1 in calls:
            raise database.DatabaseUnavailable
        if -2 in calls:
            raise asyncio.CancelledError
        answers = [errors.NotFound(str(n)) if n == 7 else 2 * n for n in calls]
        return answers[1:] if 5 in calls else answers

    async def submit_all(self, calls: Sequence[int]) -> list[asyncio.Task[int]]:
        """Queue all these calls; the gate is still closed."""
        tasks = [asyncio.create_task(self.queue.submit(call)) for call in calls]
        # No time: on a busy machine it may pass within one round of the event loop.
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        return tasks


async def results(tasks: list[asyncio.Task[int]]) -> list[int | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_calls_that_wait_at_the_same_time_share_a_batch() -> None:
    double = Doubling(most=3)
    tasks = await double.submit_all(range(5))
    double.gate.set()
    assert await results(tasks) == [0, 2, 4, 6, 8]
    assert double.seen == [[0, 1, 2], [3, 4]]


async def test_pending_calls_join_the_batch() -> None:
    double = Doubling()

    async def a_turn_later() -> int:
        await asyncio.sleep(0)
        return await double.queue.submit(2)

    double.gate.set()
    assert [*await asyncio.gather(double.queue.submit(1), a_turn_later())] == [2, 4]
    assert double.seen == [[1, 2]]


async def test_a_single_call_is_not_delayed() -> None:
    double = Doubling()
    double.gate.set()
    assert [await double.queue.submit(n) for n in (1, 2)] == [2, 4]
    assert double.seen == [[1], [2]]


async def test_a_refusal_reaches_only_its_caller() -> None:
    double = Doubling()
    tasks = await double.submit_all([6, 7, 8])
    double.gate.set()
    first, refused, last = await results(tasks)
    assert (first, last) == (12, 16)
    assert isinstance(refused, errors.NotFound)


async def test_a_call_that_breaks_its_batch_fails_alone() -> None:
    double = Doubling()
    tasks = await double.submit_all([1, 2, 13, 4, 6])
    double.gate.set()
    answers = await results(tasks)
    assert [answers[i] for i in (0, 1, 3, 4)] == [2, 4, 8, 12]
    assert isinstance(answers[2], ZeroDivisionError)


async def test_a_batch_is_not_repeated_while_the_database_is_unavailable() -> None:
    double = Doubling()
    tasks = await double.submit_all([1, -1, 3])
    double.gate.set()
    assert {type(answer) for answer in await results(tasks)} == {database.DatabaseUnavailable}
    assert double.seen == [[1, -1, 3]]


async def test_canceled_work_is_not_repeated() -> None:
    """The cancellation may have happened during the COMMIT."""
    double = Doubling()
    tasks = await double.submit_all([1, -2, 3])
    double.gate.set()
    assert {type(answer) for answer in await results(tasks)} == {database.CommitOutcomeUnknown}
    assert double.seen == [[1, -2, 3]]


async def test_a_disconnect_does_not_affect_other_callers() -> None:
    double = Doubling(most=2)
    tasks = await double.submit_all(range(5))
    tasks[0].cancel()  # This call is being processed.
    tasks[3].cancel()  # This call is still in the queue.
    await asyncio.sleep(0)
    double.gate.set()
    answers = await results(tasks)
    assert [answers[i] for i in (1, 2, 4)] == [2, 4, 8]
    assert double.seen == [[0, 1], [2, 4]]


async def test_a_batch_has_at_most_its_maximum_weight_unless_one_call_exceeds_it() -> None:
    double = Doubling(most=5, weight=int)
    tasks = await double.submit_all([1])
    tasks += await double.submit_all([2, 3, 1, 9, 4, 1, 1])
    double.gate.set()
    assert await results(tasks) == [2, 4, 6, 2, 18, 8, 2, 2]
    assert double.seen == [[1], [2, 3], [1], [9], [4, 1], [1]]


async def test_a_full_queue_refuses_new_calls_and_serves_the_waiting_ones() -> None:
    double = Doubling(most=1, room=2)
    tasks = [*await double.submit_all([1]), *await double.submit_all([2, 3])]
    with pytest.raises(errors.Unavailable):
        await double.queue.submit(4)
    double.gate.set()
    assert await results(tasks) == [2, 4, 6]
    assert await double.queue.submit(4) == 8


async def test_closing_answers_accepted_calls_and_refuses_later_ones() -> None:
    double = Doubling(most=1)
    tasks = await double.submit_all([1, 2])
    closing = asyncio.create_task(double.queue.close())
    await asyncio.sleep(0)
    with pytest.raises(errors.Unavailable):
        await double.queue.submit(3)
    double.gate.set()
    await closing
    assert await results(tasks) == [2, 4]


async def test_too_few_outcomes_fail_the_batch_but_not_the_next_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    double = Doubling()
    tasks = await double.submit_all([4, 5, 6])
    double.gate.set()
    assert {type(answer) for answer in await results(tasks)} == {RuntimeError}
    # The work may have been committed, so it is not repeated.
    assert double.seen == [[4, 5, 6]]
    assert caplog.text.count("2 outcomes for 3 calls") == 1
    assert await double.queue.submit(1) == 2


async def test_a_call_without_a_valid_weight_fails_alone() -> None:
    def weight(call: int) -> int:
        return 1 // call

    double = Doubling(weight=weight)
    tasks = await double.submit_all([1, 0, 2])
    double.gate.set()
    first, unweighed, last = await results(tasks)
    assert (first, last) == (2, 4)
    assert isinstance(unweighed, ZeroDivisionError)
    assert await double.queue.submit(3) == 6


@pytest.mark.parametrize("counting", [True, False])
async def test_a_failing_callback_neither_repeats_the_work_nor_fails_the_callers(
    counting: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("a bug in what follows")

    double = Doubling()
    if counting:
        monkeypatch.setattr(instrumentation, "count_batch", breaks)
    else:
        double.after = breaks
    tasks = await double.submit_all([1, 2, 3])
    double.gate.set()
    assert await results(tasks) == [2, 4, 6]
    assert double.seen == [[1, 2, 3]]
    assert caplog.text.count("ZeroDivisionError: a bug in what follows") == 1
    assert await double.queue.submit(4) == 8


async def test_closing_with_a_timeout_answers_all_callers() -> None:
    double = Doubling(most=1)
    tasks = await double.submit_all([1, 2])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await double.queue.close()
    begun, waiting = await results(tasks)
    # The outcome of the first call is unknown; the second call has not begun.
    assert isinstance(begun, database.CommitOutcomeUnknown)
    assert isinstance(waiting, errors.Unavailable)
    assert double.seen == [[1]]


async def test_a_canceled_batch_answers_all_callers_and_the_next_call_is_served() -> None:
    double = Doubling(most=1)
    tasks = await double.submit_all([1, 2])
    (running,) = double.queue._running
    running.cancel()
    assert [type(one) for one in await results(tasks)] == [
        database.CommitOutcomeUnknown,
        errors.Unavailable,
    ]
    double.gate.set()
    assert await double.queue.submit(3) == 6


async def test_a_batch_that_takes_too_long_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    double = Doubling()
    tasks = await double.submit_all([1])
    assert double.queue.stuck_message is None
    monkeypatch.setattr(batching, "STUCK_SECONDS", 0.0)
    assert double.queue.stuck_message == "a batch of calls has taken 0 seconds"
    assert double.queue.stuck_message in batching.stuck_batches()
    monkeypatch.undo()
    double.gate.set()
    assert await results(tasks) == [2]
    assert double.queue.seconds == 0


async def test_under_load_two_batches_of_half_the_calls_are_served_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "MIN_OVERLAPPING_CALLS", 2)
    double = Doubling(most=20, room=30, overlaps=True)
    tasks = await double.submit_all([0, 1, 2, 3, 4, 6])
    assert double.seen == [[0, 1, 2], [3, 4, 6]]
    # A third batch must wait.
    tasks += await double.submit_all(range(20, 30))
    assert len(double.seen) == 2
    double.gate.set()
    assert await results(tasks) == [0, 2, 4, 6, 8, 12, *range(40, 60, 2)]
    assert [len(batch) for batch in double.seen[2:]] == [5, 5]


async def test_few_calls_do_not_overlap() -> None:
    double = Doubling(overlaps=True)
    tasks = [*await double.submit_all([1, 2]), *await double.submit_all([3, 4])]
    assert double.seen == [[1, 2]]
    double.gate.set()
    assert await results(tasks) == [2, 4, 6, 8]
    assert double.seen == [[1, 2], [3, 4]]


async def test_closing_waits_for_both_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MIN_OVERLAPPING_CALLS", 1)
    double = Doubling(most=1, overlaps=True)
    tasks = await double.submit_all([1, 2, 3])
    closing = asyncio.create_task(double.queue.close())
    await asyncio.sleep(0)
    assert double.seen == [[1], [2]]
    double.gate.set()
    await closing
    assert await results(tasks) == [2, 4, 6]
