"""Test which orders are on a packing list, its sums, and its number of queries."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from icecream import database
from icecream.fulfilment import packing_list, transitions
from icecream.orders import actions, placing
from icecream.orders.details import OrderDetails
from icecream.payments.providers import Declined
from icecream.tables import Order
from tests.clocks import place_at
from tests.conftest import Caller, carry_out, ignore_notification, new_flavor

pytestmark = pytest.mark.anyio
# Each test has a day of its own, and the days around it.
DAYS = iter(datetime.now(UTC).date() + timedelta(days=n) for n in range(30, 300, 3))


@pytest.fixture
def day() -> date:
    return next(DAYS)


async def order(
    caller: Caller, lines: dict[int, int], day: date | None, *answers: Any, **details: str
) -> int:
    """Place an order, and carry its payment out."""
    placer = placing.OrderPlacer(ignore_notification)
    placed = await placer.place(
        caller.user.id, lines, details=OrderDetails(delivery_date=day, **details)
    )
    await carry_out(placed.order, *answers)
    return placed.order


async def orders_on(day: date | None, **options: Any) -> list[int]:
    found = await packing_list.load(day, **options)
    return sorted(one.id for customer in found.customers for one in customer.orders)


async def test_a_list_has_the_paid_orders_of_its_day_that_are_not_delivered(
    customer: Caller, staff: Caller, flavor: int, day: date
) -> None:
    lines, by = {flavor: 1}, staff.user.id
    paid, packed, delivered, canceled, refunded = [
        await order(customer, lines, day) for _ in range(5)
    ]
    for other in (day + timedelta(days=1), day - timedelta(days=1), None):
        await order(customer, lines, other)
    await order(customer, lines, day, Declined("no funds"))
    await transitions.move([packed, delivered], "packed", by=by)
    await transitions.move([delivered], "delivered", by=by)
    await actions.cancel_order(canceled, by=by)
    await actions.refund_order(refunded, None, reason="melted", by=by)
    assert await orders_on(day) == [paid, packed]


async def test_an_order_that_is_not_paid_yet_is_only_counted(
    customer: Caller, flavor: int, day: date
) -> None:
    placer = placing.OrderPlacer(ignore_notification)
    details = OrderDetails(delivery_date=day)
    await placer.place(customer.user.id, {flavor: 1}, details=details)
    found = await packing_list.load(day)
    assert (found.pending, found.orders, found.is_complete) == (1, 0, True)


async def test_an_order_that_is_being_canceled_is_not_on_the_list(
    customer: Caller, staff: Caller, flavor: int, day: date
) -> None:
    number = await order(customer, {flavor: 2}, day)
    # Its refund is in progress, so the cancellation waits for it, and the order is still paid.
    await actions.refund_order(number, 100, reason="melted", by=staff.user.id)
    await actions.cancel_order(number, by=customer.user.id)
    assert await orders_on(day) == []


async def test_the_sums_are_those_of_the_orders(
    customer: Caller, stranger: Caller, staff: Caller, day: date
) -> None:
    vanilla = await new_flavor(name=f"Vanilla {day}", sku=f"VAN-{day}", unit="case", pack_size=6)
    lemon = await new_flavor(name=f"Lemon {day}")
    first = await order(customer, {vanilla: 2, lemon: 3}, day, reference="PO-1", note="back door")
    second = await order(stranger, {vanilla: 5}, day)
    third = await order(customer, {lemon: 1}, day)
    await transitions.move([first], "packed", by=staff.user.id)
    found = await packing_list.load(day)
    sums = [(one.article.flavor, one.quantity, one.packed, one.orders) for one in found.flavors]
    assert sums == [(lemon, 4, 3, 2), (vanilla, 7, 2, 2)]
    article = packing_list.Article(vanilla, f"Vanilla {day}", f"VAN-{day}", "case", 6)
    assert found.flavors[1].article == article
    assert [(one.name, one.user) for one in found.customers] == sorted(
        (caller.user.username, caller.user.id) for caller in (customer, stranger)
    )
    theirs = {one.user: one.orders for one in found.customers}
    assert [one.id for one in theirs[customer.user.id]] == [first, third]
    assert [one.id for one in theirs[stranger.user.id]] == [second]
    one = theirs[customer.user.id][0]
    assert (one.reference, one.note, one.fulfilment) == ("PO-1", "back door", "packed")
    assert [(line.article.flavor, line.quantity) for line in one.lines] == [
        (lemon, 3),
        (vanilla, 2),
    ]


async def test_orders_without_a_date_are_found_by_the_day_they_were_placed(
    customer: Caller, flavor: int, day: date
) -> None:
    old, new = [await order(customer, {flavor: 1}, None) for _ in range(2)]
    await order(customer, {flavor: 1}, day)
    long_ago = datetime(2024, 5, 13, 8, 0, tzinfo=UTC)
    try:
        # All earlier orders too, because ids increase in the order of arrival.
        before = await Order.select(Order.id, Order.created_at).where(Order.id <= old)
        await Order.update({Order.created_at: long_ago}).where(Order.id <= old)
        assert await orders_on(None) == [new]
        assert await orders_on(None, placed_from=date(2024, 5, 14)) == [new]
        assert set(await orders_on(None, placed_from=date(2024, 5, 13))) >= {old, new}
        assert await orders_on(None, placed_from=datetime.now(UTC).date() + timedelta(2)) == []
    finally:
        for row in before:
            await Order.update({Order.created_at: row["created_at"]}).where(Order.id == row["id"])


async def test_a_list_without_a_date_begins_with_a_day_of_a_time_zone(
    customer: Caller, flavor: int
) -> None:
    (number,) = await place_at(customer, flavor, "2020-07-01 22:30")
    await carry_out(number)
    for zone, day, is_on_list in (
        ("UTC", date(2020, 7, 1), True),
        ("UTC", date(2020, 7, 2), False),
        ("Europe/Berlin", date(2020, 7, 2), True),
    ):
        numbers = await orders_on(None, placed_from=day, zone=ZoneInfo(zone))
        assert (number in numbers) is is_on_list, (zone, day)
    first = {
        (await packing_list.load(None, zone=ZoneInfo(zone))).placed_from
        for zone in ("Etc/GMT+12", "Etc/GMT-14")
    }
    assert len(first) == 2


async def test_an_imported_order_of_long_ago_hides_no_order(customer: Caller, flavor: int) -> None:
    """Its id is larger than those of older orders that are still to be packed."""
    number = await order(customer, {flavor: 1}, None)
    await place_at(customer, flavor, "2020-07-01 22:30")
    assert number in await orders_on(None)


async def test_a_list_that_is_too_long_says_so(
    customer: Caller, flavor: int, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [await order(customer, {flavor: 2}, day) for _ in range(3)]
    monkeypatch.setattr(packing_list, "MAX_ORDERS", 2)
    found = await packing_list.load(day)
    assert (found.is_complete, found.orders, found.flavors[0].quantity) == (False, 2, 4)
    monkeypatch.setattr(packing_list, "MAX_ORDERS", 3)
    assert (await packing_list.load(day)).is_complete
    assert await orders_on(day) == numbers


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that are run."""
    run: list[str] = []
    original = database.DB.run_querystring

    async def count(querystring: Any, in_pool: bool = True) -> Any:
        run.append(querystring.template)
        return await original(querystring, in_pool)

    monkeypatch.setattr(database.DB, "run_querystring", count)
    return run


async def test_the_number_of_queries_does_not_grow(
    customer: Caller, stranger: Caller, flavor: int, day: date, queries: list[str]
) -> None:
    await order(customer, {flavor: 1}, day)
    queries.clear()
    await packing_list.load(day)
    count = len(queries)
    for caller in (customer, stranger, stranger):
        await order(caller, {flavor: 1, await new_flavor(): 2}, day)
    queries.clear()
    assert (await packing_list.load(day)).orders == 4
    assert 4 <= len(queries) == count <= 6
