"""Install the given files into .venv, in this order: python .ci/venv.py FILE...

A .txt file is a list of hashed requirements, pyproject.toml is the project itself,
editable. The interpreter running this is the one .venv is made of. Files installed
before and unchanged since are skipped, which makes a repeated call nearly free.
"""

import fcntl
import hashlib
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
# What .venv holds, a line per step. Absent while steps run, so that a run cut short
# at any moment is told from a complete one and the next run starts afresh.
STAMP = VENV / "installed"
PYTHON = VENV / "bin/python"
# The lists are whole. Left to look for dependencies, pip takes the newest release of one that is
# asked for with an extra, such as pydantic[email], and then misses its hash.
PIP = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]


def environment() -> tuple[str, list[str]]:
    """The step that makes .venv, due again when the folder moved or the interpreter changed."""
    place = f"{str(VENV)!a} {sys.base_prefix!a} {platform.python_version()}"
    python = Path(sys.executable)
    if VENV in python.parents:  # .venv is activated, and this is not to be made of itself
        python = python.resolve()
    return place, [str(python), "-m", "venv", "--clear", str(VENV)]


def installation(name: str) -> tuple[str, list[str]]:
    """The step that installs one file, due again when its content changed."""
    digest = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
    if name.endswith(".txt"):
        return f"{name} {digest}", [*PIP, "--require-hashes", "--requirement", name]
    return f"{name} {digest}", [*PIP, "-q", "--no-build-isolation", "--editable", "."]


def run(command: list[str], lock: IO[bytes]) -> None:
    """Run one step, its progress visible; exit with its last complaint when it fails."""
    # As standard input the lock reaches pip and everything pip starts: it stays taken
    # until the last of them is gone, even after a kill of this process alone.
    result = subprocess.run(command, cwd=ROOT, stdin=lock, stderr=subprocess.PIPE)
    if result.returncode:
        said = os.fsdecode(result.stderr)
        reason = re.findall(r".*error.*", said, re.IGNORECASE) or [f"exit {result.returncode}"]
        hint = " (is there a network?)" if "connection broken" in said else ""
        sys.exit(f"Setting up .venv failed in {command[2]}: {reason[-1].strip()}{hint}")


def due(steps: dict[str, list[str]]) -> dict[str, list[str]]:
    """The steps from the first that was not done: each one builds on those before it."""
    rest = dict(steps)
    for line in STAMP.read_text().splitlines() if STAMP.exists() and PYTHON.exists() else []:
        if line != next(iter(rest), None):
            break
        del rest[line]
    return rest


def bring_up_to_date(steps: dict[str, list[str]]) -> None:
    sys.stderr.write("Setting up .venv\n")
    with Path(__file__).open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Whoever had the lock before may have done it all.
        if rest := due(steps):
            STAMP.unlink(missing_ok=True)
            for command in rest.values():
                run(command, lock)
            STAMP.write_text("\n".join(steps))


def main(names: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.pop("MAKEFLAGS", None)  # pip may call another make
    steps = dict([environment(), *map(installation, names)])
    try:
        if due(steps):
            bring_up_to_date(steps)
    except OSError as error:
        sys.exit(f"Setting up .venv in {ROOT} failed: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
