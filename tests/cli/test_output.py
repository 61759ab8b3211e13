"""Test what commands print."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from icecream.cli import output

ROWS: list[dict[str, Any]] = [
    {"id": 7, "name": "Ada", "total": 104_000, "currency": "EUR", "paid": True, "at": None},
    {"id": 10, "name": "x\x1b[2J", "total": None, "currency": "EUR", "paid": False, "at": None},
]
COLUMNS = ("id", "name", "total", "currency", "paid", "at")


def test_a_table_has_a_header_and_aligned_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """A character that a terminal would carry out is written as text."""
    ROWS[0]["at"] = datetime(2025, 5, 13, 10, 22, 6, tzinfo=UTC)
    output.print_rows(ROWS, COLUMNS, as_json=False, amounts=("total",))
    assert capsys.readouterr().out.splitlines() == [
        "ID  NAME             TOTAL  PAID  AT",
        " 7  Ada       1,040.00 EUR  yes   2025-05-13 10:22:06Z",
        r"10  x\x1b[2J             -  no    -",
    ]


def test_json_has_the_values_and_the_currency(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_rows(ROWS, COLUMNS[:4], as_json=True, amounts=("total",))
    assert json.loads(capsys.readouterr().out) == [
        {"id": 7, "name": "Ada", "total": 104_000, "currency": "EUR"},
        {"id": 10, "name": "x\x1b[2J", "total": None, "currency": "EUR"},
    ]


def test_an_empty_table_has_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_rows([], ("id", "name"), as_json=False)
    assert capsys.readouterr().out == "ID  NAME\n"


def test_facts_are_lines_or_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"database": "x.sqlite", "warnings": ["one", "two"]}
    output.print_facts(facts, as_json=False)
    output.print_facts(facts, as_json=True)
    lines = "database  x.sqlite\nwarnings  one, two\n"
    printed = capsys.readouterr().out
    assert printed.startswith(lines)
    assert json.loads(printed.removeprefix(lines)) == facts
