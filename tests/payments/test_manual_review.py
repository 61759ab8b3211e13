"""Test the decisions of operators about parked payments, recorded with operator and reason."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from icecream import errors
from icecream.orders import actions, placing
from icecream.payments import manual_review
from icecream.payments.providers import Refund, Succeeded
from icecream.tables import Event, Job, OrderLine, Payment
from tests import ledger
from tests.conftest import Caller, Provider, make_executor, new_flavor, parked, payment_id, place
from tests.payments.conftest import state

pytestmark = pytest.mark.anyio


async def history(placed: placing.PlacedOrder) -> Sequence[tuple[str, int | None, str | None]]:
    rows = (
        await Event.select(Event.type, Event.by, Event.payload)
        .where(Event.order == placed.order)
        .order_by(Event.seq)
        .output(load_json=True)
    )
    return [(row["type"], row["by"], row["payload"].get("reason")) for row in rows]


async def left(placed: placing.PlacedOrder) -> int:
    """Return the stock of the order's one flavor."""
    rows = await OrderLine.select(OrderLine.flavor.stock.as_alias("stock")).where(
        OrderLine.order == placed.order
    )
    stock: int = rows[0]["stock"]
    return stock


async def test_a_retry_looks_first_and_never_charges_anew(customer: Caller, staff: Caller) -> None:
    placed = await parked(customer)
    by = staff.user.id
    assert await manual_review.retry_payment(
        payment_id(placed), reason="they repaired it", by=by
    ) == [payment_id(placed)]
    provider = Provider()
    await make_executor(provider).execute([payment_id(placed)])
    assert (len(provider.looked_up), provider.asked) == (1, [])
    assert await state(placed) == ("pending", "parked")
    await manual_review.retry_payment(payment_id(placed), reason="once more", by=by)
    provider.found = Succeeded(f"there {placed.order}", 1000, "EUR")
    await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("paid", "succeeded")
    said = [entry for entry in await history(placed) if entry[1] == by]
    assert said == [("retried", by, "they repaired it"), ("retried", by, "once more")]
    await ledger.check()


async def test_a_reference_from_an_operator_is_looked_up_before_it_counts(
    customer: Caller, staff: Caller
) -> None:
    placed = await parked(customer)
    reference = f"pi {placed.order}"
    by = staff.user.id
    await manual_review.retry_payment(payment_id(placed), reason="seen", by=by, reference=reference)
    provider = Provider()
    provider.found = Succeeded(reference, 999, "EUR")
    await make_executor(provider).execute([payment_id(placed)])
    assert provider.looked_up[0][1] == reference
    assert await state(placed) == ("pending", "parked")
    provider.found = Succeeded(reference, 1000, "EUR")
    await manual_review.retry_payment(payment_id(placed), reason="seen", by=by, reference=reference)
    await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("paid", "succeeded")
    other = await parked(customer)
    with pytest.raises(errors.ReferenceTaken):
        await manual_review.retry_payment(
            payment_id(other), reason="seen", by=by, reference=reference
        )
    assert await state(other) == ("pending", "parked")
    await ledger.check()


async def test_an_amount_known_before_a_retry_does_not_count_in_a_refund(
    customer: Caller, staff: Caller
) -> None:
    reference = f"corrected {customer.user.id}"
    placed = await parked(customer, Succeeded(reference, 900, "EUR"))
    await manual_review.retry_payment(payment_id(placed), reason="corrected", by=staff.user.id)
    provider = Provider()
    provider.found = Succeeded(reference, 1000, "EUR")
    await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("paid", "succeeded")
    staged = await actions.cancel_order(placed.order, by=staff.user.id)
    await make_executor(provider).execute(staged)
    assert [asked.amount for asked in provider.asked] == [1000]
    assert (await state(placed))[0] == "canceled"
    await ledger.check()


async def test_an_amount_known_before_a_retry_cannot_be_refunded_if_it_is_not_found_again(
    customer: Caller, staff: Caller
) -> None:
    placed = await parked(customer, Succeeded(f"gone {customer.user.id}", 900, "EUR"))
    await manual_review.retry_payment(payment_id(placed), reason="look again", by=staff.user.id)
    # The provider may have forgotten our key, so the charge is not sent again.
    long_ago = {Payment.first_sent_at: datetime(2020, 1, 1, tzinfo=UTC)}
    await Payment.update(long_ago).where(Payment.id == payment_id(placed))
    await make_executor(Provider()).execute([payment_id(placed)])
    assert await state(placed) == ("pending", "parked")
    with pytest.raises(errors.NothingCharged):
        await manual_review.refund_payment(
            payment_id(placed), reason="wrong amount", by=staff.user.id
        )
    await ledger.check()


async def test_a_released_charge_fails_the_order_and_releases_its_stock(
    customer: Caller, staff: Caller
) -> None:
    placed = await parked(customer)
    assert await left(placed) == 6
    await manual_review.release_payment(
        payment_id(placed), reason="not in their list", by=staff.user.id
    )
    assert await state(placed) == ("failed", "declined")
    assert await left(placed) == 10
    assert (await history(placed))[-1] == ("failed", staff.user.id, "not in their list")
    assert await actions.pay_order(placed.order, by=customer.user.id, needs_method=False)
    await ledger.check()


@pytest.mark.parametrize("moved", [900, 1100])
async def test_a_wrong_amount_is_refunded_to_the_last_cent(
    customer: Caller, staff: Caller, moved: int
) -> None:
    placed = await parked(customer, Succeeded(f"wrong {moved}", moved, "EUR"))
    await manual_review.refund_payment(payment_id(placed), reason="wrong amount", by=staff.user.id)
    assert await state(placed) == ("refunding", "succeeded")
    assert (await history(placed))[-1] == ("refund-ordered", staff.user.id, "wrong amount")
    rows = await Payment.select(Payment.id).where(Payment.order == placed.order)
    provider = Provider()
    await make_executor(provider).execute([row["id"] for row in rows])
    (refund,) = provider.asked
    assert isinstance(refund, Refund)
    assert (refund.amount, refund.charge) == (moved, f"wrong {moved}")
    assert await state(placed) == ("canceled", "succeeded")
    assert await left(placed) == 10
    await ledger.check()


async def test_a_charge_that_was_never_found_cannot_be_refunded(
    customer: Caller, staff: Caller
) -> None:
    placed = await parked(customer)
    with pytest.raises(errors.NothingCharged):
        await manual_review.refund_payment(payment_id(placed), reason="wrong", by=staff.user.id)
    # The same holds if an operator names a reference that the provider does not know.
    await manual_review.retry_payment(
        payment_id(placed), reason="seen", by=staff.user.id, reference="unknown"
    )
    await make_executor(Provider()).execute([payment_id(placed)])
    with pytest.raises(errors.NothingCharged):
        await manual_review.refund_payment(payment_id(placed), reason="wrong", by=staff.user.id)
    assert await state(placed) == ("pending", "parked")


async def test_an_order_may_be_canceled_while_its_payment_is_parked(
    customer: Caller, staff: Caller
) -> None:
    placed = await parked(customer)
    await actions.cancel_order(placed.order, by=customer.user.id)
    await manual_review.retry_payment(payment_id(placed), reason="seen", by=staff.user.id)
    provider = Provider()
    provider.found = Succeeded(f"late {placed.order}", 1000, "EUR")
    await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("refunding", "succeeded")
    await ledger.check()


@pytest.mark.parametrize("action", ["retry_payment", "release_payment", "refund_payment"])
async def test_only_parked_payments_can_be_decided(
    customer: Caller, staff: Caller, flavor: int, action: str
) -> None:
    placed = await place(customer.user.id, {flavor: 1})
    act: Any = getattr(manual_review, action)
    with pytest.raises(errors.NotParked):
        await act(payment_id(placed), reason="impatient", by=staff.user.id)
    with pytest.raises(errors.NotFound):
        await act(2**62, reason="impatient", by=staff.user.id)
    assert await state(placed) == ("pending", "new")
    assert await Job.exists().where(Job.subject == placed.payment)
    await ledger.check()


async def test_a_parked_refund_leaves_the_order_refunding_until_a_decision(
    customer: Caller, staff: Caller
) -> None:
    flavor = await new_flavor(stock=10)
    placed = await place(customer.user.id, {flavor: 4})
    await make_executor(Provider()).execute([payment_id(placed)])
    (refund,) = await actions.cancel_order(placed.order, by=customer.user.id)
    await make_executor(Provider(Succeeded("odd refund", 1, "EUR"))).execute([refund])
    assert await state(placed) == ("refunding", "succeeded")
    await ledger.check()
    await manual_review.release_payment(refund, reason="nothing moved", by=staff.user.id)
    row = (
        await Payment.select(Payment.state, Payment.last_error).where(Payment.id == refund).first()
    )
    assert row == {"state": "declined", "last_error": "nothing moved"}
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()
