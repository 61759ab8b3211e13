"""Run the suite on both databases: `python -m tests [ARGUMENTS FOR PYTEST]`.

Without arguments, the command runs all tests in four runs at once, because many tests mostly wait
for processes. More runs would take longer: each starts a server, and loads everything twice, for
itself and for the processes that it forks.
`python -m tests --fast` runs only the fast tests, on SQLite.
The output is printed run by run. The runs on SQLite come last. The last line of a run names the
tests that it skipped because this machine lacks a tool.
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
# Suites with targets of their own: tests with other servers, and slow ones.
APART = (TESTS / "peers", TESTS / "clients", TESTS / "fuzz", TESTS / "kills")
DATABASES = ("postgres", "sqlite")
RUNS_AT_ONCE = 4
# On each database.
PARTS = RUNS_AT_ONCE // len(DATABASES)
# Files that start processes or browsers take longest.
STARTS_PROCESSES = re.compile(r"^from tests.* import .*\b(Shop|Sandbox|servers|forks)\b", re.M)
# The database of a file that only belongs to the run on this database.
ONLY = re.compile(r"^pytestmark = .*\bonly\(\"(\w+)\"\)", re.M)
# Each run ends with its slowest tests: the suite has to stay quick.
SLOWEST = ("--durations=40", "--durations-min=2")
PERCENT = re.compile(r"\[ *(\d+)%\]")


class Run(NamedTuple):
    """A pytest process and its log file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def percent(self) -> int:
        """The progress of the run in percent."""
        return int([0, *PERCENT.findall(self.output)][-1])


def start(database: str, words: Sequence[str], log: Path) -> Run:
    # Clear PYTHONDONTWRITEBYTECODE, so that our code is compiled only once.
    environment = os.environ | {"ICECREAM_TEST_DATABASE": database, "PYTHONDONTWRITEBYTECODE": ""}
    with log.open("wb") as file:
        command = [sys.executable, "-m", "pytest", *words]
        return Run(subprocess.Popen(command, env=environment, stdout=file, stderr=file), log)


def parts(database: str) -> list[list[str]]:
    """Return the test files of a database in parts, without the suites with targets of their own.

    Each part gets its share of the files that take longest: of those that start processes, and of
    the large ones.
    """
    texts = {
        str(file): file.read_text()
        for file in sorted(TESTS.rglob("test_*.py"))
        if not {*APART} & {*file.parents}
    }
    files = [file for file, text in texts.items() if {*ONLY.findall(text)} <= {database}]
    files.sort(key=lambda file: (not STARTS_PROCESSES.search(texts[file]), -len(texts[file])))
    return [files[n::PARTS] for n in range(PARTS)]


def selections(database: str, words: list[str]) -> list[list[str]]:
    """Return the arguments of each run on this database."""
    if words and words != ["--fast"]:
        return [words]
    return [[*(words or SLOWEST), *files] for files in parts(database)]


def wait(runs: Sequence[Run], most: int = 1) -> None:
    """Wait until less than `most` runs are active; show their progress on a terminal."""
    while sum(run.process.poll() is None for run in runs) >= most:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{' '.join(f'{run.percent:3}%' for run in runs)}")
            sys.stderr.flush()
        time.sleep(0.5)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def main() -> int:
    words = sys.argv[1:]
    is_fast = words == ["--fast"]
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="icecream-runs-")))
        runs: list[Run] = []
        for database in ("sqlite",) if is_fast else DATABASES:
            for n, selected in enumerate(selections(database, words)):
                wait(runs, RUNS_AT_ONCE)
                runs.append(start(database, selected, folder / f"{database}-{n}.log"))
                cleanup.callback(runs[-1].process.kill)
        wait(runs)
        for run in runs:
            print(run.output)  # noqa: T201
        return int(any(run.process.returncode for run in runs))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
