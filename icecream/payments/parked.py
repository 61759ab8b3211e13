"""What operators do about parked payments; each is recorded with who and why."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from icecream import database, errors, events, states
from icecream.gateway import Charge, Declined, Succeeded
from icecream.payments import claims, settlement
from icecream.tables import Job, Order, Payment

Row = dict[str, Any]
COLUMNS = (
    Payment.id,
    Payment.order,
    Payment.kind,
    Payment.state,
    Payment.moved,
    Payment.provider_ref,
)


async def retry(payment: int, *, why: str, by: int, reference: str | None = None) -> list[int]:
    """Ask the provider once more: by its own `reference`, where the operator found one.

    It is looked up first, and asked for again only while the provider still knows our key; so this
    never charges twice. What cannot be believed is parked again.

    Returns:
        The payment, to be carried out now.

    Raises:
        errors.NotFound: there is no such payment.
        errors.NotParked: it is not parked.
        errors.ReferenceTaken: the reference belongs to another payment.
    """

    async def work(row: Row) -> list[int]:
        if reference is not None:
            await _adopt(payment, reference)
        await _reopen(row)
        now = datetime.now(UTC)
        due = database.seconds_from_now(0)
        await Job.insert(Job(kind=row["kind"], subject=payment, run_at=due, tries=0))
        about = {"payment": payment, "reason": why, "reference": reference}
        await events.record([events.Happened(row["order"], "retried", about, by)], at=now)
        return [payment]

    return await _decide("retry", payment, work)


async def _adopt(payment: int, reference: str) -> None:
    other = Payment.exists().where(Payment.provider_ref == reference, Payment.id != payment)
    if await other:
        raise errors.ReferenceTaken()
    await Payment.update({Payment.provider_ref: reference}).where(Payment.id == payment)


async def release(payment: int, *, why: str, by: int) -> list[int]:
    """No money was moved: the operator knows; as if the provider had declined it.

    Returns:
        The refunds to be carried out now, where a cancellation waited for this one.

    Raises:
        errors.NotFound: there is no such payment.
        errors.NotParked: it is not parked.
    """

    async def work(row: Row) -> list[int]:
        claim = await claims.standing(payment)
        assert claim is not None
        return await settlement.write([settlement.Verdict(claim, Declined(why, "released"), by)])

    return await _decide("release", payment, work)


async def refund(payment: int, *, why: str, by: int) -> list[int]:
    """The provider charged something else: take it as paid, and give all of it back.

    Returns:
        The refund, to be carried out now.

    Raises:
        errors.NotFound: there is no such payment.
        errors.NotParked: it is not parked.
        errors.NothingCharged: it is not known to have moved anything.
    """

    async def work(row: Row) -> list[int]:
        claim = await claims.standing(payment)
        assert claim is not None
        asked, reference = claim.request, claim.reference
        if not isinstance(asked, Charge) or reference is None or "refund" not in allowed(row):
            raise errors.NothingCharged()
        await Order.update({Order.cancel_requested: True}).where(Order.id == row["order"])
        believed = Succeeded(reference, asked.amount, asked.currency)
        staged = await settlement.write([settlement.Verdict(claim, believed, by)])
        about = {"payment": payment, "reason": why}
        happened = [events.Happened(row["order"], "refund-ordered", about, by)]
        await events.record(happened, at=datetime.now(UTC))
        return staged

    return await _decide("refund", payment, work)


async def book(payment: int, *, why: str, by: int) -> list[int]:
    """The provider gave back another amount: count that much, and the rest may be given back.

    A cancellation goes on with the rest by itself.

    Returns:
        The refund of the rest, to be carried out now, if there is one.

    Raises:
        errors.NotFound: there is no such payment.
        errors.NotParked: it is not parked.
        errors.NothingRefunded: it is no refund, or is not known to have moved anything.
    """

    async def work(row: Row) -> list[int]:
        claim = await claims.standing(payment)
        assert claim is not None
        asked, reference, moved = claim.request, claim.reference, row["moved"]
        if reference is None or "book" not in allowed(row):
            raise errors.NothingRefunded()
        about = {"payment": payment, "reason": why, "asked": asked.amount, "moved": moved}
        happened = [events.Happened(row["order"], "refund-booked", about, by)]
        await events.record(happened, at=datetime.now(UTC))
        answer = Succeeded(reference, moved, asked.currency)
        return await settlement.write([settlement.Verdict(claim, answer, by)])

    return await _decide("book", payment, work)


def allowed(row: Row) -> list[str]:
    """What may be decided about a payment; only what is known to have moved is counted."""
    decisions = [name for name, one in states.DECISIONS.items() if row["state"] in one.sources]
    # Of a refund that failed afterwards, 0 was moved.
    moved = bool(row["moved"]) and row["provider_ref"] is not None
    counted = {"charge": "refund", "refund": "book"}[row["kind"]] if moved else None
    return [name for name in decisions if name not in ("refund", "book") or name == counted]


async def _decide(
    name: str, payment: int, work: Callable[[Row], Awaitable[list[int]]]
) -> list[int]:
    """Do something about a payment that waits for it, holding its order."""

    async def run() -> list[int]:
        query = Payment.select(*COLUMNS).where(Payment.id == payment)
        found = await query
        if not found:
            raise errors.NotFound
        await settlement.held(found[0]["order"])
        (row,) = await query
        if row["state"] not in states.DECISIONS[name].sources:
            raise errors.NotParked(f"This payment is {row['state']}.")
        return await work(row)

    return await database.transaction(run)


async def _reopen(row: Row) -> None:
    """It may be asked for again; what was heard before counts no more, as refunds go by it."""
    state = states.DECISIONS["retry"].target
    states.check(states.PAYMENT, row["state"], state)
    await Payment.update({Payment.state: state, Payment.moved: None}).where(
        Payment.id == row["id"], Payment.state == row["state"]
    )
