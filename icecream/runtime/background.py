"""Background tasks that run as long as the process; each is restarted when it fails."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context

from icecream.runtime import instrumentation, logs

log = logging.getLogger(__name__)
# Seconds before a failed task is restarted. The pause doubles with each failure, up to the longest.
# It is reset for a task that ran for STEADY_SECONDS.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
STEADY_SECONDS = 60.0
# Seconds after which a canceled task that is still running is canceled again.
CANCEL_AGAIN_SECONDS = 0.5
# How many tasks of each name wait for their restart.
_down: Counter[str] = Counter()


def warnings() -> list[str]:
    """Return the tasks of this process that are down, for readiness checks."""
    return [f"The {name} failed and will be started again." for name in sorted(+_down)]


def start(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run `work` until it returns, or until the task is canceled; restart it when it fails."""
    # Use an empty context: the task outlives the request that started it.
    return asyncio.create_task(_keep(name, work), name=name, context=Context())


@asynccontextmanager
async def running(name: str, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run `work` until the block ends; restart it when it fails."""
    task = start(name, work)
    try:
        yield
    finally:
        await cancel({task})


async def cancel(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel these tasks, and return once they have ended.

    The tasks are canceled repeatedly, because a cancellation can get lost. On Python 3.11,
    `asyncio.wait_for` may return a result that has just arrived instead of being canceled, and
    redis-py uses it to send commands.
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
            # Catch every error, also a bug: nothing else would restart the task.
            _tell(name, error)
        if time.monotonic() - began >= STEADY_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        await _rest(name, pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def is_being_cancelled() -> bool:
    """Return whether the current task was canceled, even if that cancellation got lost."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _tell(name: str, error: BaseException) -> None:
    logs.fault(log, f"The {name} failed, and will be started again", error)
    instrumentation.failed("task")


async def _rest(name: str, seconds: float) -> None:
    _down[name] += 1
    try:
        await asyncio.sleep(seconds)
    finally:
        _down[name] -= 1
