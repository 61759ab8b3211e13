"""Test the deliveries of a season of sample data."""

from datetime import UTC, date, datetime, timedelta

import pytest

from icecream.demo.deliveries import Deliveries, delivery_day
from icecream.tables import Event
from tests import ledger
from tests.conftest import Caller, carry_out, place

pytestmark = pytest.mark.anyio


async def steps(order: int) -> list[tuple[str, datetime]]:
    rows = await Event.select(Event.type, Event.at).where(Event.order == order).order_by(Event.seq)
    return [(row["type"], row["at"]) for row in rows][2:]


async def test_orders_are_packed_and_delivered_on_the_morning_of_their_day(
    customer: Caller, staff: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [(await place(customer.user.id, {flavor: 1})).order for _ in range(3)]
    for order in orders:
        await carry_out(order)
    monkeypatch.setattr("icecream.demo.deliveries.ORDERS_PER_RETURN", orders[1])
    deliveries, day = Deliveries(staff.user.id), date(2026, 5, 13)
    for order in orders[:2]:
        deliveries.add(order, day)
    deliveries.add(orders[2], day + timedelta(days=1))
    morning = datetime(2026, 5, 13, 5, tzinfo=UTC)
    packed, delivered = ("packed", morning), ("delivered", morning + timedelta(hours=5))
    await deliveries.run(morning - timedelta(seconds=1))
    assert [await steps(order) for order in orders] == [[], [], []]
    await deliveries.run(morning)
    assert [await steps(order) for order in orders] == [[packed], [packed], []]
    await deliveries.run(morning + timedelta(hours=23))
    returned = ("returned", morning + timedelta(hours=10))
    assert [await steps(order) for order in orders] == [
        [packed, delivered],
        [packed, delivered, returned],
        [],
    ]
    await ledger.check()


def test_some_shops_order_for_the_next_day_and_others_for_the_one_after_it() -> None:
    placed_at = datetime(2026, 5, 13, 23, 59, tzinfo=UTC)
    assert [delivery_day(placed_at, customer) for customer in (2, 3)] == [
        date(2026, 5, 14),
        date(2026, 5, 15),
    ]
