"""Test that docs/architecture.md, the import rules and the tests match the modules."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).parents[1]
ROOMS = sorted(
    str(path.relative_to(TOP)).removesuffix(".py").removesuffix("/__init__")
    for folder in ("icecream", "tasks")
    for path in [*(TOP / folder).glob("*.py"), *(TOP / folder).glob("*/__init__.py")]
    if path.name not in ("__init__.py", "__main__.py") or path.parent.name != folder
)


def test_the_imports_run_one_way() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_every_room_has_its_tests() -> None:
    tests = {path.name for path in (TOP / "tests").glob("test_*.py")}
    assert {f"test_{Path(room).name}.py" for room in ROOMS} <= tests


def test_the_map_names_every_room_and_no_other() -> None:
    page = (TOP / "docs" / "architecture.md").read_text()
    named = re.findall(r"^\| `((?:icecream|tasks)/\w+)(?:\.py|/)` \|", page, flags=re.MULTILINE)
    assert sorted(named) == ROOMS


def test_no_room_has_a_name_that_says_nothing() -> None:
    vague = {"services", "repositories", "utils", "helpers", "common", "core", "manager", "misc"}
    assert not vague & {Path(room).name for room in ROOMS}


def layers() -> list[list[str]]:
    contract = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]
    return [layer.split(" | ") for layer in contract["contracts"][0]["layers"]]


def test_no_room_is_left_out_of_the_layers() -> None:
    rooms = {room.replace("/", ".") for room in ROOMS if room.startswith("icecream/")}
    assert {room for layer in layers() for room in layer} == rooms | {"tasks"}


def test_the_picture_shows_the_layers() -> None:
    page = (TOP / "docs" / "architecture.md").read_text()
    picture = page.split("## Imports")[1].split("```")[1]
    rows = [re.sub(r"\(.*\)", "", row).split() for row in picture.strip().splitlines()]
    assert rows == [[room.removeprefix("icecream.") for room in layer] for layer in layers()]
