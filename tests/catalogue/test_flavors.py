"""Test the catalogue of flavors over HTTP."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest

from icecream import database, errors, settings
from icecream.catalogue import flavors, inventory
from icecream.catalogue.product_data import ProductData
from icecream.database import DB
from icecream.idempotency import keys
from icecream.integrity import doctor
from icecream.orders import actions, placing
from icecream.tables import Flavor, StockMove
from tests.conftest import Caller, new_flavor, place, until

pytestmark = pytest.mark.anyio
FORM = "application/x-www-form-urlencoded"
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted"


async def test_anybody_adds_a_flavor_by_name_at_the_default_price(customer: Caller) -> None:
    answer = await customer.post("/api/flavors/add/", {"name": "Choclate by anybody"})
    assert answer.status_code == 201
    added = answer.json()
    assert added == {
        "id": added["id"],
        "name": "Choclate by anybody",
        "description": "",
        "price": settings.load().default_price,
        "currency": settings.load().currency,
        "stock": None,
        "archived": False,
        **dict.fromkeys(ProductData.__struct_fields__),
    }
    assert added in (await customer.get("/api/flavors/")).json()


@pytest.mark.parametrize("kind", ["data", "files"])
async def test_a_flavor_is_added_by_either_form(customer: Caller, kind: str) -> None:
    value: Any = f"By {kind}" if kind == "data" else (None, f"By {kind}")
    answer = await customer.request("POST", "/api/flavors/add", **{kind: {"name": value}})
    assert (answer.status_code, answer.json()["name"]) == (201, f"By {kind}")


@pytest.mark.parametrize("content", [b"name=caf%E9", b"name=caf\xe9", b"n%ffme=x&name=x"])
async def test_a_form_that_is_not_utf8_is_refused_as_such_json_is(
    customer: Caller, content: bytes
) -> None:
    headers = {"Content-Type": FORM}
    answer = await customer.request("POST", "/api/flavors/add", content=content, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "malformed")
    assert not await Flavor.exists().where(Flavor.name.like("%\ufffd%"))


async def test_a_form_may_hold_any_letter(customer: Caller) -> None:
    content, headers = b"name=caf%C3%A9+%EF%BF%BD", {"Content-Type": FORM}
    answer = await customer.request("POST", "/api/flavors/add", content=content, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (201, "caf\xe9 \ufffd")


async def test_staff_say_all_of_it_and_the_stock_is_a_receipt(staff: Caller) -> None:
    body = {"name": "Counted", "price": "300", "stock": 40, "description": "One\nby one"}
    added = (await staff.post("/api/flavors/add/", body)).json()
    assert (added["price"], added["stock"], added["description"]) == (300, 40, "One\nby one")
    moves = await StockMove.select(StockMove.quantity, StockMove.by).where(
        StockMove.flavor == added["id"]
    )
    assert moves == [{"quantity": 40, "by": staff.user.id}]


async def test_a_flavor_may_be_counted_from_the_start_with_none_of_it(staff: Caller) -> None:
    added = await staff.post("/api/flavors/add/", {"name": "Sold out already", "stock": 0})
    assert (added.status_code, added.json()["stock"]) == (201, 0)
    assert await moves(added.json()["id"]) == []


async def test_a_flavor_is_added_once_under_one_key(staff: Caller, customer: Caller) -> None:
    body, key = {"name": "Added once", "stock": 40}, {"Idempotency-Key": "added"}
    answers = await asyncio.gather(
        *(staff.post("/api/flavors/add/", body, headers=key) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert await moves(answers[0].json()["id"]) == [(40, "first stock")]
    other = await staff.post("/api/flavors/add/", {"name": "Another"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    taken = await customer.post("/api/flavors/add/", {"name": "Added once"}, headers=key)
    assert (taken.status_code, taken.json()["code"]) == (409, "name-taken")


@pytest.mark.parametrize("field", ["price", "stock", "description"])
async def test_a_customer_may_not_set(customer: Caller, field: str) -> None:
    value = "mine" if field == "description" else 1
    answer = await customer.post("/api/flavors/add/", {"name": "Cheap", field: value})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not await Flavor.exists().where(Flavor.name == "Cheap")


async def test_only_staff_add_flavors_where_the_operator_says_so(
    customer: Caller, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = settings.parse_settings({"ICECREAM_FLAVORS_ADDED_BY": "staff"})
    monkeypatch.setattr(settings, "load", lambda: strict)
    new = flavors.NewFlavor(name="For staff to add")
    with pytest.raises(errors.Forbidden):
        await flavors.create_flavor(new, by=customer.user)
    added = await flavors.create_flavor(new, by=staff.user)
    assert added.name == "For staff to add"


async def test_a_price_is_one_that_the_provider_charges(
    staff: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe = {"payment_provider": "stripe", "stripe_api_key": "sk_test_1"}
    kuwait = msgspec.structs.replace(settings.load(), currency="KWD", **stripe)
    monkeypatch.setattr(settings, "load", lambda: kuwait)
    refused = [
        await staff.post("/api/flavors/add/", {"name": "Dates", "price": 1255}),
        await staff.request("PATCH", f"/api/flavors/{flavor}", json={"price": 1255}),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/price")
        assert "multiple of 10" in answer.json()["detail"]
    edited = await staff.request("PATCH", f"/api/flavors/{flavor}", json={"price": 1250})
    assert edited.status_code == 200


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
        *(("description", bad) for bad in ("a\0b", "x" * 10_001, None, 5)),
    ],
)
async def test_values_out_of_bounds_are_refused(staff: Caller, field: str, value: Any) -> None:
    answer = await staff.post("/api/flavors/add/", {"name": "Out of bounds", field: value})
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]


async def test_a_taken_name_is_a_conflict_however_it_is_spelt(customer: Caller) -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    assert (await customer.post("/api/flavors/add/", {"name": composed})).status_code == 201
    for again in (composed, decomposed, f"  {composed} "):
        answer = await customer.post("/api/flavors/add/", {"name": again})
        assert (answer.status_code, answer.json()["code"]) == (409, "name-taken")
        assert answer.json()["errors"][0]["pointer"] == "/name"


async def test_an_archived_flavor_is_neither_listed_nor_sold(customer: Caller) -> None:
    flavor = await new_flavor(archived=True)
    assert flavor not in [one["id"] for one in (await customer.get("/api/flavors/")).json()]
    answer = await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/flavor"


async def test_callers_at_the_same_moment_share_a_list_and_see_what_they_wrote(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = flavors.list_flavors, 0

    async def count(*, on_sale: bool) -> list[flavors.FlavorView]:
        nonlocal reads
        reads += 1
        return await real(on_sale=on_sale)

    monkeypatch.setattr(flavors, "list_flavors", count)

    async def add_and_list(name: str) -> httpx.Response:
        assert (await customer.post("/api/flavors/add/", {"name": name})).status_code == 201
        answer = await customer.get("/api/flavors/")
        assert name in [one["name"] for one in answer.json()]
        return answer

    answers = await asyncio.gather(*(add_and_list(f"Shared {n}") for n in range(20)))
    assert reads <= 20
    reads = 0
    answers = await asyncio.gather(*(customer.get("/api/flavors/") for _ in range(20)))
    assert reads < 20
    assert len({answer.headers["x-request-id"] for answer in answers}) == 20
    assert len({answer.headers["etag"] for answer in answers}) == 1


# One flavor


async def test_every_user_sees_a_flavor_also_an_archived_one(
    customer: Caller, staff: Caller
) -> None:
    flavor = await new_flavor(archived=True, description="It was good.")
    answer = await customer.get(f"/api/flavors/{flavor}/")
    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert (answer.json()["archived"], answer.json()["description"]) == (True, "It was good.")
    refused = await customer.get("/api/flavors/", params={"archived": "true"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    old = await staff.get("/api/flavors/", params={"archived": "true"})
    assert answer.json() in old.json()
    on_sale = (await staff.get("/api/flavors/")).json()
    assert not {one["id"] for one in old.json()} & {one["id"] for one in on_sale}


@pytest.mark.parametrize("number", ["0", "999999", str(2**63), "01", "\u0661"])
async def test_an_unknown_id_is_not_found(staff: Caller, number: str) -> None:
    one = f"/api/flavors/{number}"
    receipt = {"quantity": 1, "reason": "test"}
    assert (await staff.get(one)).status_code == 404
    assert (await staff.request("PATCH", one, json={"price": 1})).status_code == 404
    assert (await staff.post(f"{one}/stock", receipt)).status_code == 404


async def test_a_list_that_is_still_the_same_is_not_sent_again(customer: Caller) -> None:
    flavor = await new_flavor(stock=5)
    first = await customer.get("/api/flavors/")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for field in (tag, f"W/{tag}", f'{tag[:-1]}-gzip"', f'"other", {tag}', "*"):
        again = await customer.get("/api/flavors/", headers={"If-None-Match": field})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == "private, no-cache"
    await place(customer.user.id, {flavor: 1})
    less = await customer.get("/api/flavors/", headers={"If-None-Match": tag})
    assert (less.status_code, less.headers["etag"] != tag) == (200, True)
    assert {one["id"]: one["stock"] for one in less.json()}[flavor] == 4


# Editing


async def edit(caller: Caller, flavor: int, tag: str | None = None, **changes: Any) -> Any:
    headers = {} if tag is None else {"If-Match": tag}
    return await caller.request("PATCH", f"/api/flavors/{flavor}/", json=changes, headers=headers)


async def test_staff_edit_flavors_and_orders_keep_their_price(
    staff: Caller, customer: Caller
) -> None:
    flavor = await new_flavor(stock=5)
    order = (await place(customer.user.id, {flavor: 2})).order
    name = f"Cafe\u0301 edited {flavor}"
    answer = await edit(staff, flavor, name=f" {name}", price=300, description="Strong")
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert answer.json() == (await staff.get(f"/api/flavors/{flavor}")).json()
    assert answer.json() | {"name": f"Caf\u00e9 edited {flavor}", "price": 300, "stock": 3} == (
        answer.json()
    )
    assert (await customer.get(f"/api/orders/{order}")).json()["total"] == 500


async def test_an_archived_flavor_comes_back(staff: Caller, customer: Caller, flavor: int) -> None:
    order = {"quantity": 1, "flavor": flavor}
    assert (await edit(staff, flavor, archived=True)).json()["archived"] is True
    assert (await customer.post("/api/orders/", order)).status_code == 400
    assert (await edit(staff, flavor, archived=False)).json()["archived"] is False
    assert (await customer.post("/api/orders/", order)).status_code == 200


async def test_an_edit_without_a_change_is_no_new_version(staff: Caller, flavor: int) -> None:
    for changes in ({}, {"price": 250}, {"archived": False}):
        assert (await edit(staff, flavor, **changes)).headers["etag"] == '"1"'


async def test_the_second_of_two_editors_gets_412(staff: Caller, flavor: int) -> None:
    for tag in ('"1"', '"7", "2"', "*"):
        price = 260 if tag == '"1"' else 270
        assert (await edit(staff, flavor, tag, price=price)).status_code == 200, tag
    for tag in ('"2"', 'W/"2"', '"3-x"', '""', '"x", "y"'):
        late = await edit(staff, flavor, tag, price=1)
        assert (late.status_code, late.json()["code"]) == (412, "precondition-failed"), tag
    for tag in ("3", "", '"3', '"3" "4"', "*, *", '"3",'):
        bad = await edit(staff, flavor, tag, price=1)
        assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (400, "/If-Match"), tag
    assert (await staff.get(f"/api/flavors/{flavor}/")).json()["price"] == 270


@pytest.mark.parametrize("tag", ['W/"1"', '"x", W/"1"', '"1-gzip"', 'W/"1-br"', '"1-zstd"'])
async def test_a_tag_that_a_proxy_changed_when_it_compressed_is_still_ours(
    staff: Caller, flavor: int, tag: str
) -> None:
    answer = await edit(staff, flavor, tag, price=260)
    assert (answer.status_code, answer.json()["price"]) == (200, 260)
    assert (await edit(staff, flavor, tag, price=270)).status_code == 412


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", bad) for bad in ("", " ", "x" * 101, "a\0b", None, 5)),
        *(("price", bad) for bad in (-1, 100_000_001, 1.5, True, None)),
        *(("archived", bad) for bad in (None, "maybe", 2)),
        *(("stock", bad) for bad in (0, 1, "x", True)),
        *(("description", bad) for bad in (None, "\x1b", "x" * 10_001)),
        *((name, 1) for name in ("version", "colour")),
    ],
)
async def test_a_bad_edit_changes_nothing(staff: Caller, field: str, value: Any) -> None:
    flavor = await new_flavor(stock=5)
    answer = await edit(staff, flavor, **{"description": "new", field: value})
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]
    assert (await staff.get(f"/api/flavors/{flavor}/")).json()["description"] == ""


async def test_a_name_is_not_given_twice(staff: Caller, flavor: int) -> None:
    other = (await staff.get(f"/api/flavors/{await new_flavor()}")).json()["name"]
    answer = await edit(staff, flavor, name=f"{other} ")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/name")


async def test_customers_neither_edit_nor_receive(customer: Caller) -> None:
    receipt = {"quantity": 1, "reason": "mine"}
    for flavor in (await new_flavor(stock=5), 999_999):
        for answer in (
            await edit(customer, flavor, price=1),
            await edit(customer, flavor, price="not even valid"),
            await customer.post(f"/api/flavors/{flavor}/stock/", receipt),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


# Stock


async def receive(caller: Caller, flavor: int, quantity: Any, **more: Any) -> Any:
    body = {"quantity": quantity, "reason": "delivery 1207"}
    return await caller.post(f"/api/flavors/{flavor}/stock/", body, **more)


async def moves(flavor: int) -> list[tuple[int, str]]:
    rows = await StockMove.select().where(StockMove.flavor == flavor).order_by(StockMove.id)
    return [(row["quantity"], row["why"]) for row in rows]


async def test_stock_is_received_and_written_off_as_movements(staff: Caller) -> None:
    flavor = await new_flavor(stock=5)
    assert (await receive(staff, flavor, 40)).json()["stock"] == 45
    assert (await receive(staff, flavor, "-45")).json()["stock"] == 0
    late = await receive(staff, flavor, -1)
    assert (late.status_code, late.json()["code"]) == (409, "insufficient-stock")
    assert late.json()["lines"] == [{"flavor": flavor, "quantity": 1, "available": 0}]
    assert await moves(flavor) == [(5, "test"), (40, "delivery 1207"), (-45, "delivery 1207")]
    assert await doctor.find_violations() == {}


async def test_a_repeated_delivery_counts_once(staff: Caller, stranger: Caller) -> None:
    flavor, key = await new_flavor(stock=5), {"Idempotency-Key": "delivery-1207"}
    first, again = [await receive(staff, flavor, 40, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await receive(staff, flavor, 41, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    # A request without effect does not use up its idempotency key.
    short = {"Idempotency-Key": "loss"}
    assert (await receive(staff, flavor, -46, headers=short)).status_code == 409
    assert (await receive(staff, flavor, 1)).json()["stock"] == 46
    assert (await receive(staff, flavor, -46, headers=short)).json()["stock"] == 0


@pytest.mark.parametrize(
    "bad",
    [
        *({"quantity": n} for n in (0, "0", 10**12 + 1, -(10**12) - 1, 1.5, True, None, "x")),
        *({"reason": text} for text in ("", "  ", "x" * 201, "a\nb", None, 5)),
        {"why": "x"},
    ],
    ids=repr,
)
async def test_a_bad_receipt_moves_nothing(staff: Caller, bad: dict[str, Any]) -> None:
    flavor = await new_flavor(stock=5)
    body = {"quantity": 1, "reason": "test"} | bad
    answer = await staff.post(f"/api/flavors/{flavor}/stock/", body)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{next(iter(bad))}"]
    assert await moves(flavor) == [(5, "test")]


async def test_there_is_no_more_stock_than_can_be_counted(staff: Caller) -> None:
    flavor = await new_flavor(stock=5)
    answer = await receive(staff, flavor, 10**12)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/quantity")


async def test_counting_begins_and_ends_and_the_books_balance(
    staff: Caller, customer: Caller, flavor: int
) -> None:
    orders = [(await place(customer.user.id, {flavor: n})).order for n in (3, 4)]
    lost = await receive(staff, flavor, -1)
    assert (lost.status_code, lost.json()["lines"][0]["available"]) == (409, 0)
    assert (await receive(staff, flavor, 10)).json()["stock"] == 10
    assert await moves(flavor) == [(7, "while it was not counted"), (10, "delivery 1207")]
    assert await doctor.find_violations() == {}
    # Canceling an order that was placed before counting began also returns its items to the stock.
    await actions.cancel_order(orders[0], by=customer.user.id)
    assert (await staff.get(f"/api/flavors/{flavor}")).json()["stock"] == 13
    assert (await edit(staff, flavor, stock=None)).json()["stock"] is None
    await place(customer.user.id, {flavor: 100})
    await actions.cancel_order(orders[1], by=customer.user.id)
    assert (await receive(staff, flavor, 1)).json()["stock"] == 1
    assert await doctor.find_violations() == {}
    assert (await customer.post("/api/orders", {"quantity": 2, "flavor": flavor})).json()[
        "lines"
    ] == [{"flavor": flavor, "quantity": 2, "available": 1}]


async def test_counting_begins_in_the_middle_of_orders_and_cancellations(
    staff: Caller, customer: Caller, flavor: int
) -> None:
    orders = [(await place(customer.user.id, {flavor: 2})).order for _ in range(20)]

    async def count() -> None:
        for again in range(4):
            assert (await receive(staff, flavor, 100)).status_code == 200
            if again < 3:
                assert (await edit(staff, flavor, stock=None)).status_code == 200

    buyers = [place(customer.user.id, {flavor: 1}) for _ in range(20)]
    others = [actions.cancel_order(order, by=customer.user.id) for order in orders]
    await asyncio.gather(count(), *buyers, *others)
    assert await doctor.find_violations() == {}


@pytest.mark.only("postgres")
async def test_counting_begins_when_an_order_that_is_being_placed_is_written(
    customer: Caller, flavor: int
) -> None:
    """Counting must wait for the order. Otherwise neither would count the ordered quantity."""
    key = keys.RequestKey(customer.user.id, f"counting {flavor}", "")
    held, stop = asyncio.Event(), asyncio.Event()

    async def hold_the_key() -> None:
        await keys.store_responses([keys.StoredResponse(key, "{}")], at=datetime.now(UTC))
        held.set()
        await stop.wait()
        raise ZeroDivisionError

    async def begin_to_count() -> None:
        work = partial(inventory.receive_stock, flavor, 10, reason="delivery", by=customer.user.id)
        await database.transaction(work)

    async def one_waits() -> bool:
        return bool(await DB.run_ddl(WAITING))

    async def both_wait() -> bool:
        return len(await DB.run_ddl(WAITING)) > 1

    holder = asyncio.create_task(database.transaction(hold_the_key))
    await held.wait()
    requests = [placing.OrderRequest(customer.user.id, {flavor: 3}, key)]
    order = asyncio.create_task(placing.place_in_transaction(requests))
    await until(one_waits)
    counting = asyncio.create_task(begin_to_count())
    await until(both_wait)
    stop.set()
    with pytest.raises(ZeroDivisionError):
        await holder
    await asyncio.gather(order, counting)
    assert await moves(flavor) == [(3, "while it was not counted"), (10, "delivery")]
    assert await doctor.find_violations() == {}
