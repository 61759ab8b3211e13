"""Test the product data of flavors: article numbers, allergens, seasons, rules for quantities."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from icecream import settings
from icecream.catalogue import inventory
from icecream.catalogue.product_data import ALLERGENS
from icecream.reporting import current
from icecream.tables import Change, Flavor, Order
from tests.conftest import Caller, new_flavor, place

pytestmark = pytest.mark.anyio
TODAY = datetime.now(UTC).date()
DAY = timedelta(days=1)
WHOLE: dict[str, Any] = {
    "sku": "VAN-5L",
    "unit": "tub",
    "pack_size": 1,
    "net_content_ml": 5000,
    "allergens": ["milk", "eggs", "milk"],
    "on_sale_from": (TODAY - DAY).isoformat(),
    "on_sale_to": TODAY.isoformat(),
    "min_quantity": 12,
    "quantity_multiple": 6,
    "low_stock_threshold": 40,
}
# In the order of the regulation.
STORED = WHOLE | {"allergens": ["eggs", "milk"]}


async def add(staff: Caller, **data: Any) -> dict[str, Any]:
    number = await Flavor.count()
    answer = await staff.post("/api/flavors/add/", {"name": f"Product {number}"} | data)
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


async def test_staff_add_edit_and_remove_product_data(staff: Caller) -> None:
    added = await add(staff, **WHOLE)
    assert {name: added[name] for name in WHOLE} == STORED
    path = f"/api/flavors/{added['id']}/"
    assert (await staff.get(path)).json() == added
    assert added in (await staff.get("/api/flavors/")).json()
    changed = await staff.request("PATCH", path, json={"allergens": [], "unit": "case"})
    assert changed.json() == added | {"allergens": [], "unit": "case"}
    nothing = dict.fromkeys(WHOLE)
    removed = await staff.request("PATCH", path, json=nothing)
    assert removed.json() == added | nothing
    changes = Change.select(Change.before, Change.after).order_by(Change.id)
    of_flavor = changes.where(Change.subject == "flavor", Change.row == added["id"])
    of_allergens = await of_flavor.where(Change.field == "allergens")
    assert of_allergens == [
        {"before": None, "after": "eggs, milk"},
        {"before": "eggs, milk", "after": ""},
        {"before": "", "after": None},
    ]


@pytest.mark.parametrize("name", WHOLE)
async def test_only_staff_set_product_data(customer: Caller, name: str) -> None:
    body = {"name": f"With {name}", name: WHOLE[name]}
    answer = await customer.post("/api/flavors/add/", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert name in answer.json()["detail"]
    assert not await Flavor.exists().where(Flavor.name == f"With {name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sku", ""),
        ("sku", "a b"),
        ("sku", "x" * 65),
        ("sku", "\u00e4"),
        ("sku", 7),
        ("unit", "bucket"),
        ("unit", ""),
        ("pack_size", 0),
        ("net_content_ml", 1.5),
        ("allergens", "milk"),
        ("allergens", ["milk", "honey"]),
        ("allergens", [7]),
        ("allergens", ["milk"] * 15),
        ("on_sale_from", "soon"),
        ("on_sale_to", "2026-02-30"),
        ("min_quantity", 0),
        ("min_quantity", 100_001),
        ("quantity_multiple", -6),
        ("low_stock_threshold", -1),
    ],
)
async def test_a_bad_value_is_refused_by_name(staff: Caller, name: str, value: Any) -> None:
    flavor = await new_flavor()
    for method, path, body in (
        ("POST", "/api/flavors/add/", {"name": f"Bad {name}"}),
        ("PATCH", f"/api/flavors/{flavor}/", {}),
    ):
        answer = await staff.request(method, path, json=body | {name: value})
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["pointer"].startswith(f"/{name}")
    row = await Flavor.objects().get(Flavor.id == flavor)
    assert row is not None and row.version == 1
    assert not await Flavor.exists().where(Flavor.name == f"Bad {name}")


async def test_a_season_does_not_end_before_it_begins(staff: Caller) -> None:
    season = {"on_sale_from": "2026-05-01", "on_sale_to": "2026-04-30"}
    added = await staff.post("/api/flavors/add/", {"name": "Backwards"} | season)
    flavor = (await add(staff, on_sale_from="2026-05-01"))["id"]
    edited = await staff.request(
        "PATCH", f"/api/flavors/{flavor}/", json={"on_sale_to": "2026-04-30"}
    )
    for answer in (added, edited):
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == "/on_sale_to"


async def test_no_two_flavors_have_the_same_article_number(staff: Caller) -> None:
    first, second = await add(staff, sku="TWIN-1"), await add(staff, sku="TWIN-2")
    added = await staff.post("/api/flavors/add/", {"name": "Twin", "sku": "TWIN-1"})
    path = f"/api/flavors/{second['id']}/"
    edited = await staff.request("PATCH", path, json={"sku": "TWIN-1"})
    for answer in (added, edited):
        assert (answer.status_code, answer.json()["code"]) == (409, "sku-taken")
        assert answer.json()["errors"][0]["pointer"] == "/sku"
    renamed = await staff.request("PATCH", path, json={"name": first["name"], "sku": "TWIN-2"})
    assert (renamed.status_code, renamed.json()["code"]) == (409, "name-taken")


async def test_a_flavor_is_ordered_by_its_article_number(customer: Caller, staff: Caller) -> None:
    first, second = await add(staff, sku="ONE", price=100), await add(staff, sku="TWO", price=7)
    bodies: list[tuple[dict[str, Any], dict[int, int]]] = [
        ({"quantity": 2, "sku": "ONE"}, {first["id"]: 2}),
        (
            {"lines": [{"quantity": 1, "sku": "TWO"}, {"quantity": 3, "flavor": first["id"]}]},
            {second["id"]: 1, first["id"]: 3},
        ),
        (
            {"lines": [{"quantity": 1, "sku": "ONE"}, {"quantity": 3, "flavor": first["id"]}]},
            {first["id"]: 4},
        ),
    ]
    for body, ordered in bodies:
        number = (await customer.post("/api/orders/", body)).json()["order_id"]
        order = (await customer.get(f"/api/orders/{number}/")).json()
        assert {line["flavor"]: line["quantity"] for line in order["lines"]} == ordered
        quote = (await customer.post("/api/orders/quote/", body)).json()
        assert quote["total"] == order["total"]


async def test_an_impossible_article_number_is_refused_by_name(
    customer: Caller, staff: Caller
) -> None:
    gone = await add(staff, sku="GONE")
    await staff.request("PATCH", f"/api/flavors/{gone['id']}/", json={"archived": True})
    one, before = {"quantity": 1}, await Order.count()
    for body, pointer in (
        (one | {"sku": "NEVER"}, "/sku"),
        (one | {"sku": "gone"}, "/sku"),
        (one | {"sku": "GONE"}, "/sku"),
        (one | {"sku": "GONE", "flavor": 1}, "/sku"),
        (one | {"sku": None}, "/sku"),
        ({"lines": [one | {"flavor": 1}, one | {"sku": "GONE"}]}, "/lines/1/sku"),
        ({"lines": [one | {"flavor": 1}, one | {"sku": "NEVER"}]}, "/lines/1/sku"),
        ({"lines": [one | {"flavor": 1}, one | {"flavor": 1, "sku": "GONE"}]}, "/lines/1/sku"),
        ({"lines": [one | {"flavor": 1}], "sku": "GONE"}, "/sku"),
    ):
        for path in ("/api/orders/", "/api/orders/quote/"):
            answer = await customer.post(path, body)
            assert answer.status_code == 400, answer.text
            assert answer.json()["errors"][0]["pointer"] == pointer
    assert await Order.count() == before


@pytest.mark.parametrize(
    ("season", "is_on_sale"),
    [
        ({"on_sale_from": TODAY}, True),
        ({"on_sale_to": TODAY}, True),
        ({"on_sale_from": TODAY, "on_sale_to": TODAY}, True),
        ({"on_sale_from": TODAY + DAY}, False),
        ({"on_sale_to": TODAY - DAY}, False),
    ],
)
async def test_a_flavor_is_sold_in_its_season(
    customer: Caller, staff: Caller, season: dict[str, date], is_on_sale: bool
) -> None:
    flavor = await add(staff, **{name: day.isoformat() for name, day in season.items()})
    listed = (await customer.get("/api/flavors/")).json()
    others = (await staff.get("/api/flavors/?archived=true")).json()
    assert (flavor in listed, flavor in others) == (is_on_sale, not is_on_sale)
    body = {"quantity": 1, "flavor": flavor["id"]}
    for path in ("/api/orders/quote/", "/api/orders/"):
        answer = await customer.post(path, body)
        assert answer.status_code == (200 if is_on_sale else 400)
        if not is_on_sale:
            (error,) = answer.json()["errors"]
            assert (error["pointer"], error["code"]) == ("/flavor", "not-on-sale")
            assert all(day.isoformat() in error["detail"] for day in season.values())


async def test_a_season_has_the_days_of_the_time_zone_of_the_installation(
    customer: Caller, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Their days differ at any time.
    days = {name: datetime.now(ZoneInfo(name)).date() for name in ("Etc/GMT+12", "Etc/GMT-14")}
    added = {
        name: await add(staff, on_sale_from=str(day), on_sale_to=str(day))
        for name, day in days.items()
    }
    for name in days:
        zoned = msgspec.structs.replace(settings.load(), time_zone=name)
        with monkeypatch.context() as patched:
            patched.setattr(settings, "load", lambda zoned=zoned: zoned)
            listed = (await customer.get("/api/flavors/")).json()
            assert [other for other, flavor in added.items() if flavor in listed] == [name]
            for other, flavor in added.items():
                body = {"quantity": 1, "flavor": flavor["id"]}
                answer = await customer.post("/api/orders/quote/", body)
                assert answer.status_code == (200 if other == name else 400)
                if other != name:
                    assert (await customer.post("/api/orders/", body)).status_code == 400


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        ({"min_quantity": 3}, (3, 4), (1, 2)),
        ({"quantity_multiple": 6}, (6, 12), (1, 5, 7)),
        ({"min_quantity": 10, "quantity_multiple": 6}, (12, 18), (6, 10, 13)),
    ],
)
async def test_a_flavor_is_sold_in_the_allowed_quantities(
    customer: Caller,
    staff: Caller,
    rules: dict[str, int],
    allowed: tuple[int, ...],
    refused: tuple[int, ...],
) -> None:
    flavor = (await add(staff, **rules))["id"]
    for quantity in allowed:
        half = {"flavor": flavor, "quantity": quantity - 1}
        lines = {"lines": [half, {"flavor": flavor, "quantity": 1}]}
        for body in ({"flavor": flavor, "quantity": quantity}, lines):
            assert (await customer.post("/api/orders/", body)).status_code == 200
    for quantity in refused:
        body = {"lines": [{"flavor": 1, "quantity": 1}, {"flavor": flavor, "quantity": quantity}]}
        for path in ("/api/orders/quote/", "/api/orders/"):
            answer = await customer.post(path, body)
            assert answer.status_code == 400
            (error,) = answer.json()["errors"]
            pointer, code = "/lines/1/quantity", "quantity-not-allowed"
            assert (error["pointer"], error["code"]) == (pointer, code)
            assert all(str(bound) in error["detail"] for bound in rules.values())


async def test_rules_for_new_orders_do_not_stop_a_failed_one_from_being_paid(
    customer: Caller, staff: Caller
) -> None:
    flavor = await new_flavor()
    placed = await place(customer.user.id, {flavor: 1})
    await Order.update({Order.status: "failed"}).where(Order.id == placed.order)
    rules = {"min_quantity": 5, "on_sale_to": (TODAY - DAY).isoformat()}
    await staff.request("PATCH", f"/api/flavors/{flavor}/", json=rules)
    stock = await inventory.read_stock([flavor])
    with pytest.raises(inventory.LineRefused):
        stock.require_allowed({flavor: 1}, TODAY)
    assert stock.reserve({flavor: 1})[0].quantity == 1
    await Order.update({Order.status: "pending"}).where(Order.id == placed.order)


async def test_a_threshold_decides_whether_the_stock_is_low() -> None:
    def stock(left: int | None, days: float | None, threshold: int | None) -> current.Stock:
        return current.Stock(1, "Vanilla", left, days, False, threshold)

    low = [stock(0, None, None), stock(40, None, 40), stock(40, 99, 40), stock(9, 6.9, None)]
    others = [stock(41, 1, 40), stock(9, None, None), stock(9, 7, None), stock(None, None, 5)]
    found = current.select_low_stock([*low, *others])
    assert sorted(map(repr, found)) == sorted(map(repr, low))


def test_the_allergens_are_those_of_the_regulation() -> None:
    assert len(set(ALLERGENS)) == 14
