"""Test that docs/architecture.md, the import rules and the tests match the modules."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PAGE = (TOP / "docs" / "architecture.md").read_text()
# Every file, as its path without the suffix.
FILES = sorted(
    str(path.relative_to(TOP).with_suffix(""))
    for folder in ("icecream", "tasks")
    for path in (TOP / folder).rglob("*.py")
)
MODULES = [file for file in FILES if not file.endswith(("/__init__", "/__main__"))]
# The packages and modules directly in `icecream`, and the package `tasks`.
ROOMS = sorted({module.split("/")[1] for module in MODULES if module.startswith("icecream/")})
# Parts that may import Litestar; `accounts.tokens` extends Litestar's own token.
HTTP = re.compile(
    r"icecream/(app|(http|admin|dashboard|pages|sandbox|staff|cli)/.*|\w+/http(/.*)?|accounts/tokens)$"
)
VAGUE = {"services", "repositories", "utils", "helpers", "common", "core", "manager", "misc"}


def test_imports_follow_the_layers() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_every_package_has_its_tests() -> None:
    files = [path.relative_to(TOP / "tests") for path in (TOP / "tests").rglob("test_*.py")]
    folders = {file.parts[0] for file in files if len(file.parts) > 1}
    alone = {file.stem.removeprefix("test_") for file in files if len(file.parts) == 1}
    assert {*ROOMS, "tasks"} <= folders | alone


def shown() -> Iterator[str]:
    """Yield the modules in the map, as paths without the suffix."""
    folders: list[str] = []
    for line in PAGE.split("## Map")[1].split("```")[1].strip().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name.rstrip("/"))
        elif name.endswith(".py"):
            yield "/".join([*folders, name.removesuffix(".py")])


def defines_something(file: str) -> bool:
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    tree = ast.parse((TOP / f"{file}.py").read_text())
    return any(isinstance(node, definitions) for node in tree.body)


def test_the_map_lists_exactly_the_modules() -> None:
    """Also an `__init__.py` with functions or classes."""
    packages = [file for file in FILES if file.endswith("/__init__") and defines_something(file)]
    assert sorted(shown()) == sorted(MODULES + packages)


def test_no_module_has_a_meaningless_name() -> None:
    assert not VAGUE & {part for module in MODULES for part in module.split("/")}


def imported(module: str) -> Iterator[str]:
    tree = ast.parse((TOP / f"{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("module", [one for one in FILES if not HTTP.match(one)])
def test_business_rules_do_not_import_http(module: str) -> None:
    web = re.compile(r"litestar\b|icecream\.http\b|icecream\.\w+\.http\b")
    assert not [name for name in imported(module) if web.match(name)]


def test_no_two_classes_have_the_same_name() -> None:
    names = Counter(
        node.name
        for file in FILES
        for node in ast.parse((TOP / f"{file}.py").read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def layers() -> list[list[str]]:
    contract = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]
    return [layer.split(" | ") for layer in contract["contracts"][0]["layers"]]


def test_every_package_belongs_to_a_layer() -> None:
    rooms = {f"icecream.{room}" for room in ROOMS}
    assert {room for layer in layers() for room in layer} == rooms | {"tasks"}


def test_the_diagram_shows_the_layers() -> None:
    picture = PAGE.split("## Imports")[1].split("```")[1]
    rows = [row.split() for row in picture.strip().splitlines()]
    assert rows == [[room.removeprefix("icecream.") for room in layer] for layer in layers()]
