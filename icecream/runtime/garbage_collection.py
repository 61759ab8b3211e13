"""Pauses of Python's garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Collect no garbage in this block, which imports or builds what the process keeps.

    Such a block creates many objects and hardly any garbage, and scanning them all again and again
    would take a fifth of the start. Afterwards, the collector ignores all objects that exist by
    then. Otherwise, all requests would stop for a tenth of a second each time it scans them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
