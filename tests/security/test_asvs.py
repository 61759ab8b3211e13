"""Test that docs/asvs.md has each requirement once, and names only files that exist."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.only("sqlite")
ROWS = re.findall(
    r"^\| ([\d., -]+) \| (\S+) \| (.+) \|$", (ROOT / "docs/asvs.md").read_text(), re.MULTILINE
)
# The numbers of requirements of levels 1 and 2 in each chapter of version 5.0.0.
NUMBERS = {1: 27, 2: 11, 3: 19, 4: 10, 5: 9, 6: 35, 7: 18, 8: 7, 9: 7, 10: 29}
NUMBERS |= {11: 14, 12: 9, 13: 13, 14: 9, 15: 13, 16: 16, 17: 7}


def requirements() -> Iterator[str]:
    for numbers, _, _ in ROWS:
        for part in numbers.split(", "):
            first, _, last = part.partition("-")
            section, _, begin = first.rpartition(".")
            end = last.rpartition(".")[2] or begin
            yield from (f"{section}.{n}" for n in range(int(begin), int(end) + 1))


def test_each_requirement_is_there_once() -> None:
    found = list(requirements())
    assert not [one for one, n in Counter(found).items() if n > 1]
    assert Counter(int(one.split(".")[0]) for one in found) == NUMBERS
    assert {answer for _, answer, _ in ROWS} == {"yes", "part", "no", "host", "n/a"}


def test_each_named_file_exists() -> None:
    for _, _, text in ROWS:
        for name in re.findall(r"`([\w/.-]+\.(?:py|txt|html))`", text):
            places = (ROOT / "tests", ROOT / "icecream", ROOT)
            assert any((place / name).exists() for place in places), name
