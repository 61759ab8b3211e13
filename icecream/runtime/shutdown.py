"""Forced end of a process that hangs after a stop signal."""

import asyncio
import gc
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from inspect import isasyncgen
from pathlib import Path
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)
# The exit code of a forced end: EX_SOFTWARE of sysexits.h.
FORCED_STOP = 70


def force_after(seconds: float) -> threading.Timer:
    """End this process after some seconds, unless it has ended or the timer was canceled.

    No data is lost: acknowledged work is on the disk, and each lease expires. The timer is a
    thread, because the event loop itself may hang.
    """
    timer = threading.Timer(seconds, _force, (seconds, asyncio.get_running_loop()))
    timer.daemon = True
    timer.start()
    return timer


def _force(seconds: float, loop: asyncio.AbstractEventLoop) -> None:
    log.error(
        "Still running %.0f s after being told to stop, so it ends by force (exit code %d); "
        "what hangs: %s",
        seconds,
        FORCED_STOP,
        _what_hangs(loop),
    )
    os._exit(FORCED_STOP)


def _what_hangs(loop: asyncio.AbstractEventLoop) -> str:
    """Return where the tasks of the loop wait, and what the main thread does."""
    tasks = Counter(" > ".join(map(_place, _frames(task))) for task in asyncio.all_tasks(loop))
    found = [f"{where} ({count} tasks)" if count > 1 else where for where, count in tasks.items()]
    main = sys._current_frames().get(threading.main_thread().ident or 0)
    return "; ".join([*sorted(found), f"the main thread in {_place(main) if main else '?'}"])


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Yield the frames in which a task waits, the innermost last."""
    one: Any = task.get_coro()
    while one is not None:
        if frame := _attribute(one, "frame"):
            yield frame
        # A step of an asynchronous generator does not refer to its generator by an attribute.
        steps = gc.get_referents(one) if type(one).__name__.startswith("async_generator_") else []
        one = next(filter(isasyncgen, steps), None) or _attribute(one, "await")


def _attribute(one: Any, name: str) -> Any:
    return getattr(one, f"cr_{name}", None) or getattr(one, f"ag_{name}", None)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})"
