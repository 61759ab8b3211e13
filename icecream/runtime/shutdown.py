"""Forced end of a process that hangs after a stop signal."""

import asyncio
import gc
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from inspect import isasyncgen
from pathlib import Path
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)
# The exit code of a forced end: EX_SOFTWARE of sysexits.h.
FORCED_STOP_EXIT_CODE = 70


def force_exit_after(seconds: float) -> threading.Timer:
    """End this process after some seconds, unless it has ended or the timer was canceled.

    No data is lost: acknowledged work is on the disk, and each lease expires. The timer is a
    thread, because the event loop itself may hang.
    """
    timer = threading.Timer(seconds, _force_exit, (seconds, asyncio.get_running_loop()))
    timer.daemon = True
    timer.start()
    return timer


def exit_if_forced(codes: Iterable[int | None]) -> None:
    """Exit with FORCED_STOP_EXIT_CODE if one of several processes had to be stopped by force."""
    if FORCED_STOP_EXIT_CODE in codes:
        sys.exit(FORCED_STOP_EXIT_CODE)


def _force_exit(seconds: float, loop: asyncio.AbstractEventLoop) -> None:
    log.error(
        "Still running %.0f s after the stop signal; forcing the exit with code %d. Hanging: %s",
        seconds,
        FORCED_STOP_EXIT_CODE,
        _describe_hanging(loop),
    )
    os._exit(FORCED_STOP_EXIT_CODE)


def _describe_hanging(loop: asyncio.AbstractEventLoop) -> str:
    """Return the places where the tasks of the loop wait, and the place of the main thread."""
    tasks = Counter(" > ".join(map(_place, _frames(task))) for task in asyncio.all_tasks(loop))
    found = [f"{where} ({count} tasks)" if count > 1 else where for where, count in tasks.items()]
    main = sys._current_frames().get(threading.main_thread().ident or 0)
    main_place = _place(main) if main else "?"
    return "; ".join([*sorted(found), f"the main thread in {main_place}"])


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Yield the frames in which a task waits, the innermost last."""
    awaitable: Any = task.get_coro()
    while awaitable is not None:
        if frame := _attribute(awaitable, "frame"):
            yield frame
        # A step of an asynchronous generator does not refer to its generator by an attribute.
        is_step = type(awaitable).__name__.startswith("async_generator_")
        referents = gc.get_referents(awaitable) if is_step else []
        awaitable = next(filter(isasyncgen, referents), None) or _attribute(awaitable, "await")


def _attribute(awaitable: Any, name: str) -> Any:
    return getattr(awaitable, f"cr_{name}", None) or getattr(awaitable, f"ag_{name}", None)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})"
