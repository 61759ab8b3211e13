"""Test that our code does not contain what opens the usual holes, as docs/asvs.md says.

Each test reads the source, because a request that would show such a hole must not be possible.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.only("sqlite")
SOURCES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text())
    for folder in ("icecream", "tasks")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
# Functions of `os` and `asyncio` that run commands.
RUNNING = re.compile(r"system|popen|(exec|spawn)[lv]p?e?|posix_spawnp?|create_subprocess_\w+")
CLIENTS = {
    "httpx",
    "httpcore",
    "aiohttp",
    "requests",
    "stripe",
    "urllib.request",
    "http.client",
    "urllib3",
}
# The packages that may call other services, and whom they call.
CALLERS = {
    "icecream/payments/providers": "the payment provider, at an address from the settings",
    "icecream/webhooks": "addresses that users choose, never one of a private network",
    "icecream/sandbox": "the service under test, at the address on the command line",
}
# Numbers and signs from the tables of locales.
OF_LOCALES = {("icecream/money.py", name) for name in ("others", "first", "fraction")}
STORAGE = re.compile(r"\b(localStorage|sessionStorage|indexedDB|caches\.open)\b")


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Yield each part of our code with its file."""
    for file, tree in SOURCES.items():
        for node in ast.walk(tree):
            yield file, node


def imported(node: ast.AST) -> set[str]:
    """Return the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()


def runs_a_command(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(ast.Name("os" | "asyncio"), name):
            return RUNNING.fullmatch(name) is not None
    return bool(imported(node) & {"subprocess", "pty"})


def test_the_only_commands_are_our_own_workers() -> None:
    found = [(file, ast.unparse(node)) for file, node in nodes() if runs_a_command(node)]
    # Without a shell; its words are the path of Python and a number.
    assert found == [("icecream/cli/worker.py", "asyncio.create_subprocess_exec")]


def test_only_the_named_packages_call_other_services() -> None:
    found = {Path(file).parent.as_posix() for file, node in nodes() if imported(node) & CLIENTS}
    assert found == CALLERS.keys()


def is_fixed(file: str, pattern: ast.expr) -> bool:
    """Return whether a regular expression consists of constants and escaped parts."""
    match pattern:
        case ast.Constant():
            return True
        case ast.Name(name) | ast.Attribute(attr=name):
            return name.isupper() or (file, name) in OF_LOCALES
        case ast.Call(ast.Attribute(ast.Name("re"), "escape")):
            return True
        case ast.Call(ast.Attribute(ast.Constant(), "join"), [words]):
            return is_fixed(file, words)
        case ast.JoinedStr(parts) | ast.Tuple(parts):
            return all(is_fixed(file, part) for part in parts)
        case ast.FormattedValue(value):
            return is_fixed(file, value)
        case ast.BinOp(left, _, right):
            return is_fixed(file, left) and is_fixed(file, right)
    return False


def patterns() -> Iterator[tuple[str, ast.expr]]:
    for file, node in nodes():
        match node:
            case ast.Call(ast.Attribute(ast.Name("re"), name), [pattern, *_]) if name != "escape":
                yield file, pattern


def test_no_pattern_is_built_from_input() -> None:
    found = list(patterns())
    assert len(found) >= 30
    assert not [f"{file}:{one.lineno}" for file, one in found if not is_fixed(file, one)]


def test_our_pages_store_nothing_in_the_browser() -> None:
    pages = [path for kind in ("js", "html") for path in (ROOT / "icecream").rglob(f"*.{kind}")]
    assert len(pages) >= 5
    assert [path.name for path in pages if STORAGE.search(path.read_text())] == []
