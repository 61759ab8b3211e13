"""Test background tasks that run as long as the process."""

import asyncio
import contextlib
from contextvars import ContextVar

import pytest

from icecream.runtime import background, instrumentation
from tests.conftest import until

pytestmark = pytest.mark.anyio
WARNING = "The task failed and will be started again."


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
    told: list[float] = []

    async def rest(name: str, seconds: float) -> None:
        told.append(seconds)

    monkeypatch.setattr(background, "_rest", rest)
    return told


async def test_a_task_that_fails_is_started_again_after_longer_and_longer_pauses(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(instrumentation, "failed", counted.append)
    task = Task(*(ValueError("a bug") for _ in range(7)))
    async with background.running("task", task):
        await task.stays.wait()
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]
    assert counted == ["task"] * 7
    # The same bug is logged once a minute.
    assert caplog.text.count("The task failed, and will be started again") == 1
    assert caplog.text.count("Traceback") == 1


async def test_the_pauses_begin_anew_after_a_steady_run(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "STEADY_SECONDS", 0)
    task = Task(ValueError(), ValueError(), ValueError())
    async with background.running("task", task):
        await task.stays.wait()
    assert pauses == [0.5, 0.5, 0.5]


async def test_it_is_told_while_it_is_down_and_not_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 600)
    task = Task(ValueError())
    async with background.running("task", task):
        await until(lambda: asyncio.sleep(0, background.warnings() == [WARNING]))
    assert background.warnings() == []
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0)
    task = Task(ValueError())
    async with background.running("task", task):
        await task.stays.wait()
        assert background.warnings() == []


async def test_a_cancellation_from_within_is_a_failure_and_one_from_outside_is_the_end(
    pauses: list[float],
) -> None:
    task = Task(asyncio.CancelledError())
    owner = background.start("task", task)
    await task.stays.wait()
    assert (task.starts, len(pauses)) == (2, 1)
    owner.cancel()
    await asyncio.wait({owner})
    assert owner.cancelled()
    assert task.starts == 2


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "CANCEL_AGAIN_SECONDS", 0)
    lost = asyncio.Event()

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.set()
        await asyncio.Event().wait()

    task = background.start("task", work)
    await asyncio.sleep(0)
    await background.cancel({task})
    assert lost.is_set() and task.cancelled()


async def test_a_task_that_returns_is_done(pauses: list[float]) -> None:
    task = Task(None)
    await background.start("task", task)
    assert (task.starts, pauses) == (1, [])


async def test_it_runs_in_no_requests_context() -> None:
    about: ContextVar[str] = ContextVar("about", default="nothing")
    seen: list[str] = []

    async def look() -> None:
        seen.append(about.get())

    about.set("a request")
    await background.start("task", look)
    assert seen == ["nothing"]
