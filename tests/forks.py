"""Python processes that need not load their libraries first, which takes most of a start.

A process that has loaded them waits, and what is started is forked from it. Our own code is loaded
by the fork, as ever: it reads its settings then.
"""

import atexit
import builtins
import gc
import multiprocessing
import multiprocessing.process
import os
import runpy
import signal
import sys
import threading
from multiprocessing import connection
from pathlib import Path
from types import ModuleType

LIBRARIES = [
    "aiosqlite",
    "asyncpg",
    "chartkick",
    "dotenv",
    "iso4217",
    "jinja2",
    "limits.aio.storage",
    "limits.aio.strategies",
    "litestar",
    "litestar.middleware",
    "litestar.openapi.plugins",
    "litestar.plugins.attrs",
    "litestar.plugins.pydantic",
    "litestar.security.jwt",
    "piccolo.apps.migrations.commands.backwards",
    "piccolo.apps.migrations.commands.forwards",
    "piccolo_admin.endpoints",
    "pytest",
    "stripe",
    "structlog",
    "taskiq",
    "taskiq_redis",
    "tests.forks",
    "uvicorn",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.supervisors",
]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(LIBRARIES)
# What a process ended with can be read once; starting one reads it of all that have ended.
_one_at_a_time = threading.Lock()


class Fork:
    """Python with these `words` on its command line, in a session of its own.

    What it writes goes to `log`.
    """

    def __init__(
        self, words: tuple[str, ...], environment: dict[str, str], folder: Path, log: Path
    ) -> None:
        log.write_bytes(b"")
        self._process = _context.Process(target=_run, args=(words, environment, folder, log))
        with _one_at_a_time:
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def code(self) -> int | None:
        """What it ended with, or minus the signal that ended it; nothing while it runs."""
        with _one_at_a_time:
            return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        connection.wait([self._process.sentinel], seconds)
        code = self.code
        if code is None:
            raise TimeoutError(f"It did not end within {seconds} s.")
        return code

    def signal(self, number: int) -> None:
        if self.code is None:
            os.kill(self.pid, number)


def _run(words: tuple[str, ...], environment: dict[str, str], folder: Path, log: Path) -> None:
    # What was loaded before stays; collecting garbage need not look through it.
    gc.freeze()
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, str(log), os.O_WRONLY | os.O_APPEND),
        (2, str(log), os.O_WRONLY | os.O_APPEND),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, target)
        os.close(opened)
    sys.stdin = os.fdopen(0)
    # Nobody's child: a server that finds a parent takes itself for one of several.
    multiprocessing.process._parent_process = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _hash_quickly()
    option, what, *rest = words
    try:
        if option == "-m":
            sys.argv = [what, *rest]
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            assert option == "-c"
            sys.argv = [option, *rest]
            sys.modules["__main__"] = main = ModuleType("__main__")
            main.__dict__["__builtins__"] = builtins
            exec(what, main.__dict__)
    finally:
        atexit._run_exitfuncs()


def _hash_quickly() -> None:
    """Make new passwords cheap to check; how slow they are meant to be is tested elsewhere."""
    from icecream import passwords

    passwords.ITERATIONS = 1000
