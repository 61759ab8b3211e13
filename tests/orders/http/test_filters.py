"""Test lists of orders over HTTP: access, filters, sorting and pages."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest

from icecream.http import pagination
from icecream.orders import placing
from icecream.orders.details import OrderDetails
from icecream.orders.http import filters
from icecream.tables import Event, Order
from tests.conftest import Caller, ignore_notification, new_flavor, place

pytestmark = pytest.mark.anyio


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
    monkeypatch.setattr("icecream.http.pagination.ROWS_PER_READ", 4)
    for length in (1, 3, 4, 9):
        have = len((await customer.get("/api/orders/")).json())
        body = {"quantity": 1, "flavor": flavor}
        await asyncio.gather(*(customer.post("/api/orders/", body) for _ in range(length - have)))
        ids = [order["id"] for order in (await customer.get("/api/orders/")).json()]
        assert ids == sorted(set(ids)) and len(ids) == length


async def test_only_a_list_that_is_longer_than_one_read_is_streamed(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icecream.http.pagination.ROWS_PER_READ", 2)
    for length, has_length in ((0, True), (1, True), (2, True), (3, False)):
        answer = await customer.get("/api/orders/")
        assert len(answer.json()) == length
        assert ("content-length" in answer.headers) == has_length
        assert answer.headers["content-type"] == "application/json"
        await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})


async def test_rows_that_disappear_while_a_list_is_streamed_are_left_out(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icecream.http.pagination.ROWS_PER_READ", 1)
    for _ in range(2):
        await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    real = filters.read_page

    async def page(asked: Any, after: Any, limit: int) -> pagination.Page:
        found = await real(asked, after, limit)
        return found if after is None else pagination.Page(b"[]", None)

    monkeypatch.setattr(filters, "read_page", page)
    assert len((await customer.get("/api/orders/")).json()) == 1


@pytest.mark.slow
async def test_concurrent_callers_find_their_own_orders(
    customer: Caller, stranger: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that was being read when an order was placed is not given to its customer."""
    real, reads = filters.read_page, 0

    async def slow(*place: Any) -> pagination.Page:
        nonlocal reads
        reads += 1
        found = await real(*place)
        await asyncio.sleep(0.01)
        return found

    monkeypatch.setattr(filters, "read_page", slow)

    async def shop(caller: Caller) -> None:
        for _ in range(5):
            body = {"quantity": 1, "flavor": flavor}
            number = (await caller.post("/api/orders/", body)).json()["order_id"]
            orders = (await caller.get("/api/orders/")).json()
            assert number in [order["id"] for order in orders]
            assert {order["user"] for order in orders} == {caller.user.id}

    await asyncio.gather(*(shop(caller) for caller in (customer, stranger) for _ in range(10)))
    assert reads < 100


async def test_a_whole_list_is_never_in_memory(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part of the list is sent before the next one is read."""
    monkeypatch.setattr("icecream.http.pagination.ROWS_PER_READ", 5)
    counter = placing.OrderPlacer(ignore_notification)
    await asyncio.gather(*(counter.place(customer.user.id, {flavor: 1}) for _ in range(43)))
    real, happened, over = filters.read_page, [], asyncio.Event()
    received = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def page(asked: Any, after: Any, limit: int) -> Any:
        happened.append("read")
        return await real(asked, after, limit)

    async def send(message: Any) -> None:
        if b'"id"' in message.get("body", b""):
            happened.append("sent")
            assert message["body"].count(b'"id"') <= 5
        if message["type"] == "http.response.body" and not message["more_body"]:
            over.set()

    async def receive() -> Any:
        for message in received:
            return message
        await over.wait()
        return {"type": "http.disconnect"}

    monkeypatch.setattr(filters, "read_page", page)
    await customer.client._transport.app(_call("/api/orders/", customer.access), receive, send)
    assert happened == ["read", "sent"] * 9


def _call(path: str, access: str) -> dict[str, Any]:
    """Return a request as a server passes it to the application."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"test"), (b"authorization", f"Bearer {access}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
    }


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
        ("limit=2&after=aWQ6MQ", "/after"),
        (f"limit=2&after={pagination.Cursor('id', -1, 1).encoded}", "/after"),
        (f"limit=2&after={pagination.Cursor('id', 2**63, 1).encoded}", "/after"),
        (f"limit=2&after={pagination.Cursor('-id', 5, 5).encoded}", "/after"),
        (f"limit=2&sort=total&after={pagination.Cursor('id', 5, 5).encoded}", "/after"),
        ("status=gone", "/status"),
        ("status=", "/status"),
        ("status=paid&status=gone", "/status"),
        ("status=null", "/status"),
        ("limit=1&limit=2", "/limit"),
        ("sort=id&sort=-id", "/sort"),
        ("limit=null", "/limit"),
        ("flavor=NULL", "/flavor"),
        ("statuss=paid", "/statuss"),
        ("page=2", "/page"),
        ("a/b=1", "/a~1b"),
        ("sort=created", "/sort"),
        ("sort=--id", "/sort"),
        ("created_from=yesterday", "/created_from"),
        ("created_from=2026", "/created_from"),
        ("created_from=", "/created_from"),
        ("created_from=2025-05-13T10:22:06", "/created_from"),
        ("created_to=0001-01-01T00:00:00%2B23:59", "/created_to"),
        ("created_to=9999-12-31T23:59:59-23:59", "/created_to"),
        ("flavor=0", "/flavor"),
        ("flavor=x", "/flavor"),
        (f"flavor={2**63}", "/flavor"),
        ("user=me", "/user"),
        ("user=0", "/user"),
        ("user=\u0663", "/user"),
        (f"user={2**31}", "/user"),
        (f"user={2**63}", "/user"),
        ("reference=", "/reference"),
        (f"reference={'x' * 101}", "/reference"),
        ("reference=a%00b", "/reference"),
        ("reference=a%0A", "/reference"),
        ("fulfilment=lost", "/fulfilment"),
        ("delivery_date=tomorrow", "/delivery_date"),
        ("delivery_date=2026-02-30", "/delivery_date"),
        ("delivery_date=", "/delivery_date"),
        ("updated_from=2026", "/updated_from"),
        ("count=maybe", "/count"),
        ("count=null", "/count"),
    ],
)
async def test_a_bad_query_is_refused_by_name(staff: Caller, query: str, pointer: str) -> None:
    answer = await staff.get(f"/api/orders/?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def walk(caller: Caller, path: str) -> list[int]:
    """Return the ids of all pages."""
    found = []
    while path:
        answer = await caller.get(path)
        assert answer.status_code == 200, answer.text
        found += [order["id"] for order in answer.json()]
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    return found


@pytest.fixture
async def orders(customer: Caller) -> AsyncIterator[dict[str, Any]]:
    """Six orders of two flavors, whose totals and times are not in the order of their numbers."""
    cheap, dear = await new_flavor(price=1), await new_flavor(price=100)
    lines = [{cheap: 5}, {dear: 2}, {cheap: 1, dear: 1}, {cheap: 5}, {dear: 9}, {cheap: 200}]
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    added = [{"reference": "PO-1"}, {"delivery_date": tomorrow}]
    added += [{"reference": "PO-1", "delivery_date": tomorrow}, {"reference": "PO-12"}, {}, {}]
    placer = placing.OrderPlacer(ignore_notification)
    numbers = [
        (await placer.place(customer.user.id, one, details=OrderDetails(**more))).order
        for one, more in zip(lines, added, strict=True)
    ]
    await Event.update({Event.at: datetime(2100, 1, 1, tzinfo=UTC)}).where(
        Event.order == numbers[5]
    )
    await Order.update({Order.fulfilment: "packed"}).where(Order.id.is_in(numbers[2:4]))
    await Order.update({Order.fulfilment: "delivered"}).where(Order.id == numbers[4])
    rows = await Order.select(Order.id, Order.created_at).where(Order.id.is_in(numbers))
    start = datetime(2024, 2, 28, 23, 59, 59, tzinfo=UTC)
    for n, number in enumerate(numbers):
        await Order.update({Order.created_at: start + timedelta(hours=n)}).where(Order.id == number)
    yield {"numbers": numbers, "cheap": cheap, "dear": dear, "tomorrow": tomorrow}
    # Restore the times: the totals by quarter of an hour count the orders when they were placed.
    for row in rows:
        restored = {Order.created_at: row["created_at"], Order.fulfilment: "unfulfilled"}
        await Order.update(restored).where(Order.id == row["id"])


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ("sort=id", [0, 1, 2, 3, 4, 5]),
        ("sort=-id", [5, 4, 3, 2, 1, 0]),
        ("sort=total", [0, 3, 2, 1, 5, 4]),
        ("sort=-total", [4, 5, 1, 2, 3, 0]),
        ("created_from=2024-02-29T01:59:59Z", [2, 3, 4, 5]),
        ("created_from=2024-02-29T03:59:59%2B02:00", [2, 3, 4, 5]),
        ("created_to=2024-02-29T01:59:59Z", [0, 1]),
        ("created_from=2024-02-29T00:00:00Z&created_to=2024-02-29T03:00:00Z", [1, 2, 3]),
        ("flavor={cheap}", [0, 2, 3, 5]),
        ("flavor={dear}&sort=-total", [4, 1, 2]),
        ("status=pending", [0, 1, 2, 3, 4, 5]),
        ("status=paid", []),
        ("status=pending&status=paid", [0, 1, 2, 3, 4, 5]),
        ("status=pending&status=pending", [0, 1, 2, 3, 4, 5]),
        ("status=paid&status=failed", []),
        ("flavor=999999", []),
        ("reference=PO-1", [0, 2]),
        ("reference=PO-1&sort=-id", [2, 0]),
        ("reference=PO", []),
        ("reference=po-1", []),
        ("delivery_date={tomorrow}", [1, 2]),
        ("delivery_date={tomorrow}&reference=PO-1", [2]),
        ("delivery_date=2024-02-29", []),
        ("fulfilment=packed", [2, 3]),
        ("fulfilment=packed&fulfilment=delivered&sort=-id", [4, 3, 2]),
        ("fulfilment=packed&status=paid", []),
        ("fulfilment=returned", []),
        ("updated_from=2024-03-01T00:00:00Z", [0, 1, 2, 3, 4, 5]),
        ("updated_from=2100-01-01T00:00:00Z", [5]),
    ],
)
async def test_a_list_has_the_requested_orders_whole_and_by_page(
    customer: Caller, orders: dict[str, Any], query: str, which: list[int]
) -> None:
    expected = [orders["numbers"][n] for n in which]
    path = "/api/orders/?" + query.format(**orders)
    whole = [order["id"] for order in (await customer.get(path)).json()]
    assert whole == expected
    for limit in (1, 2, 4, 6, 7):
        assert await walk(customer, f"{path}&limit={limit}") == expected


@pytest.mark.parametrize("limit", [1, 2, 10_000])
async def test_ids_need_not_follow_the_times(
    customer: Caller, orders: dict[str, Any], monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(filters, "MAX_BOUNDED_ORDERS", limit)
    first, *others = orders["numbers"]
    await Order.update({Order.created_at: datetime(2024, 3, 1, tzinfo=UTC)}).where(
        Order.id == first
    )
    for query, expected in {
        "created_from=2024-02-29T03:00:00Z": [first, *others[3:]],
        "created_from=2024-03-01T00:00:00Z": [first],
        "created_from=2024-02-29T02:00:00Z&created_to=2024-02-29T04:00:00Z": others[2:4],
        "created_from=2025-01-01T00:00:00Z&created_to=2025-01-01T04:00:00Z": [],
    }.items():
        assert await walk(customer, f"/api/orders/?{query}&limit=2") == expected
        descending = f"/api/orders/?{query}&limit=2&sort=-id"
        assert await walk(customer, descending) == expected[::-1]


@pytest.mark.only("sqlite")
@pytest.mark.parametrize(
    ("order_filter", "index"),
    [
        (filters.OrderFilter(None, created_from=datetime.now(UTC)), "orders_created_at"),
        (filters.OrderFilter(1, created_from=datetime.now(UTC)), "orders_created_at"),
        (filters.OrderFilter(None, fulfilment=("unfulfilled",)), "orders_unfulfilled"),
        (filters.OrderFilter(None, fulfilment=("packed",)), "orders_packed"),
    ],
)
async def test_a_list_finds_its_first_order_by_an_index(
    opened: None, order_filter: filters.OrderFilter, index: str
) -> None:
    """On PostgreSQL, `peers/test_query_plans.py` looks at the lists."""
    query = Order.select(Order.id).where(*filters.conditions(order_filter)).order_by(Order.id)
    plan = str(await Order.raw("EXPLAIN QUERY PLAN {}", query.limit(2).querystrings[0]))
    assert index in plan, plan
    assert "SCAN orders'" not in plan and "B-TREE" not in plan, plan


async def test_a_long_list_in_another_order_is_streamed_whole(
    customer: Caller, orders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icecream.http.pagination.ROWS_PER_READ", 2)
    answer = (await customer.get("/api/orders/?sort=total")).json()
    assert [order["total"] for order in answer] == [5, 5, 101, 200, 200, 900]
    assert len({order["id"] for order in answer}) == 6


async def test_a_list_says_how_many_orders_there_are_if_asked(
    customer: Caller, orders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {
        "limit=2&count=true": "6",
        "limit=1&count=true&reference=PO-1": "2",
        "count=true&flavor=999999": "0",
        "limit=2&count=false": None,
        "limit=2": None,
    }
    for query, count in counts.items():
        answer = await customer.get(f"/api/orders/?{query}")
        assert answer.headers.get("X-Total-Count") == count
    second = (await customer.get("/api/orders/?limit=2&count=true")).links["next"]["url"]
    assert (await customer.get(second)).headers["X-Total-Count"] == "6"
    monkeypatch.setattr("icecream.http.pagination.ROWS_PER_READ", 2)
    assert (await customer.get("/api/orders/?count=true")).headers["X-Total-Count"] == "6"


async def test_only_staff_see_the_orders_of_other_users(
    customer: Caller, stranger: Caller, staff: Caller, flavor: int
) -> None:
    number = (await place(customer.user.id, {flavor: 1})).order
    theirs = f"/api/orders/?user={customer.user.id}"
    assert [one["id"] for one in (await staff.get(theirs)).json()] == [number]
    assert [one["id"] for one in (await customer.get(theirs)).json()] == [number]
    newest = (await staff.get("/api/orders/?user=all&sort=-id&limit=1")).json()
    assert [one["id"] for one in newest] == [number]
    for path in (theirs, "/api/orders/?user=all", "/api/my-orders/?user=all"):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
