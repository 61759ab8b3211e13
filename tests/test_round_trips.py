"""Test how many round trips to PostgreSQL a batch needs, with BEGIN and COMMIT."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from icecream.database.sessions import MonitoredConnection
from icecream.feed import publisher
from icecream.idempotency.keys import RequestKey
from icecream.orders import order_ids, placing
from icecream.payments import leases, settlement
from icecream.payments.providers import Declined, Refund
from icecream.tables import JOB_QUEUE_START, Job, Payment
from tests.conftest import Caller, carry_out, new_flavor, place, settlement_result

pytestmark = [pytest.mark.anyio, pytest.mark.only("postgres")]


@pytest.fixture
async def orders(customer: Caller) -> list[placing.PlacedOrder]:
    """Three orders of a flavor with counted stock; no other payment is due."""
    await Job.update({Job.run_at: datetime(2099, 1, 1, tzinfo=UTC)}, force=True)
    flavor = await new_flavor(stock=10)
    return [await place(customer.user.id, {flavor: 1}) for _ in range(3)]


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the list of all statements that are sent within the block."""
    sent: list[str] = []
    with monkeypatch.context() as patched:
        for name in ("fetch", "execute"):
            real = getattr(MonitoredConnection, name)

            async def send(self: object, query: str, *args: object, real: object = real) -> object:
                sent.append(query)
                assert callable(real)
                return await real(self, query, *args)

            patched.setattr(MonitoredConnection, name, send)
        yield sent


async def test_placing_a_batch_takes_two(customer: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    user, stocked, free = customer.user.id, await new_flavor(stock=10), await new_flavor()
    requests = [
        placing.OrderRequest(user, {stocked: 1, free: 2}, RequestKey(user, f"key {n}", "f"))
        for n in range(3)
    ]
    with counted(monkeypatch) as sent:
        results = await placing.place_in_transaction(requests)
    assert all(isinstance(result, placing.PlacedOrder) for result in results)
    assert len(sent) == 2, sent


async def test_placing_a_batch_under_load_takes_one(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_ids, "MAX_AGE_SECONDS", 60.0)
    ids = order_ids.IdSupply()
    requests = [placing.OrderRequest(customer.user.id, {flavor: 1}) for _ in range(3)]
    await placing.place_in_transaction(requests, ids)
    with counted(monkeypatch) as sent:
        results = await placing.place_in_transaction(requests, ids)
    assert all(isinstance(result, placing.PlacedOrder) for result in results)
    assert len(sent) == 1, sent


async def test_leasing_the_payments_of_a_notification_takes_two(
    orders: list[placing.PlacedOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = [order.payment for order in orders if order.payment]
    with counted(monkeypatch) as sent:
        assert len(await leases.acquire_leases(payments, limit=9, lease_seconds=30)) == 3
    assert len(sent) == 2, sent


async def test_leasing_any_due_payments_takes_four(
    orders: list[placing.PlacedOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides the search for the start of the queue, which is needed at most twice a second."""
    monkeypatch.setattr(JOB_QUEUE_START, "_refresh_at", math.inf)
    with counted(monkeypatch) as sent:
        assert len(await leases.acquire_leases(None, limit=9, lease_seconds=30)) == 3
    assert len(sent) == 4, sent


async def test_settling_a_batch_of_charges_takes_two(
    orders: list[placing.PlacedOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if one of the payments was declined, and its stock is released."""
    payments = [order.payment for order in orders if order.payment]
    acquired = await leases.acquire_leases(payments, limit=9, lease_seconds=30)
    answers = ["ref 1", "ref 2", Declined("no", "card-declined")]
    results = [settlement_result(*one) for one in zip(acquired, answers, strict=True)]
    with counted(monkeypatch) as sent:
        assert await settlement.settle(results) == [True] * 3
    assert len(sent) == 2, sent


async def test_settling_a_refund_takes_five(
    customer: Caller, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = (await place(customer.user.id, {await new_flavor(stock=10): 1})).order
    await carry_out(order)
    assert (await customer.post(f"/api/orders/{order}/cancel/")).status_code == 202
    (refund,) = await Payment.select(Payment.id).where(
        Payment.order == order, Payment.kind == "refund"
    )
    (lease,) = await leases.acquire_leases([refund["id"]], limit=1, lease_seconds=30)
    assert isinstance(lease.request, Refund)
    with counted(monkeypatch) as sent:
        assert await settlement.settle([settlement_result(lease, "refunded")]) == [True]
    assert len(sent) == 5, sent


async def test_publishing_takes_six(
    orders: list[placing.PlacedOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher._QUEUE_START, "_refresh_at", math.inf)
    """Besides the same search. Other tests may leave more events than one batch takes."""
    with counted(monkeypatch) as sent:
        await publisher.publish_events()
    assert len(sent) == 6, sent
