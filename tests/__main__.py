"""Run the suite on both databases: `python -m tests [WORDS FOR PYTEST]`, without words all of it.

Four runs at once, because many tests mostly wait for processes: on each database, every second file
in one run and the others in the other. What they write is printed run by run; that on SQLite comes
last, and its last line names what was left out because this machine lacks a tool.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent
DATABASES = ("postgres", "sqlite")
PERCENT = re.compile(r"\[ *(\d+)%\]")


class Run(NamedTuple):
    """A pytest that runs, and where it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def percent(self) -> int:
        """How far it is."""
        return int([0, *PERCENT.findall(self.output)][-1])


def start(database: str, words: Sequence[str], log: Path) -> Run:
    # Our code is compiled once, also where PYTHONDONTWRITEBYTECODE is set.
    environment = os.environ | {"ICECREAM_TEST_DATABASE": database, "PYTHONDONTWRITEBYTECODE": ""}
    with log.open("wb") as file:
        command = [sys.executable, "-m", "pytest", *words]
        return Run(subprocess.Popen(command, env=environment, stdout=file, stderr=file), log)


def halves() -> list[list[str]]:
    """The files of all tests, but those that need other servers beside ours."""
    files = sorted(map(str, TESTS.glob("test_*.py")))
    return [files[0::2], files[1::2]]


def wait(runs: Sequence[Run]) -> None:
    """Return once all have ended; a terminal shows how far they are."""
    while any(run.process.poll() is None for run in runs):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{' '.join(f'{run.percent:3}%' for run in runs)}")
            sys.stderr.flush()
        time.sleep(0.5)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def main() -> int:
    words = sys.argv[1:]
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="icecream-runs-")))
        runs = []
        for database in DATABASES:
            for n, some in enumerate([words] if words else halves()):
                runs.append(start(database, some, folder / f"{database}-{n}.log"))
                held.callback(runs[-1].process.kill)
        wait(runs)
        for run in runs:
            print(run.output)  # noqa: T201
        return int(any(run.process.returncode for run in runs))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
