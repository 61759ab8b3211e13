"""Test that code, pages and documents avoid turns that people have to read twice."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each of these has a plain word: "any", "again", "automatically", "review", "refunded", "sent", ...
BANNED = re.compile(
    r"(?<![\w.-])(whoever|whichever|whatever|of which|of whom|anew|by itself|a hand|"
    r"giv(?:e|es|en|ing) back|gave back|told|tells?|believed?|so that nobody|nobody|somebody|"
    r"everybody|hears?|heard|thereby|therein|hence|likewise|lest|whence|goes on|go on|in vain|"
    r"mend(?:s|ed|ing)?|wherein|shall|upon)(?![\w-])",
    re.IGNORECASE,
)
# Where such a word is right: the file and the word, with the reason.
EXCEPTIONS: set[tuple[str, str]] = set()
SUFFIXES = {"", ".py", ".md", ".html", ".js", ".css", ".sh", ".conf", ".cfg", ".yml", ".toml"}
FOLDERS = ("icecream", "tasks", "docs", "benchmarks", "deploy", "findings", ".github", ".ci")
PLACES = ["*.md", "Makefile", "Dockerfile", "docker-compose.yml", ".env.example"]
# Not ours, or not text.
IGNORED = {"node_modules", "__pycache__", ".venv"}
# These tests do not use a database.
pytestmark = pytest.mark.only("sqlite")


def files() -> list[str]:
    """Return the texts in these places, as paths below the root."""
    found = [path for place in PLACES for path in ROOT.glob(place)]
    for top in FOLDERS:
        for folder, inner, names in os.walk(ROOT / top):
            inner[:] = {*inner} - IGNORED
            found += [Path(folder, name) for name in names]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.suffix in SUFFIXES)


@pytest.mark.parametrize("name", files())
def test_a_text_has_no_banned_turn(name: str) -> None:
    found = {match[1].lower() for match in BANNED.finditer((ROOT / name).read_text())}
    assert {(name, word) for word in found} <= EXCEPTIONS


def test_every_exception_is_needed() -> None:
    for name, word in EXCEPTIONS:
        assert word in (ROOT / name).read_text().lower()
