"""Test that the suite names the tests that it leaves out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

TESTS = """
import pytest

@pytest.mark.needs("npm")
@pytest.mark.parametrize("n", [1, 2])
def test_two(n): ...

@pytest.mark.needs("node")
def test_one(): ...

@pytest.mark.needs("git")
def test_nobody_asked_for(): ...

def test_nothing_is_needed_for(): ...
"""

# These tests do not use a database.
pytestmark = [pytest.mark.only("sqlite"), pytest.mark.slow]


def without_tools(folder: Path, *, ci: str) -> subprocess.CompletedProcess[str]:
    """Run such tests with an empty PATH."""
    (folder / "conftest.py").write_text("from tests.conftest import *")
    (folder / "test_it.py").write_text(TESTS)
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", "."]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-k", "not nobody", "test_it.py"],
        cwd=folder,
        env=os.environ | {"PATH": "", "PYTHONPATH": str(ROOT), "CI": ci},
        capture_output=True,
        text=True,
    )


def test_the_last_line_names_the_tests_that_a_missing_tool_skips(tmp_path: Path) -> None:
    run = without_tools(tmp_path, ci="")
    *_, summary, last = run.stdout.splitlines()
    assert run.returncode == 0, run.stdout
    assert summary.startswith("1 passed, 4 deselected")
    assert last == "Not run, this machine has no npm: 2 tests; no node: 1 test"


def test_in_ci_a_missing_tool_stops_the_run(tmp_path: Path) -> None:
    run = without_tools(tmp_path, ci="true")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert run.stderr.strip() == "ERROR: CI is set, but this machine has no npm, no node."
    assert "passed" not in run.stdout
