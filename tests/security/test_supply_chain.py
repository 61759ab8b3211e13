"""Test the checks of our own code and of the dependencies."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.only("sqlite")
PROGRAMS = Path(sys.executable).parent
PACKAGE = {"name": "one", "version": "1.0"}
ADVISORY = {"id": "PYSEC-1", "fix_versions": ["1.1"]}


def test_bandit_finds_nothing() -> None:
    words = ["--quiet", "--recursive", "--configfile", "pyproject.toml", "icecream", "tasks"]
    run = subprocess.run([PROGRAMS / "bandit", *words], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_sbom_contains_each_pinned_package_with_its_hash() -> None:
    words = ["requirements", "--pyproject", "pyproject.toml", "--of", "JSON", "requirements.txt"]
    run = subprocess.run([PROGRAMS / "cyclonedx-py", *words], cwd=ROOT, capture_output=True)
    document = json.loads(run.stdout)
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "icecream-distribution"
    pinned = (ROOT / "requirements.txt").read_text().splitlines()
    names = {line.split("==")[0].split("[")[0] for line in pinned if "==" in line}
    assert {one["name"].split("[")[0] for one in document["components"]} == names
    for one in document["components"]:
        assert one["externalReferences"][0]["hashes"], one["name"]


@pytest.mark.parametrize(
    ("packages", "code", "line"),
    [
        ([], 0, "The advisory service was not reached: nothing was checked."),
        ([PACKAGE | {"skip_reason": "not found"}], 0, "The advisory service was not reached"),
        ([PACKAGE | {"vulns": []}], 0, "1 of 1 packages were checked."),
        ([PACKAGE | {"vulns": [ADVISORY]}], 1, "one 1.0: PYSEC-1, fixed in 1.1"),
    ],
)
def test_an_audit_fails_for_a_known_vulnerability_only(
    packages: list[dict[str, Any]],
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
    assert spec is not None and spec.loader is not None
    audit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(audit)
    monkeypatch.setattr(audit, "find_advisories", lambda names: packages)
    assert audit.main(["requirements.txt"]) == code
    assert line in capsys.readouterr().out
