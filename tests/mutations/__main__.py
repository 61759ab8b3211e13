"""Run the tests against each mutation: python -m tests.mutations [WORDS IN A NAME]."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import Queue

import click

from tests.mutations import Mutation
from tests.mutations.rules import MUTATIONS

TOP = Path(__file__).parents[2]
# A mutation that makes the tests hang counts as caught.
TIMEOUT_SECONDS = 150
# The exit codes of pytest if all tests passed or some failed, and our code for a time-out.
PASSED, FAILED, TIMED_OUT = 0, 1, -1
# With any other exit code nothing was tested, for example because the interpreter crashed.
MAX_TRIES = 2
RESULTS = {PASSED: "SURVIVED", FAILED: "caught", TIMED_OUT: "timed out"}
MIN_CAUGHT_SHARE = 0.95


def _copy(folder: Path) -> Path:
    """Copy the current files of this tree, also those that are not committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (TOP / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, folder / name)
    return folder


def _code(tree: Path, tests: str, database: str, *, quiet: bool = True) -> int:
    """Return the exit code of pytest in this tree.

    Only a run that is not quiet writes compiled files, because it runs without a mutation.
    """
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    try:
        return subprocess.run(
            [*words, *shlex.split(tests)],
            cwd=tree,
            env=os.environ
            | {"ICECREAM_TEST_DATABASE": database, "PYTHONDONTWRITEBYTECODE": "1" * quiet},
            capture_output=quiet,
            timeout=TIMEOUT_SECONDS if quiet else None,
        ).returncode
    except subprocess.TimeoutExpired:
        return TIMED_OUT


def _result(tree: Path, mutation: Mutation) -> str:
    path = tree / mutation.file
    text = path.read_text()
    path.write_text(text.replace(mutation.old, mutation.new, 1))
    try:
        for _ in range(MAX_TRIES):
            code = _code(tree, mutation.tests, mutation.database)
            if code in RESULTS:
                return RESULTS[code]
    finally:
        path.write_text(text)
    return f"ended {code}"


def _check(tree: Path, chosen: list[Mutation]) -> None:
    """Stop if a test fails without a mutation, because it would seem to catch every mutation."""
    for database in sorted({one.database for one in chosen}):
        tests = {one.tests for one in chosen if one.database == database}
        words = {word for one in tests for word in shlex.split(one)}
        files = " ".join(sorted(word for word in words if word.startswith("tests/")))
        if _code(tree, files, database, quiet=False) != PASSED:
            raise SystemExit(f"Without any mutation one of these fails on {database}: {files}.")


def _results(chosen: list[Mutation], folder: Path) -> Iterator[tuple[Mutation, str]]:
    """Yield each mutation with its result, as soon as the result is known.

    As many mutations run at a time as there are processors.
    """
    trees: Queue[Path] = Queue()
    trees.put(first := _copy(folder / "first"))
    _check(first, chosen)
    for n in range(1, os.cpu_count() or 1):
        trees.put(shutil.copytree(first, folder / str(n)))

    def attempt(mutation: Mutation) -> tuple[Mutation, str]:
        tree = trees.get()
        try:
            return mutation, _result(tree, mutation)
        finally:
            trees.put(tree)

    with ThreadPoolExecutor(trees.qsize()) as pool:
        for done in as_completed([pool.submit(attempt, mutation) for mutation in chosen]):
            yield done.result()


def main() -> None:
    words = sys.argv[1:]
    chosen = [one for one in MUTATIONS if all(word in one.name for word in words)]
    found = Counter[str]()
    with tempfile.TemporaryDirectory(prefix="icecream-mutations-") as folder:
        for n, (mutation, result) in enumerate(_results(chosen, Path(folder)), start=1):
            found[result] += 1
            click.echo(f"{n:3} of {len(chosen)}  {result:9}  {mutation.name}")
    late, caught = found[RESULTS[TIMED_OUT]], found[RESULTS[FAILED]] + found[RESULTS[TIMED_OUT]]
    click.echo(f"{caught} of {len(chosen)} mutations caught, {late} by a time-out.")
    sys.exit(caught < MIN_CAUGHT_SHARE * len(chosen))


if __name__ == "__main__":
    main()
