"""Test that a failpoint does nothing unless a test arms it."""

import re
from pathlib import Path

import pytest

from icecream.runtime import failpoints

TOP = Path(__file__).parents[2]


def test_nothing_happens_until_something_is_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_armed", {})
    reached: list[str] = []
    failpoints.reach("payments.claimed")
    failpoints.arm("payments.claimed", lambda: reached.append("payments.claimed"))
    failpoints.reach("payments.answered")
    failpoints.reach("payments.claimed")
    assert reached == ["payments.claimed"]


def test_a_place_that_does_not_exist_cannot_be_armed() -> None:
    with pytest.raises(KeyError):
        failpoints.arm("payments.nowhere", lambda: None)


def test_the_code_has_just_these_places() -> None:
    text = "".join(path.read_text() for path in (TOP / "icecream").rglob("*.py"))
    assert sorted(re.findall(r'\breach\("([\w.]+)"\)', text)) == sorted(failpoints.NAMES)
