"""Test that a failpoint does nothing unless a test arms it."""

import re
from pathlib import Path

import pytest

from icecream.runtime import failpoints

TOP = Path(__file__).parents[2]


def test_a_failpoint_does_nothing_until_it_is_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_armed", {})
    reached: list[str] = []
    failpoints.reach_failpoint("payments.leased")
    failpoints.arm_failpoint("payments.leased", lambda: reached.append("payments.leased"))
    failpoints.reach_failpoint("payments.answered")
    failpoints.reach_failpoint("payments.leased")
    assert reached == ["payments.leased"]


def test_an_unknown_failpoint_cannot_be_armed() -> None:
    with pytest.raises(KeyError):
        failpoints.arm_failpoint("payments.nowhere", lambda: None)


def test_the_code_has_exactly_these_failpoints() -> None:
    text = "".join(path.read_text() for path in (TOP / "icecream").rglob("*.py"))
    assert sorted(re.findall(r'\breach_failpoint\("([\w.]+)"\)', text)) == sorted(
        failpoints.FAILPOINTS
    )
