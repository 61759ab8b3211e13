"""Test the list of orders for staff: search, filters, pages, totals, and steps for several."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from icecream import settings
from icecream.orders import actions, placing
from icecream.orders.details import OrderDetails
from icecream.pages import formatting
from icecream.payments.providers import Declined
from icecream.staff import order_search
from icecream.staff.order_sources import OrderSearch
from icecream.tables import Event, Order, User
from tests.conftest import (
    Caller,
    carry_out,
    ignore_notification,
    new_flavor,
    new_user,
    place,
)
from tests.staff.conftest import Clerk, hidden

pytestmark = pytest.mark.anyio
PAGE = "/staff/orders/"


def listed(html: str) -> list[int]:
    """Return the numbers of the orders on the page."""
    return [int(number) for number in re.findall(r'name="orders" value="(\d+)"', html)]


async def search(clerk: Clerk, **query: Any) -> list[int]:
    answer = await clerk.client.get(PAGE, params=query)
    assert answer.status_code == 200, answer.text
    return listed(answer.text)


async def place_many(user: User, flavor: int, count: int) -> list[int]:
    return [(await place(user.id, {flavor: 1})).order for _ in range(count)]


async def paid(user: User, flavor: int) -> int:
    order = (await place(user.id, {flavor: 1})).order
    await carry_out(order)
    return order


async def test_the_newest_orders_come_first_page_by_page(
    clerk: Clerk, hashed: str, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_search, "PAGE_SIZE", 2)
    shop = await new_user(hashed)
    numbers = await place_many(shop, flavor, 5)
    first = await clerk.open(f"{PAGE}?customer={shop.id}")
    assert listed(first) == numbers[:2:-1]
    older = re.search(r'href="([^"]*)" rel="next"', first)
    assert older and 'rel="prev"' not in first
    second = await clerk.open(PAGE + older[1].replace("&amp;", "&"))
    assert listed(second) == numbers[2:0:-1]
    assert await search(clerk, customer=shop.id, older_than=numbers[1]) == [numbers[0]]
    newer = re.search(r'href="([^"]*)" rel="prev"', second)
    assert newer
    assert listed(await clerk.open(PAGE + newer[1].replace("&amp;", "&"))) == numbers[:2:-1]
    assert await search(clerk, customer=shop.id, newer_than=numbers[0]) == numbers[2:0:-1]
    assert listed(await clerk.open(PAGE)) == numbers[:2:-1]


async def test_one_box_searches_numbers_references_and_shops(
    clerk: Clerk, hashed: str, flavor: int
) -> None:
    shop, other = await new_user(hashed), await new_user(hashed)
    name = f"Café 100%_{shop.id} \\ Søn"
    await User.update({User.username: name}).where(User.id == shop.id)
    number = (await place(shop.id, {flavor: 1})).order
    details = OrderDetails(reference=str(number))
    placer = placing.OrderPlacer(ignore_notification)
    referring = (await placer.place(other.id, {flavor: 1}, details=details)).order
    # The names of other shops may contain the number too.
    assert {referring, number} <= set(await search(clerk, search=number))
    assert await search(clerk, search=f"100%_{shop.id}") == [number]
    assert await search(clerk, search=f"100__{shop.id}") == []
    assert await search(clerk, search=f" caf\u00e9 100%_{shop.id} ") == [number]
    assert await search(clerk, search=f"{shop.id} \\") == [number]
    assert await search(clerk, search="9" * 30) == []


async def test_orders_are_found_by_their_state(
    clerk: Clerk, hashed: str, nothing_due: None
) -> None:
    shop, flavor = await new_user(hashed), await new_flavor()
    pending, failed, done, canceled = await place_many(shop, flavor, 4)
    await carry_out(failed, Declined("no"))
    await actions.pay_order(failed, by=shop.id, needs_method=False)
    await carry_out(failed, Declined("no"))
    await carry_out(done)
    await actions.cancel_order(canceled, by=shop.id)
    expected = {
        ("pending",): [pending],
        ("failed",): [failed],
        ("paid",): [done],
        ("canceled",): [canceled],
        ("failed", "canceled"): [canceled, failed],
        ("pending", "failed"): [failed, pending],
        ("paid", "failed"): [done, failed],
    }
    for statuses, numbers in expected.items():
        assert await search(clerk, status=statuses, customer=shop.id) == numbers
        page = await order_search.read_page(OrderSearch(statuses=statuses))
        assert [one.id for one in page.orders if one.customer == shop.username] == numbers


async def test_orders_are_found_by_their_goods(clerk: Clerk, hashed: str, flavor: int) -> None:
    shop = await new_user(hashed)
    numbers = [await paid(shop, flavor) for _ in range(3)]
    form = await clerk.send(f"{PAGE}move/", to="packed", orders=numbers[:2])
    await clerk.send(
        f"{PAGE}move/",
        to="packed",
        orders=numbers[:2],
        key=hidden(form.text, "key"),
        confirmed="true",
    )
    for fulfilment, found in (("packed", numbers[1::-1]), ("unfulfilled", numbers[2:])):
        assert await search(clerk, fulfilment=fulfilment, customer=shop.id) == found
        assert (await search(clerk, fulfilment=fulfilment))[: len(found)] == found


async def test_days_include_the_first_and_the_last_one(
    clerk: Clerk, hashed: str, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await new_user(hashed)
    numbers = await place_many(shop, flavor, 4)
    rows = await Order.select(Order.id, Order.created_at).where(Order.user == shop.id)
    # Ids need not increase with the time.
    times = ["2019-03-03T23:59:59", "2019-03-02T00:00:00", "2019-03-01T23:59:59", "2019-03-04"]
    for number, at in zip(numbers, times, strict=True):
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        await Order.update({Order.created_at: moment}).where(Order.id == number)
    days = {"placed_from": "2019-03-02", "placed_to": "2019-03-03"}
    assert await search(clerk, **days) == [numbers[0], numbers[1]]
    assert await search(clerk, **days, customer=shop.id) == [numbers[1], numbers[0]]
    assert await search(clerk, **days, older_than=numbers[0]) == [numbers[1]]
    assert await search(clerk, **days, newer_than=numbers[1]) == [numbers[0]]
    assert await search(clerk, placed_from="2019-03-04", placed_to="2019-03-04") == [numbers[3]]
    berlin = msgspec.structs.replace(settings.load(), time_zone="Europe/Berlin")
    monkeypatch.setattr(settings, "load", lambda: berlin)
    assert await search(clerk, **days) == [numbers[1], numbers[2]]
    monkeypatch.undo()
    # The totals by quarter of an hour count the orders when they were placed.
    for row in rows:
        await Order.update({Order.created_at: row["created_at"]}).where(Order.id == row["id"])


async def test_a_page_reads_a_bounded_number_of_orders_and_goes_on(
    clerk: Clerk, hashed: str, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_search, "WINDOWS", (1, 3))
    shop = await new_user(hashed)
    delivered = await paid(shop, flavor)
    await Order.update({Order.fulfilment: "delivered"}).where(Order.id == delivered)
    numbers = await place_many(shop, flavor, 5)
    query = {"customer": shop.id, "fulfilment": "delivered"}
    answer = await clerk.client.get(PAGE, params=query)
    assert listed(answer.text) == [] and "Older ones may" in answer.text
    assert f"older_than={numbers[1]}" in answer.text
    assert await search(clerk, **query, older_than=numbers[1]) == [delivered]
    await Order.update({Order.fulfilment: "unfulfilled"}).where(Order.id == delivered)


async def test_the_sums_equal_those_of_the_orders(clerk: Clerk, hashed: str, flavor: int) -> None:
    shop = await new_user(hashed)
    for number in await place_many(shop, flavor, 3):
        await carry_out(number)
    today = datetime.now(UTC).date()
    rows = await Order.select(Order.user, Order.status, Order.total, Order.created_at)
    kept = [one for one in rows if one["status"] == "paid" and one["created_at"].date() == today]
    days = f"placed_from={today}&placed_to={today}"
    assert sums(await clerk.open(f"{PAGE}?status=paid&{days}")) == added_up(kept)
    assert sums(await clerk.open(PAGE)) == added_up(rows)
    own = [one for one in rows if one["user"] == shop.id]
    assert "Count these orders" in await clerk.open(f"{PAGE}?customer={shop.id}")
    for query in (f"customer={shop.id}", f"search={shop.username}"):
        assert sums(await clerk.open(f"{PAGE}?{query}&totals=1")) == added_up(own)


def sums(html: str) -> tuple[str, str]:
    """Return the number of orders, and their total, as the page shows them."""
    found = re.search(r'"sums">\s+<span><strong>(.*?)</strong>.*<strong>(.*?)</strong>', html)
    assert found, html
    return found[1], found[2]


def added_up(rows: list[dict[str, Any]]) -> tuple[str, str]:
    total = sum(one["total"] for one in rows)
    return formatting.number(len(rows)), formatting.money(total, "EUR")


@pytest.mark.parametrize(
    "query",
    [
        "status=lost",
        "fulfilment=lost",
        "placed_from=x",
        "placed_to=9999-12-31",
        "delivery_date=2026-02-30",
        "customer=x",
        "customer=2147483648",
        "older_than=-1",
        "newer_than=9999999999999999999999",
        "search=%00",
        f"search={'x' * 101}",
        "page=2",
    ],
)
async def test_an_invalid_query_is_reported_on_the_page(clerk: Clerk, query: str) -> None:
    html = await clerk.open(f"{PAGE}?{query}", 400)
    assert 'role="alert"' in html
    assert query.split("=")[0] in html


async def test_several_orders_are_packed_after_one_question(
    clerk: Clerk, customer: Caller, flavor: int
) -> None:
    done, other = await paid(customer.user, flavor), await paid(customer.user, flavor)
    pending = (await place(customer.user.id, {flavor: 1})).order
    fields = {"to": "packed", "orders": [done, other, pending], "back": "?status=paid"}
    question = await clerk.send(f"{PAGE}move/", **fields)
    assert question.status_code == 200
    assert f"Order {done} of {customer.user.username}" in question.text
    assert await fulfilment_of(done) == "unfulfilled"
    fields |= {"key": hidden(question.text, "key"), "confirmed": "true"}
    for _ in range(2):
        answer = await clerk.send(f"{PAGE}move/", **fields)
        assert answer.status_code == 303
        html = await clerk.open(answer.headers["location"])
        assert "2 orders marked packed." in html
        assert f"Order {pending} is pending; only a paid order can be packed." in html
    assert "status=paid" in answer.headers["location"]
    assert [await fulfilment_of(one) for one in (done, other, pending)] == [
        *("packed", "packed", "unfulfilled")
    ]
    events = await Event.select(Event.by).where(Event.order == done, Event.type == "packed")
    assert events == [{"by": clerk.user.id}]


async def fulfilment_of(order: int) -> str:
    row = await Order.select(Order.fulfilment).where(Order.id == order).first()
    assert row is not None
    return str(row["fulfilment"])


@pytest.mark.parametrize(
    "fields",
    [
        {"to": "packed"},
        {"to": "lost", "orders": ["1"]},
        {"to": "packed", "orders": ["x"]},
        {"to": "packed", "orders": ["1"], "confirmed": "perhaps"},
        {"to": "packed", "confirmed": "true", "back": "?lost=1"},
    ],
)
async def test_an_impossible_step_is_refused_and_moves_nothing(
    clerk: Clerk, customer: Caller, flavor: int, fields: dict[str, Any]
) -> None:
    order = await paid(customer.user, flavor)
    if "back" in fields:
        fields = fields | {"orders": [order], "key": "a"}
    assert (await clerk.send(f"{PAGE}move/", **fields)).status_code == 400
    assert await fulfilment_of(order) == "unfulfilled"


async def test_another_users_message_is_not_shown(clerk: Clerk, customer: Caller) -> None:
    html = await clerk.open(f"{PAGE}?done=page-unknown")
    assert 'role="status"' not in html


async def test_a_delivery_date_finds_its_orders(clerk: Clerk, hashed: str, flavor: int) -> None:
    shop, day = await new_user(hashed), datetime.now(UTC).date() + timedelta(200)
    placer = placing.OrderPlacer(ignore_notification)
    details = OrderDetails(delivery_date=day)
    number = (await placer.place(shop.id, {flavor: 1}, details=details)).order
    assert await search(clerk, delivery_date=day) == [number]
    assert await search(clerk, delivery_date=date(2001, 1, 1)) == []


async def test_the_file_has_the_orders_of_the_list(clerk: Clerk, hashed: str, flavor: int) -> None:
    shop = await new_user(hashed)
    numbers = [await paid(shop, flavor), await paid(shop, flavor)]
    await place(shop.id, {flavor: 1})
    query = f"?customer={shop.id}&status=paid"
    link = re.search(r'class="file" href="([^"]*)"', await clerk.open(f"{PAGE}{query}"))
    assert link
    text = await clerk.open(link[1].replace("&amp;", "&"))
    assert [line.split(",")[0] for line in text.splitlines()] == ["number", *map(str, numbers)]
    assert "Download as CSV" not in await clerk.open(f"{PAGE}?search=x")
    await clerk.open(f"{PAGE}file.csv?search=x", 400)
