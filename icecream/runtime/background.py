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
# The delay before a failed task is restarted. It doubles with each failure, up to the maximum.
MIN_RESTART_DELAY_SECONDS = 0.5
MAX_RESTART_DELAY_SECONDS = 10.0
# The delay is reset for a task that ran for this long.
STABLE_SECONDS = 60.0
# A canceled task that is still running is canceled again after this time.
CANCEL_RETRY_SECONDS = 0.5
# The number of tasks of each name that wait for their restart.
_waiting_for_restart: Counter[str] = Counter()


def restart_warnings() -> list[str]:
    """Return a warning for each task of this process that is down, for readiness checks."""
    return [f"The {name} failed and will be restarted." for name in sorted(+_waiting_for_restart)]


def start_task(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run `work` until it returns, or until the task is canceled; restart it when it fails."""
    # Use an empty context: the task outlives the request that started it.
    return asyncio.create_task(_restart_on_failure(name, work), name=name, context=Context())


@asynccontextmanager
async def keep_running(name: str, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run `work` until the block ends; restart it when it fails."""
    task = start_task(name, work)
    try:
        yield
    finally:
        await cancel_tasks({task})


async def cancel_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel these tasks, and return once they have ended.

    The tasks are canceled repeatedly, because a cancellation can get lost. On Python 3.11,
    `asyncio.wait_for` may return a result that has just arrived instead of being canceled, and
    redis-py uses it to send commands.
    """
    pending = tasks
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_RETRY_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _restart_on_failure(name: str, work: Callable[[], Awaitable[None]]) -> None:
    delay = MIN_RESTART_DELAY_SECONDS
    while True:
        started_at = time.monotonic()
        try:
            return await work()
        except asyncio.CancelledError as error:
            if is_being_canceled():
                raise
            _report_failure(name, error)
        except Exception as error:
            # Catch every error, even a bug: nothing else would restart the task.
            _report_failure(name, error)
        if time.monotonic() - started_at >= STABLE_SECONDS:
            delay = MIN_RESTART_DELAY_SECONDS
        await _wait_for_restart(name, delay)
        delay = min(2 * delay, MAX_RESTART_DELAY_SECONDS)


def is_being_canceled() -> bool:
    """Return whether the current task was canceled, even if that cancellation got lost."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _report_failure(name: str, error: BaseException) -> None:
    logs.log_bug(log, f"The {name} failed, and will be restarted", error)
    instrumentation.count_failure("task")


async def _wait_for_restart(name: str, seconds: float) -> None:
    _waiting_for_restart[name] += 1
    try:
        await asyncio.sleep(seconds)
    finally:
        _waiting_for_restart[name] -= 1
