"""The environments of the peers that need other packages, and the source of an earlier commit."""

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from benchmarks import commands
from benchmarks.services import ROOT, Checkout

# The commit before the work on performance.
EARLIER_COMMIT = "796a91e"
EARLIER = ROOT / ".bench_cache" / EARLIER_COMMIT
ORIGINAL = ROOT / "benchmarks/original"


def install(folder: Path) -> None:
    """Install requirements.txt of a folder into the folder's own .venv, unless that was done."""
    requirements = folder / "requirements.txt"
    stamp = folder / ".venv/installed"
    if stamp.exists() and stamp.read_text() == requirements.read_text():
        return
    commands.run_command(sys.executable, "-m", "venv", "--clear", folder / ".venv")
    pip = [str(folder / ".venv/bin/python"), "-m", "pip", "--disable-pip-version-check"]
    options = ["install", "-qq", "--no-deps", "--require-hashes", "-r", str(requirements)]
    commands.run_command(*pip, *options)
    stamp.write_text(requirements.read_text())


def earlier() -> Checkout:
    """Return the earlier commit, which is taken from this repository and installed once.

    Raises:
        RuntimeError: the commit is missing, as in a clone without history.
    """
    if not EARLIER.exists():
        archive = subprocess.run(
            ["git", "archive", EARLIER_COMMIT], cwd=ROOT, capture_output=True, check=False
        )
        if archive.returncode:
            raise RuntimeError(f"git archive {EARLIER_COMMIT}: {archive.stderr.decode().strip()}")
        unfinished = EARLIER.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(unfinished, filter="data")
        unfinished.rename(EARLIER)
    install(EARLIER)
    return Checkout(EARLIER, EARLIER / ".venv/bin/python")
