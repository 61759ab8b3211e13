"""Corrections for refunds that change at the provider: one fails days later, or is made there."""

import secrets
from typing import Any

from icecream import database, errors, money, states
from icecream.payments import attempts, balances, settlement
from icecream.payments.providers import Record
from icecream.payments.settlement import MOVED_BACK
from icecream.tables import Payment

LONGEST_KEY = 64
FAILED = "The refund failed after it had succeeded."
AT_PROVIDER = "Made at the payment provider."


def waits_for_review(payment: dict[str, Any]) -> bool:
    """Return whether a refund is parked because it failed after it had succeeded."""
    return (payment["state"], payment["moved"]) == ("parked", MOVED_BACK)


async def refund_failed(refund: int, why: str) -> bool:
    """Park a refund that failed after it had succeeded: its money is ours again.

    An operator has to review it. The order returns to its state before the refund. A canceled order
    is the exception: it stays canceled, and its stock stays returned.

    Returns:
        False if this was known.

    Raises:
        errors.RefundInProgress: another refund has to end first, because only one may be open at a
            time.
    """
    return await database.transaction(lambda: _refund_failed(refund, why))


async def _refund_failed(refund: int, why: str) -> bool:
    query = Payment.select(Payment.order, Payment.kind, Payment.state, Payment.amount)
    query = query.where(Payment.id == refund)
    (row,) = await query
    order = await settlement.held(row["order"])
    (row,) = await query
    if (row["kind"], row["state"]) != ("refund", "succeeded"):
        return False
    if await balances.has_open_refund(row["order"]):
        raise errors.RefundInProgress()
    states.check(states.PAYMENT, row["state"], "parked")
    await Payment.update(
        {
            Payment.state: "parked",
            Payment.moved: MOVED_BACK,
            Payment.last_error: f"{FAILED} {why}",
        }
    ).where(Payment.id == refund)
    new = settlement.turn(order)
    new.refunded = (await balances.of(order)).refunded - order["refunded"]
    # The provider's reason is for staff, with the payment. The customer can read the history too.
    new.tell("refund-failed", payment=refund, amount=row["amount"], reason=FAILED)
    if new.status == "refunded":
        new.enter("refunding")
    await settlement.apply([new], await settlement.return_stock([new]))
    return True


async def refund_found(charge: int, record: Record) -> None:
    """Book a refund of this charge that was made at the provider, for example in its dashboard.

    It counts like any other refund: in the order's history, its sums, the totals and the amount
    left.

    Raises:
        errors.RefundInProgress: another refund has to end first, because it may be too large now.
        errors.RefundTooLarge: less of the order is left, or the refund is in another currency.
    """
    await database.transaction(lambda: _refund_found(charge, record))


async def _refund_found(charge: int, record: Record) -> None:
    columns = (Payment.order, Payment.order.currency.as_alias("currency"))
    (row,) = await Payment.select(*columns).where(Payment.id == charge)
    order = await settlement.held(row["order"])
    if await Payment.exists().where(Payment.provider_ref == record.reference):
        return
    if await balances.has_open_refund(order["id"]):
        raise errors.RefundInProgress()
    left = (await balances.of(order)).held
    if record.currency != row["currency"] or record.amount > left:
        raise errors.RefundTooLarge(f"Only {money.text(left, row['currency'])} is left.", left=left)
    await _write(order["id"], record)
    new = settlement.turn(order)
    about: dict[str, Any] = {
        "amount": record.amount,
        "reference": record.reference,
        "reason": AT_PROVIDER,
    }
    settlement.refunded(new, await balances.of(order), **about)
    await settlement.apply([new], await settlement.return_stock([new]))


async def _write(order: int, record: Record) -> None:
    """Insert the payment row of a refund that succeeded before we knew of it."""
    n = await attempts.next_n(order, "refund")
    # A key that we do not know may belong to a payment that was lost with a restored backup.
    key = record.key or secrets.token_hex(16)
    await Payment.insert(
        Payment(
            order=order,
            kind="refund",
            n=n,
            state="succeeded",
            provider_key=key if len(key) <= LONGEST_KEY else secrets.token_hex(16),
            provider_ref=record.reference,
            amount=record.amount,
            first_sent_at=record.created,
            tries=0,
        )
    )
