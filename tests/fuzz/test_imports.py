"""Test that no hostile value in a cell or a member of an imported file is a server error.

Each row is imported, or refused with a result that names its field.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from icecream.bulk import columns, running
from tests.bulk.test_importing import name_of, require_sound
from tests.conftest import Caller, new_flavor
from tests.fuzz import hostile

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
KINDS = ("flavors", "prices", "customers", "stock", "orders")
CSV, JSON_LINES = "text/csv", "application/x-ndjson"
CELLS = [(kind, name) for kind in KINDS for name in columns.column_names(running.KINDS[kind])]
MEMBERS = [(kind, name) for kind in KINDS for name in running.KINDS[kind].columns]
LINE_MEMBERS = [("orders", name) for name in running.KINDS["orders"].line_columns]


class File:
    """Rows of a kind that are valid, except for the value that is tried in each of them."""

    def __init__(self, kind: str, caller: Caller, flavor: str, customer: str) -> None:
        self.kind, self.caller = kind, caller
        self._flavor, self._customer = flavor, customer

    def row(self, number: int) -> dict[str, Any]:
        """Return a valid row; its number distinguishes it from all others."""
        unique, named = f"{self._flavor} {number}", {"flavor_name": self._flavor}
        line = named | {"quantity": 1}
        rows: dict[str, dict[str, Any]] = {
            "flavors": {"name": unique},
            "prices": named | {"price_minor": 1},
            "customers": {"username": unique},
            "stock": {"key": unique, **line, "reason": "a test"},
            "orders": {"key": unique, "customer": self._customer, **line},
        }
        return rows[self.kind]

    async def send(
        self, media: str, parts: Sequence[Any], write: Callable[[Sequence[Any]], bytes]
    ) -> list[tuple[Any, dict[str, Any]]]:
        """Import parts of a file, and return each with its result.

        A file that cannot be read is refused as a whole. Then each half of it is imported alone.
        """
        answer = await self.caller.post(
            f"/api/import/{self.kind}", content=write(parts), headers={"Content-Type": media}
        )
        assert answer.status_code in (200, 400), answer.text[:500]
        results = [answer.json()] if answer.status_code == 400 else read_results(answer)
        if len(parts) == 1:
            return [(parts[0], one) for one in results]
        if answer.status_code == 200 and len(results) == len(parts):
            return list(zip(parts, results, strict=True))
        middle = len(parts) // 2
        return [
            one
            for half in (parts[:middle], parts[middle:])
            for one in await self.send(media, half, write)
        ]


def read_results(answer: httpx.Response) -> list[dict[str, Any]]:
    *results, last = map(json.loads, answer.text.removesuffix("\n").split("\n"))
    assert last.keys() == {"summary"}
    return results


def check(results: Sequence[tuple[Any, dict[str, Any]]], name: str) -> None:
    """Check that each value was imported, or refused with its name or for the whole file."""
    field, named = re.sub("_(eur|minor)$", "", name), 0
    for value, result in results:
        if "status" in result:
            assert result["code"] == "validation-failed", (name, str(value)[:80], result)
        elif result["result"] == "refused" and field in result["pointer"]:
            named += 1
        elif result["result"] == "refused":
            # Some texts are not JSON, or add another member.
            other = result["code"] == "malformed" or result["pointer"] == "/quantity"
            assert other, (name, str(value)[:80], result)
    assert len(results) >= 1000
    assert named, name


@pytest.fixture
async def file(request: pytest.FixtureRequest, staff: Caller, customer: Caller) -> File:
    return File(request.param, staff, await name_of(await new_flavor()), customer.user.username)


@pytest.mark.parametrize(("file", "name"), CELLS, indirect=["file"])
async def test_no_value_of_a_cell_is_a_server_error(file: File, name: str) -> None:
    def write(parts: Sequence[tuple[int, str]]) -> bytes:
        text = io.StringIO(newline="")
        rows = [file.row(number) | {name: value} for number, value in parts]
        writer = csv.DictWriter(text, rows[0], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode("utf-8", "surrogateescape")

    check(await file.send(CSV, list(enumerate(hostile.plain_texts())), write), name)
    await require_sound()


@pytest.mark.parametrize(("file", "name"), [*MEMBERS, *LINE_MEMBERS], indirect=["file"])
async def test_no_value_of_a_member_is_a_server_error(file: File, name: str) -> None:
    def write(parts: Sequence[tuple[int, str]]) -> bytes:
        return b"".join(_member_line(file.row(number), name, value) for number, value in parts)

    check(await file.send(JSON_LINES, list(enumerate(hostile.json_texts())), write), name)
    await require_sound()


def _member_line(row: dict[str, Any], name: str, value: str) -> bytes:
    """Return a row as a line of JSON, in which the text is a member's value."""
    if "price_minor" in row:
        row["price"] = row.pop("price_minor")
    if "customer" in row:
        line = {one: row.pop(one) for one in ("flavor_name", "quantity")}
        row["lines"] = [line]
        if name in (*line, "sku", "unit_price"):
            line[name] = "\0"
    if "\0" not in json.dumps(row).replace("\\u0000", "\0"):
        row[name] = "\0"
    return json.dumps(row).replace('"\\u0000"', value).encode("utf-8", "surrogateescape") + b"\n"


def test_every_kind_is_tried() -> None:
    assert set(KINDS) == running.KINDS.keys()
