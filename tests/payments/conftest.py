"""Fixtures and helpers for the tests of carrying payments out."""

from datetime import UTC, datetime

import pytest

from icecream import database
from icecream.orders import placing
from icecream.payments import (
    circuit_breaker,
    executor,
    leases,
    settlement,
)
from icecream.payments.providers import (
    Declined,
)
from icecream.tables import Job, Order, Payment
from tests.conftest import Caller, new_user, payment_id, place, settlement_result

# So many slots that no share is used up: all payments are sent at once.
MANY = 100


@pytest.fixture
async def customers(hashed: str) -> list[int]:
    """Three customers, because fewer do not open the breaker; jobs of earlier tests are not due."""
    await Job.update({Job.run_at: datetime(2099, 1, 1, tzinfo=UTC)}, force=True)
    return [(await new_user(hashed)).id for _ in range(circuit_breaker.CUSTOMERS_TO_OPEN)]


@pytest.fixture
async def placed(customer: Caller, flavor: int) -> placing.PlacedOrder:
    return await place(customer.user.id, {flavor: 2})


async def state(placed: placing.PlacedOrder) -> tuple[str, str]:
    """Return the status of an order and the state of its first payment."""
    order = await Order.select(Order.status).where(Order.id == placed.order).first()
    payment = await Payment.select(Payment.state).where(Payment.id == placed.payment).first()
    assert order is not None
    assert payment is not None
    return order["status"], payment["state"]


async def due_now(placed: placing.PlacedOrder) -> None:
    """Make a payment due: end its lease or its pause."""
    await make_due(payment_id(placed))


async def make_due(payment: int) -> None:
    past = database.seconds_from_now(-1)
    await Job.update({Job.run_at: past}).where(Job.subject == payment)


async def settled(lease: leases.Lease, answer: str | Declined | settlement.Parked) -> bool:
    (settled,) = await settlement.settle([settlement_result(lease, answer)])
    return settled


async def swept(one_executor: executor.Executor, orders: list[placing.PlacedOrder]) -> bool:
    """Sweep once and return whether all orders are paid."""
    await one_executor.sweep()
    return await are_paid(orders)


async def are_paid(orders: list[placing.PlacedOrder]) -> bool:
    ids = [one.order for one in orders]
    return not await Order.exists().where(Order.id.is_in(ids), Order.status != "paid")


class Clock:
    """The breaker's clock, set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(circuit_breaker, "monotonic", lambda: self.now)
