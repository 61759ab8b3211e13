"""Test placing and listing orders over HTTP."""

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from icecream import states
from icecream.orders import details
from icecream.payments import leases, settlement
from icecream.payments.providers import Declined
from icecream.tables import (
    Event,
    Flavor,
    IdempotencyKey,
    Job,
    Order,
    OrderLine,
    Payment,
    TotalChange,
)
from tests import ledger
from tests.conftest import Caller, new_flavor, place

pytestmark = pytest.mark.anyio
WRITTEN = (IdempotencyKey, Order, OrderLine, Payment, Job, Event, TotalChange)


async def everything() -> list[Any]:
    """Return the rows of all tables to which an order writes."""
    return [await table.select().order_by(table._meta.primary_key) for table in WRITTEN]


async def stock(flavor: int) -> int:
    row = await Flavor.select(Flavor.stock).where(Flavor.id == flavor).first()
    assert row is not None
    left: int = row["stock"]
    return left


@pytest.mark.parametrize("kind", ["data", "files", "json"])
async def test_an_order_is_accepted_as_a_form_as_multipart_and_as_json(
    customer: Caller, flavor: int, kind: str
) -> None:
    fields: dict[str, Any] = {"quantity": 2, "flavor": flavor}
    if kind == "files":
        fields = {name: (None, str(value)) for name, value in fields.items()}
    answer = await customer.request("POST", "/api/orders/", **{kind: fields})
    assert answer.status_code == 200
    assert list(answer.json()) == ["status", "order_id"]
    assert answer.json()["status"] == "Order placed"
    (order,) = (await customer.get("/api/orders/")).json()
    created = order.pop("created_at")
    assert created.endswith("Z") and "T" in created
    assert order == {
        "id": answer.json()["order_id"],
        "quantity": 2,
        "status": "pending",
        "user": customer.user.id,
        "flavor": flavor,
        "lines": [{"flavor": flavor, "quantity": 2, "unit_price": 250}],
        "total": 500,
        "refunded": 0,
        "currency": "EUR",
        "reference": None,
        "note": None,
        "delivery_date": None,
        "fulfilment": "unfulfilled",
    }


async def test_the_path_answers_with_and_without_its_slash(customer: Caller, flavor: int) -> None:
    for path in ("/api/orders/", "/api/orders"):
        assert (await customer.post(path, {"quantity": 1, "flavor": flavor})).status_code == 200
    for path in ("/api/orders/", "/api/orders", "/api/my-orders/", "/api/my-orders"):
        assert len((await customer.get(path)).json()) == 2


async def test_digit_strings_and_read_only_members_are_accepted(
    customer: Caller, stranger: Caller, flavor: int
) -> None:
    body = {
        "quantity": "3",
        "flavor": str(flavor),
        "id": 1,
        "user": stranger.user.id,
        "status": "paid",
        "created_at": "2001-01-01T00:00:00Z",
    }
    assert (await customer.post("/api/orders/", body)).status_code == 200
    (order,) = (await customer.get("/api/orders/")).json()
    assert (order["quantity"], order["user"], order["status"]) == (3, customer.user.id, "pending")
    assert not order["created_at"].startswith("2001")
    assert (await stranger.get("/api/orders/")).json() == []


LINE = {"quantity": 1, "flavor": 1}
BAD_NUMBERS: list[Any] = [0, -1, 1.5, "x", True, None, [], {}]
REFUSED: list[tuple[Any, str]] = [
    *(({"quantity": bad, "flavor": 1}, "/quantity") for bad in BAD_NUMBERS),
    *(({"quantity": bad, "flavor": 1}, "/quantity") for bad in (100_001, 2**62, 2**63, 2**64)),
    *(
        ({"quantity": bad, "flavor": 1}, "/quantity")
        for bad in ("", "1.5", "+1", " 1", "\u0662", "1_0")
    ),
    *(({"quantity": 1, "flavor": bad}, "/flavor") for bad in BAD_NUMBERS),
    *(({"quantity": 1, "flavor": bad}, "/flavor") for bad in (999_999, 2**62, 2**63, 2**64)),
    ({"flavor": 1}, "/quantity"),
    ({"quantity": 1}, "/flavor"),
    ({"quantity": 1, "flavor": 1, "colour": "red"}, "/colour"),
    ({"quantity": 1, "flavor": 1, "price": 0}, "/price"),
    ({"quantity": 1, "flavor": 1, "a/b~c": 0}, "/a~1b~0c"),
    ({"quantity": 1, "lines": [LINE]}, "/quantity"),
    ({"flavor": 1, "lines": [LINE]}, "/flavor"),
    ({"lines": []}, "/lines"),
    ({"lines": [LINE] * 101}, "/lines"),
    ({"lines": None}, "/lines"),
    ({"lines": LINE}, "/lines"),
    ({"lines": [LINE, 7]}, "/lines/1"),
    ({"lines": [LINE, {"flavor": 1}]}, "/lines/1/quantity"),
    ({"lines": [LINE, {"quantity": 1}]}, "/lines/1/flavor"),
    ({"lines": [LINE | {"quantity": 0}]}, "/lines/0/quantity"),
    ({"lines": [LINE | {"quantity": 1.5}]}, "/lines/0/quantity"),
    ({"lines": [LINE, LINE | {"unit_price": 0}]}, "/lines/1/unit_price"),
    ({"lines": [LINE, LINE | {"flavor": 999_999}]}, "/lines/1/flavor"),
    ({"lines": [LINE | {"quantity": 100_000}, LINE]}, "/lines/1/quantity"),
    ([], ""),
    ("x", ""),
    (7, ""),
]


@pytest.mark.parametrize(("body", "pointer"), REFUSED, ids=repr)
async def test_a_bad_body_is_refused_by_name_and_changes_nothing(
    customer: Caller, body: Any, pointer: str
) -> None:
    before = await everything()
    answer = await customer.post("/api/orders/", body)
    problem = answer.json()
    assert answer.status_code == problem["status"] == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "validation-failed"
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert await everything() == before


RAW = [
    (b"{", 400),
    (b"", 400),
    (b"null", 400),
    (b"[" * 100_000, 400),
    (b'{"quantity":' + b"[" * 100_000, 400),
    (b'{"quantity": 1, "flavor": "\xff"}', 400),
    (b'{"quantity": NaN, "flavor": 1}', 400),
    (b'{"quantity": 1e400, "flavor": 1}', 400),
    (b'{"quantity": 1, "flavor": "\\ud800"}', 400),
    (b'{"quantity": 1, "flavor": 1} x', 400),
    (b'{"quantity": 1, "pad": "' + b"x" * 1_100_000 + b'"}', 413),
]


@pytest.mark.parametrize(("content", "status"), RAW, ids=lambda value: repr(value)[:40])
async def test_broken_json_is_a_problem_document(
    customer: Caller, content: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await customer.request("POST", "/api/orders/", content=content, headers=headers)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await customer.get("/api/orders/")).json() == []


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/x-www-form-urlencoded", b"quantity=1&quantity=2&flavor=1"),
        ("application/x-www-form-urlencoded", b"quantity=%ff&flavor=1"),
        ("application/x-www-form-urlencoded", b"quantity=\xff&flavor=1"),
        ("application/x-www-form-urlencoded", b"&&&==&"),
        ("application/x-www-form-urlencoded", b"quantity=1&flavor=1" + b"&a=" * 2000),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="quantity"\r\n'
            b"Content-Type: text/plain; charset=nope\r\n\r\n1\r\n--x--\r\n",
        ),
        ("application/x-www-form-urlencoded", b"quantity=1%00&flavor=1"),
        ("multipart/form-data", b"quantity=1&flavor=1"),
        ("multipart/form-data; boundary=x", b"quantity=1&flavor=1"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="quantity"; filename="f"\r\n\r\n1\r\n'
            b'--x\r\nContent-Disposition: form-data; name="flavor"\r\n\r\n1\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="quantity"\r\n\r\n\xff\r\n--x--\r\n',
        ),
    ],
)
async def test_a_broken_form_is_a_problem_document(
    customer: Caller, kind: str, content: bytes
) -> None:
    headers = {"Content-Type": kind}
    answer = await customer.request("POST", "/api/orders/", content=content, headers=headers)
    assert answer.status_code == answer.json()["status"] == 400
    assert (await customer.get("/api/orders/")).json() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/msgpack", "x", ""])
async def test_another_content_type_is_415(customer: Caller, flavor: int, kind: str) -> None:
    body = msgspec.json.encode({"quantity": 1, "flavor": flavor})
    headers = {"Content-Type": kind} if kind else {}
    answer = await customer.request("POST", "/api/orders/", content=body, headers=headers)
    assert answer.status_code == answer.json()["status"] == 415
    assert (await customer.get("/api/orders/")).json() == []


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "nonsense"])
async def test_a_compressed_body_is_415_with_the_accepted_encodings(
    customer: Caller, flavor: int, coding: str
) -> None:
    body = gzip.compress(msgspec.json.encode({"quantity": 1, "flavor": flavor}))
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = await customer.request("POST", "/api/orders/", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "identity"
    assert "Content-Encoding" in answer.json()["detail"]
    order = {"quantity": 1, "flavor": flavor}
    plain = await customer.post("/api/orders/", order, headers={"Content-Encoding": "identity"})
    assert plain.status_code == 200


async def test_counted_stock_runs_out_with_409_and_the_quantity_left(customer: Caller) -> None:
    flavor = await new_flavor(stock=5)
    assert (await customer.post("/api/orders/", {"quantity": 3, "flavor": flavor})).is_success
    answer = await customer.post("/api/orders/", {"quantity": 3, "flavor": flavor})
    assert answer.status_code == 409
    assert answer.json()["code"] == "insufficient-stock"
    assert answer.json()["lines"] == [{"flavor": flavor, "quantity": 3, "available": 2}]
    assert len((await customer.get("/api/orders/")).json()) == 1


async def test_an_order_may_have_several_lines(customer: Caller) -> None:
    first, second = await new_flavor(price=100, stock=9), await new_flavor(price=7)
    lines = [
        {"flavor": second, "quantity": 2},
        {"flavor": first, "quantity": "3"},
        {"flavor": second, "quantity": 5},
    ]
    answer = await customer.post("/api/orders/", {"lines": lines})
    assert answer.status_code == 200
    (order,) = (await customer.get("/api/orders/")).json()
    assert (order["quantity"], order["flavor"], order["total"]) == (10, None, 349)
    assert order["lines"] == [
        {"flavor": second, "quantity": 7, "unit_price": 7},
        {"flavor": first, "quantity": 3, "unit_price": 100},
    ]
    await ledger.check()


async def test_the_longest_order_goes_through_beside_others(customer: Caller) -> None:
    flavors = [await new_flavor() for _ in range(100)]
    long = {"lines": [{"flavor": flavor, "quantity": 1} for flavor in flavors]}
    short = {"flavor": flavors[0], "quantity": 1}
    answers = await asyncio.gather(
        *(customer.post("/api/orders/", one) for one in [short, long] * 9)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len((await customer.get("/api/orders/")).json()) == 18
    await ledger.check()


async def test_the_answer_contains_the_flavor_without_enough_stock_and_nothing_is_reserved(
    customer: Caller,
) -> None:
    plenty, scarce = await new_flavor(stock=50), await new_flavor(stock=2)
    lines = [{"flavor": plenty, "quantity": 5}, {"flavor": scarce, "quantity": 3}]
    answer = await customer.post("/api/orders/", {"lines": lines})
    assert answer.status_code == 409
    assert answer.json()["lines"] == [{"flavor": scarce, "quantity": 3, "available": 2}]
    assert await stock(plenty) == 50
    await ledger.check()


async def test_a_quote_equals_the_order_and_writes_nothing(customer: Caller) -> None:
    scarce, other = await new_flavor(price=30, stock=4), await new_flavor(price=5)
    body = {"lines": [{"flavor": other, "quantity": 1}, {"flavor": scarce, "quantity": 4}]}
    before = await everything()
    quote = await customer.post("/api/orders/quote/", body)
    assert quote.status_code == 200
    assert await everything() == before
    assert await stock(scarce) == 4
    await customer.post("/api/orders/", body)
    (order,) = (await customer.get("/api/orders/")).json()
    assert quote.json() == {name: order[name] for name in quote.json()}
    assert quote.json()["total"] == 125


@pytest.mark.parametrize(("body", "pointer"), REFUSED[-20:], ids=repr)
async def test_a_quote_is_refused_like_an_order(customer: Caller, body: Any, pointer: str) -> None:
    answers = [await customer.post(path, body) for path in ("/api/orders/", "/api/orders/quote/")]
    placed, quoted = (answer.json() for answer in answers)
    assert [answer.status_code for answer in answers] == [400, 400]
    assert placed["errors"] == quoted["errors"]
    assert quoted["errors"][0]["pointer"] == pointer


async def test_a_refused_quote_has_the_quantity_left(customer: Caller) -> None:
    flavor = await new_flavor(stock=2)
    answer = await customer.post("/api/orders/quote/", {"flavor": flavor, "quantity": 3})
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient-stock")
    assert answer.json()["lines"] == [{"flavor": flavor, "quantity": 3, "available": 2}]


async def test_an_order_has_its_history_and_the_allowed_actions(customer: Caller) -> None:
    placed = await place(customer.user.id, {await new_flavor(): 1})
    order = (await customer.get(f"/api/orders/{placed.order}/")).json()
    (listed,) = (await customer.get("/api/orders/")).json()
    assert {name: order[name] for name in listed} == listed
    assert order["actions"] == ["cancel"]
    (happened,) = order["history"]
    assert (happened["type"], happened["by"]) == ("placed", customer.user.id)
    (lease,) = await leases.acquire_leases([placed.payment or 0], limit=1, lease_seconds=30)
    assert (await customer.get(f"/api/orders/{placed.order}/")).json()["actions"] == ["cancel"]
    await settlement.settle([settlement.SettlementResult(lease, Declined("No money."))])
    order = (await customer.get(f"/api/orders/{placed.order}/")).json()
    assert (order["status"], order["actions"]) == ("failed", ["pay"])
    assert [(one["type"], one["by"], one.get("reason")) for one in order["history"]] == [
        ("placed", customer.user.id, None),
        ("failed", None, "The payment was declined."),
    ]


MISSING = [
    "999999",
    "0",
    str(2**63 - 1),
    str(2**63),
    str(2**200),
    "x",
    "-1",
    "1.5",
    "\u0663",
    "%00",
]


@pytest.mark.parametrize("path", ["", "/cancel"])
@pytest.mark.parametrize("number", MISSING)
async def test_an_unknown_id_is_not_found(customer: Caller, number: str, path: str) -> None:
    method = "POST" if path else "GET"
    answer = await customer.request(method, f"/api/orders/{number}{path}/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_the_orders_of_others_look_as_if_they_were_not_there(
    customer: Caller, stranger: Caller, staff: Caller, flavor: int
) -> None:
    number = (await place(customer.user.id, {flavor: 1})).order
    arabic = str(number).translate({48 + n: 0x660 + n for n in range(10)})
    assert (await customer.get(f"/api/orders/{arabic}")).status_code == 404
    for method, path in (("GET", ""), ("POST", "/cancel")):
        other = await stranger.request(method, f"/api/orders/{number}{path}")
        missing = await stranger.request(method, f"/api/orders/{number + 999_999}{path}")
        assert other.status_code == missing.status_code == 404
        assert other.json()["detail"] == missing.json()["detail"]
    assert (await staff.get(f"/api/orders/{number}")).json()["user"] == customer.user.id
    assert (await customer.get(f"/api/orders/{number}")).json()["status"] == "pending"


async def test_a_canceled_order_gives_its_stock_back_and_is_never_charged(
    customer: Caller,
) -> None:
    flavor = await new_flavor(stock=5)
    placed = await place(customer.user.id, {flavor: 4})
    answers = [await customer.post(f"/api/orders/{placed.order}/cancel/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    order = answers[0].json()
    assert (order["status"], order["actions"]) == ("canceled", [])
    assert [(one["type"], one["by"]) for one in order["history"]] == [
        ("placed", customer.user.id),
        ("canceled", customer.user.id),
    ]
    assert await stock(flavor) == 5
    assert await leases.acquire_leases([placed.payment or 0], limit=1, lease_seconds=30) == []
    await ledger.check()


async def test_staff_may_cancel_for_a_customer(
    customer: Caller, staff: Caller, flavor: int
) -> None:
    number = (await place(customer.user.id, {flavor: 1})).order
    answer = await staff.post(f"/api/orders/{number}/cancel/")
    assert answer.json()["history"][-1]["by"] == staff.user.id


async def test_the_states_are_those_of_the_one_table(customer: Caller) -> None:
    table = (await customer.get("/api/orders/states/")).json()
    assert table == {
        "order": {name: list(after) for name, after in states.ORDER.items()},
        "payment": {name: list(after) for name, after in states.PAYMENT.items()},
        "fulfilment": {name: list(after) for name, after in states.FULFILMENT.items()},
        "actions": {
            name: {"from": list(action.sources), "to": action.goal}
            for name, action in states.ACTIONS.items()
        },
    }
    assert list(table["order"]) == list(states.ORDER)


async def test_an_order_keeps_what_the_customer_adds(customer: Caller, flavor: int) -> None:
    day = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    added = {"reference": " PO-1207 ", "note": "back door\r\nring twice", "delivery_date": day}
    kept = {"reference": "PO-1207", "note": "back door\nring twice", "delivery_date": day}
    order = {"quantity": 1, "flavor": flavor}
    for kind in ("json", "data"):
        placed = await customer.request("POST", "/api/orders/", **{kind: order | added})
        assert placed.status_code == 200, placed.text
        one = (await customer.get(f"/api/orders/{placed.json()['order_id']}/")).json()
        assert {name: one[name] for name in added} == kept
    for listed in (await customer.get("/api/orders/")).json():
        assert {name: listed[name] for name in added} == kept
    nothing = dict.fromkeys(added)
    placed = await customer.post("/api/orders/", order | nothing)
    one = (await customer.get(f"/api/orders/{placed.json()['order_id']}/")).json()
    assert {name: one[name] for name in added} == nothing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reference", ""),
        ("reference", "x" * 101),
        ("reference", " "),
        ("reference", "\u200b"),
        ("reference", "a\nb"),
        ("reference", 7),
        ("note", ""),
        ("note", "x" * 501),
        ("note", "\n"),
        ("note", "a\x00"),
        ("note", "a\x0bb"),
        ("delivery_date", "2020-01-01"),
        ("delivery_date", "2999-01-01"),
        ("delivery_date", "2026-02-30"),
        ("delivery_date", "tomorrow"),
        ("delivery_date", ""),
        ("delivery_date", 20260513),
    ],
)
async def test_a_bad_addition_is_refused_by_name(
    customer: Caller, flavor: int, name: str, value: Any
) -> None:
    before = await everything()
    for path in ("/api/orders/", "/api/orders/quote/"):
        answer = await customer.post(path, {"quantity": 1, "flavor": flavor, name: value})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == f"/{name}"
    assert await everything() == before


async def test_a_repeated_order_gets_its_answer_after_its_delivery_date(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"quantity": 1, "flavor": flavor, "delivery_date": datetime.now(UTC).date().isoformat()}
    headers = {"Idempotency-Key": "deliver-today"}
    first = await customer.request("POST", "/api/orders/", json=body, headers=headers)
    monkeypatch.setattr(details, "LAST_TIME_ZONE", timedelta(days=3))
    again = await customer.request("POST", "/api/orders/", json=body, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await customer.request("POST", "/api/orders/", json=body)
    assert other.status_code == 400
