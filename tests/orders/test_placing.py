"""Test placing orders: each order is written completely or not at all."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from icecream import database, errors
from icecream.catalogue import inventory
from icecream.idempotency import keys
from icecream.orders import placing
from icecream.reporting import totals
from icecream.runtime import instrumentation
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
    due = Job.run_at <= database.seconds_from_now(0)
    assert await Job.exists().where(Job.subject == placed.payment, due)
    await ledger.check()


async def test_a_price_is_frozen_on_the_line(customer: Caller) -> None:
    from icecream.tables import Flavor

    flavor = await new_flavor(price=100)
    placed = await place(customer.user.id, {flavor: 1})
    await Flavor.update({Flavor.price: 900}).where(Flavor.id == flavor)
    (line,) = await OrderLine.select().where(OrderLine.order == placed.order)
    assert line["unit_price"] == 100


async def test_a_free_order_is_paid_without_a_charge(customer: Caller) -> None:
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

    def fails(*args: object, **kwargs: object) -> None:
        raise errors.Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(totals, "update_statements", fails)
        with pytest.raises(errors.Unavailable):
            await place(customer.user.id, {flavor: 5})
    assert await Order.count() == before
    assert (await place(customer.user.id, {flavor: 5})).payment
    await ledger.check()


class RecordingPlacer:
    """A placer that gets orders together, and the notifications that it sent for them."""

    def __init__(self) -> None:
        self.notifications: list[list[int]] = []
        self.customers: list[list[int]] = []
        self.placer = placing.OrderPlacer(self._notify)

    async def _notify(self, payments: list[int], customers: Sequence[int] = ()) -> None:
        self.notifications.append(payments)
        self.customers.append(list(customers))

    async def together(
        self, *orders: tuple[int, dict[int, int]]
    ) -> list[placing.PlacedOrder | BaseException]:
        outcomes = await asyncio.gather(
            *(self.placer.place(user, lines) for user, lines in orders), return_exceptions=True
        )
        await self.placer.close()
        return outcomes


async def test_orders_that_arrive_together_are_one_batch_with_one_notification(
    customer: Caller, stranger: Caller, flavor: int
) -> None:
    recording, other = RecordingPlacer(), await new_flavor()
    asked = [
        (caller.user.id, {one: 2}) for caller in (customer, stranger) for one in (flavor, other)
    ]
    placed = await recording.together(*asked, *asked)
    assert all(isinstance(one, placing.PlacedOrder) for one in placed)
    numbers = [one.order for one in placed if isinstance(one, placing.PlacedOrder)]
    rows = await Order.select(Order.id, Order.user, Order.created_at).where(Order.id.is_in(numbers))
    assert len({row["created_at"] for row in rows}) == 1
    # Each order has its own customer and flavors, although all orders cost the same.
    users = {row["id"]: row["user"] for row in rows}
    lines = await OrderLine.select().where(OrderLine.order.is_in(numbers))
    flavors = {line["order"]: {line["flavor"]: line["quantity"]} for line in lines}
    assert [(users[number], flavors[number]) for number in numbers] == asked * 2
    (payments,), (customers,) = recording.notifications, recording.customers
    rows = await Payment.select(Payment.id, Payment.order).where(Payment.id.is_in(payments))
    order_of = {row["id"]: row["order"] for row in rows}
    assert customers == [users[order_of[one]] for one in payments]
    assert [sorted(payments) for payments in recording.notifications] == [
        sorted(one.payment or 0 for one in placed if isinstance(one, placing.PlacedOrder))
    ]
    await ledger.check()


async def test_payments_during_a_notification_are_in_the_next_one(
    customer: Caller, flavor: int
) -> None:
    notifications, sent = list[list[int]](), asyncio.Event()

    async def notify(payments: list[int], customers: Sequence[int] = ()) -> None:
        assert customers == [customer.user.id] * len(payments)
        notifications.append(payments)
        await sent.wait()

    placer = placing.OrderPlacer(notify)
    first, second, third = [await placer.place(customer.user.id, {flavor: 1}) for _ in range(3)]
    assert notifications == [[first.payment]]
    sent.set()
    await placer.close()
    assert notifications == [[first.payment], [second.payment, third.payment]]


async def test_closing_waits_until_the_workers_are_notified(customer: Caller, flavor: int) -> None:
    closing, notified = asyncio.Event(), list[int]()

    async def notify(payments: list[int], customers: Sequence[int] = ()) -> None:
        assert customers == [customer.user.id]
        await closing.wait()
        # This takes longer than closing a placer that has nothing left to do.
        for _ in range(100):
            await asyncio.sleep(0)
        notified.extend(payments)

    placer = placing.OrderPlacer(notify)
    placed = await placer.place(customer.user.id, {flavor: 1})
    closing.set()
    await placer.close()
    assert notified == [placed.payment]


async def test_a_refused_order_takes_nothing_from_its_neighbours(customer: Caller) -> None:
    scarce, user = await new_flavor(stock=5), customer.user.id
    first, refused, last, unknown = await RecordingPlacer().together(
        (user, {scarce: 3}), (user, {scarce: 3}), (user, {scarce: 2}), (user, {999_999: 1})
    )
    assert isinstance(first, placing.PlacedOrder) and isinstance(last, placing.PlacedOrder)
    assert isinstance(refused, errors.InsufficientStock)
    assert refused.members["lines"] == [{"flavor": scarce, "quantity": 3, "available": 2}]
    assert isinstance(unknown, inventory.UnknownFlavor)
    await ledger.check()


async def test_in_one_batch_a_key_is_for_the_first_that_has_an_effect(customer: Caller) -> None:
    recording, scarce, user = RecordingPlacer(), await new_flavor(stock=3), customer.user.id
    asked = [keys.RequestKey(user, "key", f"{n} of it") for n in (5, 2, 2, 1)]
    other = keys.RequestKey(user, "other", "1 of it")
    refused, first, second, another, last = await asyncio.gather(
        *(recording.placer.place(user, {scarce: int(key.fingerprint[0])}, key) for key in asked),
        recording.placer.place(user, {scarce: 1}, other),
        return_exceptions=True,
    )
    assert isinstance(refused, errors.InsufficientStock)
    assert isinstance(first, placing.PlacedOrder) and isinstance(second, placing.PlacedOrder)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.receipt == second.receipt
    assert isinstance(another, errors.IdempotencyKeyReused)
    assert isinstance(last, placing.PlacedOrder) and not last.replayed
    await recording.placer.close()
    assert recording.notifications == [[first.payment, last.payment]]
    await ledger.check()


async def test_an_order_that_the_database_will_not_have_fails_alone(
    customer: Caller, flavor: int
) -> None:
    user, unknown = customer.user.id, 2**31 - 1
    outcomes = await RecordingPlacer().together(
        *((one, {flavor: 1}) for one in (user, user, unknown, user, user))
    )
    assert [type(one) for one in outcomes[:2] + outcomes[3:]] == [placing.PlacedOrder] * 4
    assert isinstance(outcomes[2], database.CONSTRAINT_VIOLATIONS)
    await ledger.check()


async def test_a_commit_with_unknown_outcome_is_reported_to_all_and_not_retried(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_postgres = isinstance(database.DB, database.Postgres)
    kind = asyncpg.Connection if is_postgres else type(database.DB.transaction())
    name, before = "fetch" if is_postgres else "commit", await Order.count()
    real = getattr(kind, name)

    async def lost(self: Any, query: str = "", *arguments: Any) -> Any:
        result = await real(self, query, *arguments) if is_postgres else await real(self)
        if is_postgres and "INSERT" not in query:
            return result
        raise ConnectionResetError

    recording = RecordingPlacer()
    with monkeypatch.context() as patched:
        patched.setattr(kind, name, lost)
        outcomes = await recording.together(*[(customer.user.id, {flavor: 1})] * 3)
    assert [type(one) for one in outcomes] == [database.CommitOutcomeUnknown] * 3
    assert await Order.count() == before + 3
    assert recording.notifications == []
    await ledger.check()


async def test_a_fault_after_the_commit_places_nothing_twice(
    customer: Caller,
    flavor: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("a bug after the commit")

    recording, before = RecordingPlacer(), await Order.count()
    monkeypatch.setattr(instrumentation, "count_orders", breaks)
    monkeypatch.setattr(instrumentation, "count_batch", breaks)
    with database.on_commit(breaks):
        outcomes = await recording.together(*[(customer.user.id, {flavor: 1})] * 10)
    assert [type(one) for one in outcomes] == [placing.PlacedOrder] * 10
    assert await Order.count() == before + 10
    # The same fault is logged once.
    assert caplog.text.count("ZeroDivisionError: a bug after the commit") == 1
    await ledger.check()


async def test_a_closed_placer_accepts_no_more_orders(customer: Caller, flavor: int) -> None:
    recording = RecordingPlacer()
    await recording.placer.close()
    with pytest.raises(errors.Unavailable):
        await recording.placer.place(customer.user.id, {flavor: 1})


async def test_orders_at_once_all_arrive(customer: Caller, flavor: int) -> None:
    placed = await asyncio.gather(*(place(customer.user.id, {flavor: 1}) for _ in range(50)))
    assert len({one.order for one in placed}) == 50
    await ledger.check()
