"""Placing and listing orders over HTTP."""

import asyncio
from itertools import chain
from typing import Any

import msgspec
import pytest

from icecream.tables import DayTotal, Event, FlavorTotal, Job, Order, OrderLine, Payment
from tests.conftest import Caller, new_flavor

pytestmark = pytest.mark.anyio
WRITTEN = (Order, OrderLine, Payment, Job, Event, FlavorTotal, DayTotal)


async def everything() -> list[Any]:
    """All that an order writes."""
    return [await table.select().order_by(table._meta.primary_key) for table in WRITTEN]


@pytest.mark.parametrize("kind", ["data", "files", "json"])
async def test_an_order_is_taken_as_a_form_as_multipart_and_as_json(
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
    }


async def test_the_path_answers_with_and_without_its_slash(customer: Caller, flavor: int) -> None:
    for path in ("/api/orders/", "/api/orders"):
        assert (await customer.post(path, {"quantity": 1, "flavor": flavor})).status_code == 200
    for path in ("/api/orders/", "/api/orders", "/api/my-orders/", "/api/my-orders"):
        assert len((await customer.get(path)).json()) == 2


async def test_digit_strings_and_read_only_members_are_taken(
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


async def test_counted_stock_runs_out_with_409_and_says_what_is_left(customer: Caller) -> None:
    flavor = await new_flavor(stock=5)
    assert (await customer.post("/api/orders/", {"quantity": 3, "flavor": flavor})).is_success
    answer = await customer.post("/api/orders/", {"quantity": 3, "flavor": flavor})
    assert answer.status_code == 409
    assert answer.json()["code"] == "insufficient-stock"
    assert answer.json()["lines"] == [{"flavor": flavor, "quantity": 3, "available": 2}]
    assert len((await customer.get("/api/orders/")).json()) == 1


async def test_everybody_sees_only_their_own_orders(
    customer: Caller, stranger: Caller, staff: Caller, flavor: int
) -> None:
    await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    for other in (stranger, staff):
        assert (await other.get("/api/my-orders/")).json() == []


async def test_a_whole_list_of_any_length_is_streamed_oldest_first(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await customer.get("/api/orders/")).content == b"[]"
    monkeypatch.setattr("icecream.orders.CHUNK", 4)
    for length in (1, 3, 4, 9):
        have = len((await customer.get("/api/orders/")).json())
        body = {"quantity": 1, "flavor": flavor}
        await asyncio.gather(*(customer.post("/api/orders/", body) for _ in range(length - have)))
        ids = [order["id"] for order in (await customer.get("/api/orders/")).json()]
        assert ids == sorted(set(ids)) and len(ids) == length


async def test_pages_follow_their_links_to_the_end(customer: Caller, flavor: int) -> None:
    for _ in range(5):
        await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    whole = (await customer.get("/api/orders/")).json()
    path, pages = "/api/orders/?limit=2", []
    while path:
        answer = await customer.get(path)
        pages.append(answer.json())
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    assert [len(page) for page in pages] == [2, 2, 1]
    assert list(chain.from_iterable(pages)) == whole


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=501", "/limit"),
        ("limit=x", "/limit"),
        ("limit=1.5", "/limit"),
        ("limit=2&after=x", "/after"),
        ("limit=2&after=", "/after"),
        ("limit=2&after=%00", "/after"),
        ("limit=2&after=aWQ6LTE=", "/after"),
        ("limit=2&after=aWQ6OTIyMzM3MjAzNjg1NDc3NTgwOA==", "/after"),
    ],
)
async def test_a_bad_query_is_refused_by_name(customer: Caller, query: str, pointer: str) -> None:
    answer = await customer.get(f"/api/orders/?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer
