"""The catalogue over HTTP."""

from typing import Any

import pytest

from icecream import settings
from icecream.tables import Flavor, StockMove
from tests.conftest import Caller, new_flavor

pytestmark = pytest.mark.anyio


async def test_anybody_adds_a_flavor_by_name_at_the_default_price(customer: Caller) -> None:
    answer = await customer.post("/api/flavors/add/", {"name": "Choclate by anybody"})
    assert answer.status_code == 201
    added = answer.json()
    assert added == {
        "id": added["id"],
        "name": "Choclate by anybody",
        "price": settings.load().default_price,
        "stock": None,
    }
    assert added in (await customer.get("/api/flavors/")).json()


@pytest.mark.parametrize("kind", ["data", "files"])
async def test_a_flavor_is_added_by_either_form(customer: Caller, kind: str) -> None:
    value: Any = f"By {kind}" if kind == "data" else (None, f"By {kind}")
    answer = await customer.request("POST", "/api/flavors/add", **{kind: {"name": value}})
    assert (answer.status_code, answer.json()["name"]) == (201, f"By {kind}")


async def test_staff_set_price_and_stock_and_the_stock_is_a_receipt(staff: Caller) -> None:
    body = {"name": "Counted", "price": "300", "stock": 40}
    added = (await staff.post("/api/flavors/add/", body)).json()
    assert (added["price"], added["stock"]) == (300, 40)
    moves = await StockMove.select(StockMove.quantity, StockMove.by).where(
        StockMove.flavor == added["id"]
    )
    assert moves == [{"quantity": 40, "by": staff.user.id}]


@pytest.mark.parametrize("field", ["price", "stock"])
async def test_a_customer_may_not_set(customer: Caller, field: str) -> None:
    answer = await customer.post("/api/flavors/add/", {"name": "Cheap", field: 1})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not await Flavor.exists().where(Flavor.name == "Cheap")


async def test_only_staff_add_flavors_where_the_operator_says_so(
    customer: Caller, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = settings.read({"ICECREAM_FLAVORS_ADDED_BY": "staff"})
    monkeypatch.setattr(settings, "load", lambda: strict)
    from icecream import flavors

    new = flavors.NewFlavor(name="For staff to add")
    with pytest.raises(flavors.errors.Forbidden):
        await flavors.create(new, by=customer.user)
    assert (await flavors.create(new, by=staff.user)).name == "For staff to add"


@pytest.mark.parametrize(
    "name",
    ["", " ", "x" * 101, "a\x00b", "a\nb", "tail\n", "a\x7fb", "a\x85b", 5, None, True, ["x"], {}],
    ids=repr,
)
async def test_a_bad_name_is_refused_by_name(customer: Caller, name: Any) -> None:
    before = await Flavor.count()
    answer = await customer.post("/api/flavors/add/", {"name": name})
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/name"]
    assert await Flavor.count() == before


@pytest.mark.parametrize("body", [{}, {"nam": "x"}, {"name": "x", "extra": 1}])
async def test_a_missing_or_unknown_field_is_refused(customer: Caller, body: Any) -> None:
    assert (await customer.post("/api/flavors/add/", body)).status_code == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("price", bad) for bad in (-1, 100_000_001, 1.5, True, None)),
        *(("stock", bad) for bad in (-1, 10**12 + 1, 2**63, "x", True)),
    ],
)
async def test_a_price_or_stock_out_of_bounds_is_refused(
    staff: Caller, field: str, value: Any
) -> None:
    answer = await staff.post("/api/flavors/add/", {"name": "Out of bounds", field: value})
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]


async def test_a_taken_name_is_a_conflict_however_it_is_spelt(customer: Caller) -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    assert (await customer.post("/api/flavors/add/", {"name": composed})).status_code == 201
    for again in (composed, decomposed, f"  {composed} "):
        answer = await customer.post("/api/flavors/add/", {"name": again})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert answer.json()["errors"][0]["pointer"] == "/name"


async def test_an_archived_flavor_is_neither_listed_nor_sold(customer: Caller) -> None:
    flavor = await new_flavor(archived=True)
    assert flavor not in [one["id"] for one in (await customer.get("/api/flavors/")).json()]
    answer = await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/flavor"
