"""The decisions of operators about parked payments; each is recorded with its author and reason."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from icecream import database, errors, states
from icecream.feed import order_history
from icecream.feed.order_history import Details
from icecream.payments import leases, settlement
from icecream.payments.order_transitions import lock_order
from icecream.payments.providers import Charge, Declined, Succeeded
from icecream.tables import Job, Order, Payment


class ReviewedPayment(Protocol):
    """A payment, with the fields on which the allowed decisions depend."""

    kind: str
    state: str
    moved: int | None
    provider_ref: str | None


class PaymentUnderReview(Struct):
    """A payment about which staff decide."""

    id: int
    order: int
    kind: str
    state: str
    moved: int | None
    provider_ref: str | None


COLUMNS = database.columns_of(Payment, PaymentUnderReview)


async def retry_payment(
    payment: int,
    *,
    reason: str,
    by: int,
    internal_note: str | None = None,
    reference: str | None = None,
) -> list[int]:
    """Query the provider once more, by its own `reference` if the operator found one.

    The payment is looked up first. It is sent again only while the provider still knows our key, so
    this never charges twice. An answer that cannot be trusted parks the payment again.

    Returns:
        The payment, to be carried out now.

    Raises:
        errors.NotFound: there is no such payment.
        errors.NotParked: it is not parked.
        errors.ReferenceTaken: the reference belongs to another payment.
    """

    async def work(row: PaymentUnderReview) -> list[int]:
        if reference is not None:
            await _set_reference(payment, reference)
        await _reopen_payment(row)
        now = datetime.now(UTC)
        due = database.seconds_from_now(0)
        await Job.insert(Job(kind=row.kind, subject=payment, run_at=due, tries=0))
        details: Details = {"payment": payment, "reference": reference}
        details |= order_history.explanation(reason, internal_note)
        await order_history.record_events(
            [order_history.OrderEvent(row.order, "retried", details, by)], at=now
        )
        return [payment]

    return await _apply_decision("retry", payment, work)


async def _set_reference(payment: int, reference: str) -> None:
    other = Payment.exists().where(Payment.provider_ref == reference, Payment.id != payment)
    if await other:
        raise errors.ReferenceTaken()
    await Payment.update({Payment.provider_ref: reference}).where(Payment.id == payment)


async def release_payment(
    payment: int, *, reason: str, by: int, internal_note: str | None = None
) -> list[int]:
    """Record the operator's decision that no money moved, as if the provider had declined it.

    Returns:
        The refunds to be carried out now, if a cancellation waited for this payment.

    Raises:
        errors.NotFound: there is no such payment.
        errors.NotParked: it is not parked.
    """

    async def work(row: PaymentUnderReview) -> list[int]:
        lease = await leases.read_payment_as_lease(payment)
        assert lease is not None
        answer = Declined(reason, "released")
        return await settlement.write_results(
            [settlement.SettlementResult(lease, answer, by, internal_note=internal_note)]
        )

    return await _apply_decision("release", payment, work)


async def refund_payment(
    payment: int, *, reason: str, by: int, internal_note: str | None = None
) -> list[int]:
    """Accept a charge of another amount as paid, and refund all of it.

    Returns:
        The refund, to be carried out now.

    Raises:
        errors.NotFound: there is no such payment.
        errors.NotParked: it is not parked.
        errors.NothingCharged: it is not known to have moved anything.
    """

    async def work(row: PaymentUnderReview) -> list[int]:
        lease = await leases.read_payment_as_lease(payment)
        assert lease is not None
        requested, reference = lease.request, lease.reference
        if (
            not isinstance(requested, Charge)
            or reference is None
            or "refund" not in allowed_decisions(row)
        ):
            raise errors.NothingCharged()
        await Order.update({Order.cancel_requested: True}).where(Order.id == row.order)
        answer = Succeeded(reference, requested.amount, requested.currency)
        refunds = await settlement.write_results([settlement.SettlementResult(lease, answer, by)])
        details: Details = {"payment": payment}
        details |= order_history.explanation(reason, internal_note)
        events = [order_history.OrderEvent(row.order, "refund-ordered", details, by)]
        await order_history.record_events(events, at=datetime.now(UTC))
        return refunds

    return await _apply_decision("refund", payment, work)


async def book_refund(
    payment: int, *, reason: str, by: int, internal_note: str | None = None
) -> list[int]:
    """Accept a refund of another amount: count that amount, so that the rest can be refunded.

    If the order was being canceled, the rest is refunded automatically.

    Returns:
        The refund of the rest, to be carried out now, if there is one.

    Raises:
        errors.NotFound: there is no such payment.
        errors.NotParked: it is not parked.
        errors.NothingRefunded: it is no refund, or is not known to have moved anything.
    """

    async def work(row: PaymentUnderReview) -> list[int]:
        lease = await leases.read_payment_as_lease(payment)
        assert lease is not None
        requested, reference, moved = lease.request, lease.reference, row.moved
        if reference is None or "book" not in allowed_decisions(row):
            raise errors.NothingRefunded()
        assert moved is not None
        details: Details = {"payment": payment, "asked": requested.amount, "moved": moved}
        details |= order_history.explanation(reason, internal_note)
        events = [order_history.OrderEvent(row.order, "refund-booked", details, by)]
        await order_history.record_events(events, at=datetime.now(UTC))
        answer = Succeeded(reference, moved, requested.currency)
        return await settlement.write_results([settlement.SettlementResult(lease, answer, by)])

    return await _apply_decision("book", payment, work)


def allowed_decisions(payment: ReviewedPayment) -> list[str]:
    """Return the allowed decisions; `refund` and `book` need an amount known to have moved."""
    decisions = [name for name, one in states.DECISIONS.items() if payment.state in one.sources]
    # A refund that failed after it had succeeded moved 0.
    moved = bool(payment.moved) and payment.provider_ref is not None
    counted = {"charge": "refund", "refund": "book"}[payment.kind] if moved else None
    return [name for name in decisions if name not in ("refund", "book") or name == counted]


async def _apply_decision(
    name: str, payment: int, work: Callable[[PaymentUnderReview], Awaitable[list[int]]]
) -> list[int]:
    """Apply a decision to a parked payment, while holding its order."""

    async def run() -> list[int]:
        query = Payment.select(*COLUMNS).where(Payment.id == payment)
        found = await query
        if not found:
            raise errors.NotFound
        await lock_order(found[0]["order"])
        row = PaymentUnderReview(**(await query)[0])
        if row.state not in states.DECISIONS[name].sources:
            raise errors.NotParked(f"This payment is {row.state}.")
        return await work(row)

    return await database.transaction(run)


async def _reopen_payment(row: PaymentUnderReview) -> None:
    """Allow the payment to be sent again, and clear `moved`, because refunds are based on it."""
    state = states.DECISIONS["retry"].goal
    states.check_transition(states.PAYMENT, row.state, state)
    await Payment.update({Payment.state: state, Payment.moved: None}).where(
        Payment.id == row.id, Payment.state == row.state
    )
