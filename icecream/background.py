"""Tasks that run as long as the process: each has an owner that starts it again when it fails."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context

from icecream import counters, logs

log = logging.getLogger(__name__)
# Seconds before a task that failed is started again. They double each time it fails again, up to
# the longest pause, and begin anew for one that ran for as long as STEADY_SECONDS.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
STEADY_SECONDS = 60.0
# Seconds after which a task that was cancelled, and goes on, is cancelled again.
CANCEL_AGAIN_SECONDS = 0.5
# How many tasks of each name wait to be started again.
_down: Counter[str] = Counter()


def warnings() -> list[str]:
    """The tasks of this process that are down, for whoever asks whether it is ready."""
    return [f"The {name} failed and will be started again." for name in sorted(+_down)]


def start(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run this until it returns, or until the task is cancelled; start it again when it fails."""
    # In no request's context: it outlives whatever made it necessary.
    return asyncio.create_task(_keep(name, work), name=name, context=Context())


@asynccontextmanager
async def running(name: str, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run this until the block ends; start it again when it fails."""
    task = start(name, work)
    try:
        yield
    finally:
        await cancel({task})


async def cancel(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel these tasks, and return once they have ended.

    Again and again, because a cancellation can get lost: on Python 3.11 `asyncio.wait_for` returns
    what has just arrived instead of being cancelled, and redis-py sends its commands with it.
    """
    left = tasks
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(name: str, work: Callable[[], Awaitable[None]]) -> None:
    pause = FIRST_PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            return await work()
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            _tell(name, error)
        except Exception as error:
            # Whatever it is, also a bug: nothing else would start the task again.
            _tell(name, error)
        if time.monotonic() - began >= STEADY_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        await _rest(name, pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def is_being_cancelled() -> bool:
    """Whether somebody cancelled the current task, also if it lost that cancellation."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _tell(name: str, error: BaseException) -> None:
    logs.fault(log, f"The {name} failed, and will be started again", error)
    counters.failed("task")


async def _rest(name: str, seconds: float) -> None:
    _down[name] += 1
    try:
        await asyncio.sleep(seconds)
    finally:
        _down[name] -= 1
