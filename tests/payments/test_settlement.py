"""Test that a definite answer ends a payment once, and changes its order."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from icecream import database
from icecream.catalogue import inventory
from icecream.orders import actions, placing
from icecream.payments import (
    leases,
    settlement,
)
from icecream.payments.providers import (
    Declined,
    Succeeded,
)
from icecream.tables import Event, Flavor, OrderLine, Payment
from tests import ledger
from tests.conftest import (
    Caller,
    Provider,
    carry_out,
    make_executor,
    new_flavor,
    payment_id,
    place,
    settlement_result,
)
from tests.payments.conftest import due_now, settled, state

pytestmark = pytest.mark.anyio


async def test_a_definite_answer_counts_even_from_an_older_try(placed: placing.PlacedOrder) -> None:
    (older,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    await due_now(placed)
    (newer,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    assert not await leases.postpone_payment(older, "late word of an older try")
    assert await settled(older, "older")
    assert not await settled(newer, "newer")
    assert not await settled(newer, Declined("newer"))
    assert not await settled(newer, settlement.Parked("another amount"))
    assert not await leases.postpone_payment(newer, "too late")
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_an_answer_by_many_at_once_is_settled_once(placed: placing.PlacedOrder) -> None:
    (lease,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    outcomes = await asyncio.gather(*(settled(lease, "the one") for _ in range(20)))
    assert Counter(outcomes) == {True: 1, False: 19}
    await ledger.check()


async def test_several_answers_are_settled_together_or_not_at_all(
    customer: Caller, flavor: int
) -> None:
    counted = await new_flavor(stock=9)
    placed = [await place(customer.user.id, {counted: n, flavor: 1}) for n in (1, 2, 3)]
    acquired = await leases.acquire_leases(
        [payment_id(one) for one in placed], limit=3, lease_seconds=30
    )
    # They come in any order.
    acquired.sort(key=lambda lease: lease.payment)
    first, *others = (
        settlement_result(lease, answer)
        for lease, answer in zip(
            acquired, (f"a {flavor}", Declined("no"), f"b {flavor}"), strict=True
        )
    )
    assert await settlement.settle([first]) == [True]
    with pytest.raises(leases.LeaseLost):
        await settlement.settle([first, *others])
    assert [await state(one) for one in placed[1:]] == [("pending", "sent")] * 2
    assert await settlement.settle(others) == [True, True]
    statuses = [(await state(one))[0] for one in placed]
    assert sorted(statuses) == ["failed", "paid", "paid"]
    await ledger.check()


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [(501, "EUR", "5.01 EUR"), (500, "USD", "5.00 USD"), (0, "EUR", "0.00 EUR")],
)
async def test_another_amount_than_requested_is_parked(
    placed: placing.PlacedOrder, amount: int, currency: str, said: str
) -> None:
    reference = f"odd {placed.order}"
    await make_executor(Provider(Succeeded(reference, amount, currency))).execute(
        [payment_id(placed)]
    )
    assert await state(placed) == ("pending", "parked")
    row = await Payment.select().where(Payment.id == placed.payment).first()
    assert row is not None
    assert (row["provider_ref"], row["moved"]) == (reference, amount)
    assert row["last_error"] == f"The provider moved {said} instead of 5.00 EUR."
    # A late answer with the right amount ends the manual review.
    lease = await leases.read_payment_as_lease(payment_id(placed))
    assert lease is not None
    assert await settled(lease, reference)
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_a_decline_is_stored_with_a_code_and_the_text_of_the_provider(
    placed: placing.PlacedOrder, customer: Caller, staff: Caller
) -> None:
    words = "402 card_error: card_declined: insufficient_funds (req_1)"
    path = f"/api/orders/{placed.order}/"
    assert (await customer.get(path)).json()["failure"] is None
    await make_executor(Provider(Declined(words, "insufficient-funds"))).execute(
        [payment_id(placed)]
    )
    failure = {
        "code": "insufficient-funds",
        "message": "There is not enough money on the account.",
    }
    answer = await customer.get(path)
    assert answer.json()["failure"] == failure
    assert "req_1" not in answer.text
    assert answer.json()["history"][-1]["reason"] == failure["message"]
    payment = (await staff.get(f"/api/payments/{placed.payment}/")).json()
    assert (payment["failure"], payment["last_error"]) == (failure, words)
    # Once the customer pays again, the order shows no failure.
    await actions.pay_order(placed.order, by=customer.user.id, needs_method=False)
    assert (await customer.get(path)).json()["failure"] is None


Change = Callable[[placing.PlacedOrder, leases.Lease, int], Awaitable[object]]


async def ask_to_cancel(placed: placing.PlacedOrder, _lease: leases.Lease, user: int) -> None:
    await actions.cancel_order(placed.order, by=user)


async def park(_placed: placing.PlacedOrder, lease: leases.Lease, _user: int) -> None:
    assert await settled(lease, settlement.Parked("No idea."))


async def start_counting(placed: placing.PlacedOrder, _lease: leases.Lease, user: int) -> None:
    (line,) = await OrderLine.select(OrderLine.flavor).where(OrderLine.order == placed.order)
    await inventory.receive_stock(line["flavor"], 10, reason="delivery", by=user)


def change_before_the_write(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[], Awaitable[object]]
) -> None:
    """Let another transaction change something after the next settlement has read its orders."""
    changes, write_together = [change], database.write_together

    async def write(*args: Any, **options: Any) -> list[Any]:
        while changes:
            await changes.pop()()
        return await write_together(*args, **options)

    monkeypatch.setattr(database, "write_together", write)


@pytest.mark.only("postgres")
@pytest.mark.parametrize(
    ("change", "answer", "status", "events"),
    [
        (ask_to_cancel, "late", "refunding", ["paid", "refunding"]),
        (park, "late", "paid", ["parked", "paid"]),
        (ask_to_cancel, Declined("no"), "failed", ["failed"]),
        (park, Declined("no"), "failed", ["parked", "failed"]),
        (start_counting, Declined("no"), "failed", ["failed"]),
    ],
)
async def test_a_change_after_the_orders_were_read_counts(
    customer: Caller,
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    answer: str | Declined,
    status: str,
    events: list[str],
) -> None:
    user, flavor = customer.user.id, await new_flavor()
    placed, other = [await place(user, {flavor: 2}) for _ in range(2)]
    payments = [payment_id(placed), payment_id(other)]
    lease, second = sorted(
        await leases.acquire_leases(payments, limit=2, lease_seconds=30),
        key=lambda lease: lease.payment,
    )
    change_before_the_write(monkeypatch, partial(change, placed, lease, user))
    text = f"{answer} {placed.order}" if answer == "late" else answer
    results = [settlement_result(lease, text), settlement_result(second, f"on time {other.order}")]
    assert await settlement.settle(results) == [True, True]
    assert [(await state(one))[0] for one in (placed, other)] == [status, "paid"]
    history = await Event.select(Event.type).where(Event.order == placed.order).order_by(Event.seq)
    assert [row["type"] for row in history if row["type"] != "cancel-requested"][1:] == events
    await ledger.check()


async def test_a_late_answer_writes_nothing_also_inside_another_transaction(
    placed: placing.PlacedOrder,
) -> None:
    (lease,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    assert await settled(lease, f"first {placed.order}")
    parked = settlement.SettlementResult(lease, settlement.Parked("No idea."))
    assert await database.transaction(lambda: settlement.settle([parked])) == [False]
    events = await Event.select(Event.type).where(Event.order == placed.order).order_by(Event.seq)
    assert [row["type"] for row in events] == ["placed", "paid"]


@pytest.mark.only("postgres")
async def test_an_answer_that_another_worker_writes_at_the_same_time_counts_once(
    placed: placing.PlacedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lease,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    change_before_the_write(monkeypatch, partial(settled, lease, Declined("first")))
    assert not await settled(lease, f"second {placed.order}")
    assert await state(placed) == ("failed", "declined")
    await ledger.check()


@pytest.mark.only("postgres")
async def test_a_partial_refund_does_not_wait_for_the_stock(customer: Caller) -> None:
    flavor = await new_flavor(stock=10)
    order = (await place(customer.user.id, {flavor: 2})).order
    await carry_out(order)
    held, stop = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        await database.for_no_key_update(Flavor.select(Flavor.id).where(Flavor.id == flavor))
        held.set()
        await stop.wait()

    async def refund() -> list[int]:
        return await actions.refund_order(order, 1, reason="melted", by=customer.user.id)

    holder = asyncio.create_task(database.transaction(hold))
    await held.wait()
    async with asyncio.timeout(10):
        assert len(await database.transaction(refund)) == 1
    stop.set()
    await holder
    await ledger.check()


@pytest.mark.only("postgres")
async def test_orders_and_payments_do_not_write_their_customer_and_uncounted_flavor(
    customer: Caller, flavor: int
) -> None:
    """Each old row of them would slow down all foreign keys to it under a held snapshot."""

    async def places() -> list[object]:
        return [
            (await database.DB.run_ddl(f"SELECT ctid FROM {table} WHERE id = {row}"))[0]["ctid"]
            for table, row in (("users", customer.user.id), ("flavor", flavor))
        ]

    before = await places()
    paid, declined, canceled = [await place(customer.user.id, {flavor: 1}) for _ in range(3)]
    await carry_out(paid.order)
    await carry_out(declined.order, Declined("no"))
    await actions.cancel_order(canceled.order, by=customer.user.id)
    await actions.cancel_order(paid.order, by=customer.user.id)
    await carry_out(paid.order)
    assert [await state(one) for one in (declined, canceled)] == [
        ("failed", "declined"),
        ("canceled", "void"),
    ]
    assert await places() == before
    await ledger.check()
