"""Python processes that start quickly, because the libraries are already loaded.

Loading libraries takes most of a start. One process loads them and waits, and new processes are
forked from it. A fork loads our own code as usual, and reads its settings then.
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
# An exit code can be read only once; starting a process reads those of all that have ended.
_one_at_a_time = threading.Lock()


class Fork:
    """A Python process with these `words` on its command line, in its own session.

    Its output goes to `log`.
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
        """The exit code, or the negative number of the signal that ended it; None while it runs."""
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
    # Modules that are loaded already stay in memory, so the garbage collector need not scan them.
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
    # No parent process: a server that finds one acts as one of several server processes.
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
    """Make new passwords cheap to check; other tests cover the real cost."""
    from icecream.runtime import passwords

    passwords.ITERATIONS = 1000
