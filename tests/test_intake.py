"""Placing orders: everything or nothing."""

import asyncio

import pytest

from icecream import books, errors
from icecream.tables import Event, Job, Order, OrderLine, Payment
from tests import ledger
from tests.conftest import Caller, new_flavor, place

pytestmark = pytest.mark.anyio


async def test_an_order_is_written_with_all_that_follows_from_it(
    customer: Caller, flavor: int
) -> None:
    placed = await place(customer.user.id, {flavor: 3})
    order = await Order.select().where(Order.id == placed.order).first()
    assert order is not None
    assert (order["status"], order["total"], order["currency"]) == ("pending", 750, "EUR")
    (line,) = await OrderLine.select().where(OrderLine.order == placed.order)
    assert (line["flavor"], line["quantity"], line["unit_price"]) == (flavor, 3, 250)
    (payment,) = await Payment.select().where(Payment.order == placed.order)
    assert (payment["id"], payment["state"], payment["amount"]) == (placed.payment, "new", 750)
    assert len(payment["provider_key"]) == 32
    (job,) = await Job.select().where(Job.subject == placed.payment)
    assert job["run_at"] == order["created_at"]
    await ledger.check()


async def test_a_price_is_frozen_on_the_line(customer: Caller) -> None:
    from icecream.tables import Flavor

    flavor = await new_flavor(price=100)
    placed = await place(customer.user.id, {flavor: 1})
    await Flavor.update({Flavor.price: 900}).where(Flavor.id == flavor)
    (line,) = await OrderLine.select().where(OrderLine.order == placed.order)
    assert line["unit_price"] == 100


async def test_what_costs_nothing_is_paid_without_a_charge(customer: Caller) -> None:
    placed = await place(customer.user.id, {await new_flavor(price=0): 5})
    assert placed.payment is None
    order = await Order.select(Order.status).where(Order.id == placed.order).first()
    assert order == {"status": "paid"}
    assert not await Payment.exists().where(Payment.order == placed.order)
    history = await Event.select(Event.type).where(Event.order == placed.order).order_by(Event.seq)
    assert [event["type"] for event in history] == ["placed", "paid"]
    await ledger.check()


async def test_the_largest_order_fits(customer: Caller) -> None:
    placed = await place(customer.user.id, {await new_flavor(price=100_000_000): 100_000})
    order = await Order.select(Order.total).where(Order.id == placed.order).first()
    assert order == {"total": 10**13}


async def test_several_flavors_make_one_order(customer: Caller) -> None:
    first, second = await new_flavor(price=1, stock=9), await new_flavor(price=10)
    placed = await place(customer.user.id, {second: 2, first: 3})
    order = await Order.select(Order.total).where(Order.id == placed.order).first()
    assert order == {"total": 23}
    (listed,) = (await customer.get("/api/orders/")).json()
    assert (listed["quantity"], listed["flavor"]) == (5, None)


async def test_a_failure_half_way_leaves_nothing(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavor = await new_flavor(stock=5)
    before = await Order.count()

    async def fails(*args: object, **kwargs: object) -> None:
        raise errors.Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(books, "count", fails)
        with pytest.raises(errors.Unavailable):
            await place(customer.user.id, {flavor: 5})
    assert await Order.count() == before
    assert (await place(customer.user.id, {flavor: 5})).payment
    await ledger.check()


async def test_orders_at_once_all_arrive(customer: Caller, flavor: int) -> None:
    placed = await asyncio.gather(*(place(customer.user.id, {flavor: 1}) for _ in range(50)))
    assert len({one.order for one in placed}) == 50
    await ledger.check()
