"""Install the given files into .venv, in this order: python .ci/venv.py FILE...

A .txt file is a list of hashed requirements. pyproject.toml is the project itself, which is
installed as editable. .venv is made from the interpreter that runs this script. Files that have not
changed since they were installed are skipped, so a repeated call costs almost nothing.
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
# The content of .venv, one line per step. The file is absent while steps run. So an interrupted
# run is recognized, and the next run starts from the beginning.
STAMP = VENV / "installed"
PYTHON = VENV / "bin/python"
# The lists are complete. If pip looked for dependencies, it would take the newest release of a
# package that is required with an extra, such as pydantic[email], and then miss its hash.
PIP = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]


def environment() -> tuple[str, list[str]]:
    """Return the step that makes .venv; it is due again for a new folder or interpreter."""
    place = f"{str(VENV)!a} {sys.base_prefix!a} {platform.python_version()}"
    python = Path(sys.executable)
    if VENV in python.parents:  # .venv is activated, and it must not be made from its own python
        python = python.resolve()
    return place, [str(python), "-m", "venv", "--clear", str(VENV)]


def installation(name: str) -> tuple[str, list[str]]:
    """Return the step that installs one file; it is due again when the content changes."""
    digest = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
    if name.endswith(".txt"):
        return f"{name} {digest}", [*PIP, "--require-hashes", "--requirement", name]
    return f"{name} {digest}", [*PIP, "-q", "--no-build-isolation", "--editable", "."]


def run(command: list[str], lock: IO[bytes]) -> None:
    """Run one step with visible progress; if it fails, exit with its last error."""
    # pip and all processes that it starts inherit the lock as standard input. So the lock is held
    # until the last of them has ended, even if only this process is killed.
    result = subprocess.run(command, cwd=ROOT, stdin=lock, stderr=subprocess.PIPE)
    if result.returncode:
        said = os.fsdecode(result.stderr)
        reason = re.findall(r".*error.*", said, re.IGNORECASE) or [f"exit {result.returncode}"]
        hint = " (is there a network?)" if "connection broken" in said else ""
        sys.exit(f"Setting up .venv failed in {command[2]}: {reason[-1].strip()}{hint}")


def due(steps: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the steps from the first one that is not done: each step needs those before it."""
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
        # The previous holder of the lock may have done all steps.
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
