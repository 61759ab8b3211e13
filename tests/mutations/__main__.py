"""Run the tests against each mutation: python -m tests.mutations [WORDS IN A NAME]."""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import click

from tests.mutations import Mutation
from tests.mutations.rules import MUTATIONS

TOP = Path(__file__).parents[2]
# A mutation that makes the tests hang is seen, too.
TIMEOUT_SECONDS = 300
# pytest's own: all passed, some failed.
PASSED, FAILED = 0, 1


def _copy(folder: Path) -> Path:
    """The files of this tree as they are now, also those that are not committed."""
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


def _code(tree: Path, tests: str, database: str) -> int:
    """What pytest ends with in this tree."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    try:
        return subprocess.run(
            [*words, *tests.split()],
            cwd=tree,
            env=os.environ | {"ICECREAM_TEST_DATABASE": database, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
        ).returncode
    except subprocess.TimeoutExpired:
        return FAILED


def _survives(tree: Path, mutation: Mutation) -> bool:
    path = tree / mutation.file
    text = path.read_text()
    path.write_text(text.replace(mutation.old, mutation.new, 1))
    try:
        code = _code(tree, mutation.tests, mutation.database)
    finally:
        path.write_text(text)
    if code not in (PASSED, FAILED):
        raise SystemExit(f"{mutation.name}: pytest ended with {code}, so nothing was tested.")
    return code == PASSED


def _survivors(chosen: list[Mutation], folder: Path) -> list[Mutation]:
    """Those that no test sees; as many at a time as there are processors."""
    trees: Queue[Path] = Queue()
    for n in range(os.cpu_count() or 1):
        trees.put(_copy(folder / str(n)))
    for tests, database in sorted({(one.tests, one.database) for one in chosen}):
        if _code(folder / "0", tests, database) != PASSED:
            raise SystemExit(f"{tests} fails on {database} without any mutation.")

    def attempt(mutation: Mutation) -> bool:
        tree = trees.get()
        try:
            return _survives(tree, mutation)
        finally:
            trees.put(tree)

    with (
        ThreadPoolExecutor(trees.qsize()) as pool,
        click.progressbar(length=len(chosen), label="Mutations") as bar,
    ):
        survived = []
        for mutation, lives in zip(chosen, pool.map(attempt, chosen), strict=True):
            bar.update(1)
            survived += [mutation] * lives
    return survived


def main() -> None:
    words = sys.argv[1:]
    chosen = [one for one in MUTATIONS if all(word in one.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="icecream-mutations-") as folder:
        survived = _survivors(chosen, Path(folder))
    for mutation in survived:
        click.echo(f"SURVIVED  {mutation.name} ({mutation.file})")
    caught = len(chosen) - len(survived)
    click.echo(f"{caught} of {len(chosen)} mutations caught.")
    sys.exit(caught < 0.95 * len(chosen))


if __name__ == "__main__":
    main()
