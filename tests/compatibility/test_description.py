"""Test that clients of the last release still find what it promised."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icecream import app
from tests.compatibility import description
from tests.processes import ROOT

pytestmark = pytest.mark.only("sqlite")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return app.litestar().openapi_schema.to_schema()


def test_nothing_of_the_last_release_is_missing(document: dict[str, Any]) -> None:
    breaks = description.find_breaks(description.read_released(), description.describe(document))
    assert not breaks, "docs/compatibility.md says what to do: " + "; ".join(breaks)


def member(schema: str, name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["components"]["schemas"][schema]["properties"].pop(name)


def requirement(schema: str, name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["components"]["schemas"][schema]["required"].append(name)


def code(document: dict[str, Any]) -> None:
    content = document["paths"]["/api/orders"]["post"]["responses"]["409"]["content"]
    del content["application/problem+json"]["examples"]["insufficient-stock"]


def code_in_an_example(document: dict[str, Any]) -> None:
    document["components"]["examples"]["InsufficientStock"]["value"]["code"] = "sold-out"


def status_in_a_response(document: dict[str, Any]) -> None:
    content = document["components"]["responses"]["Error404"]["content"]
    content["application/problem+json"]["examples"].clear()


def header_of_a_response(document: dict[str, Any]) -> None:
    del document["components"]["responses"]["OrderView200"]["headers"]["Link"]


def header_of_each_success(document: dict[str, Any]) -> None:
    del document["components"]["headers"]["X-Request-Id"]["x-on-each-success"]


def word_of_a_parameter(document: dict[str, Any]) -> None:
    document["components"]["parameters"]["Status"]["schema"]["items"] = {"type": "string"}


def status_of_an_order(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["OrderStatus"]["enum"].remove("failed")


def type_of_a_member(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Total"]["type"] = "string"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda document: document["paths"].pop("/api/me"), "missing: GET /api/me: exists"),
        (
            lambda document: document["paths"]["/api/me"]["get"]["responses"].pop("500"),
            "missing: GET /api/me: answers 500 internal-error",
        ),
        (
            lambda document: document["paths"]["/api/orders"]["get"]["parameters"].clear(),
            "missing: GET /api/orders: query status is accepted",
        ),
        (member("OrderView", "total"), "missing: OrderView.total is integer"),
        (member("NewOrder", "note"), "missing: NewOrder.note accepts string"),
        (requirement("NewOrder", "note"), "new: NewOrder.note is required"),
        (code, "missing: POST /api/orders: answers 409 insufficient-stock"),
        (code_in_an_example, "missing: POST /api/orders: answers 409 insufficient-stock"),
        (status_in_a_response, "missing: GET /api/orders/{order}: answers 404 not-found"),
        (header_of_a_response, "missing: GET /api/orders: answers with header Link"),
        (header_of_each_success, "missing: GET /api/me: answers with header X-Request-Id"),
        (word_of_a_parameter, "missing: GET /api/orders: query status may be paid"),
        (status_of_an_order, "missing: OrderView.status may be failed"),
        (type_of_a_member, "missing: OrderView.total is integer"),
    ],
)
def test_a_break_is_found(
    document: dict[str, Any], change: Callable[[dict[str, Any]], Any], found: str
) -> None:
    before, changed = description.describe(document), copy.deepcopy(document)
    change(changed)
    assert found in description.find_breaks(before, description.describe(changed))


def test_an_addition_is_no_break(document: dict[str, Any]) -> None:
    before, changed = description.describe(document), copy.deepcopy(document)
    schemas = changed["components"]["schemas"]
    schemas["OrderView"]["properties"]["color"] = {"type": "string"}
    schemas["OrderStatus"]["enum"].append("lost")
    schemas["NewOrder"]["properties"]["color"] = {"type": "string"}
    changed["paths"]["/api/colors"] = copy.deepcopy(changed["paths"]["/api/me"])
    del changed["paths"]["/api/colors"]["get"]["responses"]["500"]
    after = description.describe(changed)
    assert before < after
    assert description.find_breaks(before, after) == []


def test_a_stored_release_is_read_as_it_was(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(description, "RELEASED", tmp_path / "released.txt")
    lines = description.describe(document)
    description.store_released(lines, "A title")
    assert description.read_released() == lines


def test_the_changelog_of_the_api_names_each_operation_of_the_release() -> None:
    page = (ROOT / "docs/api-changelog.md").read_text()
    operations = {
        line.removesuffix(": exists")
        for line in description.read_released()
        if line.endswith(": exists")
    }
    assert len(operations) >= 30
    assert not {name for name in operations if f"`{name}`" not in page}
    dates = re.findall(r"^## (\d{4}-\d\d-\d\d)", page, re.MULTILINE)
    assert dates == sorted(dates, reverse=True)
