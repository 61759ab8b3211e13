"""Test background tasks that run as long as the process."""

import asyncio
import contextlib
from contextvars import ContextVar

import pytest

from icecream.runtime import background, instrumentation
from tests.conftest import until

pytestmark = pytest.mark.anyio
WARNING = "The task failed and will be restarted."


class Task:
    """A task that ends in the given ways, one per start, and then keeps running."""

    def __init__(self, *ends: BaseException | None) -> None:
        self.ends, self.starts = list(ends), 0
        self.stays = asyncio.Event()

    async def __call__(self) -> None:
        self.starts += 1
        if not self.ends:
            self.stays.set()
            await asyncio.Event().wait()
        if (end := self.ends.pop(0)) is not None:
            raise end


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the list of requested pauses, in seconds; the test does not wait for them."""
    pauses: list[float] = []

    async def rest(name: str, seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(background, "_wait_for_restart", rest)
    return pauses


async def test_a_failing_task_is_restarted_with_growing_delays(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(instrumentation, "count_failure", counted.append)
    task = Task(*(ValueError("a bug") for _ in range(7)))
    async with background.keep_running("task", task):
        await task.stays.wait()
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]
    assert counted == ["task"] * 7
    # The same bug is logged once a minute.
    assert caplog.text.count("The task failed, and will be restarted") == 1
    assert caplog.text.count("Traceback") == 1


async def test_the_restart_delay_is_reset_after_a_stable_run(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "STABLE_SECONDS", 0)
    task = Task(ValueError(), ValueError(), ValueError())
    async with background.keep_running("task", task):
        await task.stays.wait()
    assert pauses == [0.5, 0.5, 0.5]


async def test_a_warning_is_reported_while_a_task_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MIN_RESTART_DELAY_SECONDS", 600)
    task = Task(ValueError())
    async with background.keep_running("task", task):
        await until(lambda: asyncio.sleep(0, background.restart_warnings() == [WARNING]))
    assert background.restart_warnings() == []
    monkeypatch.setattr(background, "MIN_RESTART_DELAY_SECONDS", 0)
    task = Task(ValueError())
    async with background.keep_running("task", task):
        await task.stays.wait()
        assert background.restart_warnings() == []


async def test_an_inner_cancellation_is_a_failure_and_an_outer_one_ends_the_task(
    pauses: list[float],
) -> None:
    task = Task(asyncio.CancelledError())
    owner = background.start_task("task", task)
    await task.stays.wait()
    assert (task.starts, len(pauses)) == (2, 1)
    owner.cancel()
    await asyncio.wait({owner})
    assert owner.cancelled()
    assert task.starts == 2


async def test_a_task_that_loses_a_cancellation_is_canceled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "CANCEL_RETRY_SECONDS", 0)
    lost = asyncio.Event()

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.set()
        await asyncio.Event().wait()

    task = background.start_task("task", work)
    await asyncio.sleep(0)
    await background.cancel_tasks({task})
    assert lost.is_set() and task.cancelled()


async def test_a_task_that_returns_is_not_restarted(pauses: list[float]) -> None:
    task = Task(None)
    await background.start_task("task", task)
    assert (task.starts, pauses) == (1, [])


async def test_a_task_does_not_inherit_the_context_of_a_request() -> None:
    about: ContextVar[str] = ContextVar("about", default="nothing")
    seen: list[str] = []

    async def look() -> None:
        seen.append(about.get())

    about.set("a request")
    await background.start_task("task", look)
    assert seen == ["nothing"]
