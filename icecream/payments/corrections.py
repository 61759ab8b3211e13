"""What a provider changes by itself once all is settled: a refund fails days later."""

from typing import Any

from piccolo.query.functions import Sum

from icecream import database, errors, states
from icecream.payments import requests, settlement
from icecream.tables import Payment

# What the provider says that such a refund moved: nothing, after all. No other parked payment has
# this, so it tells that an operator has to decide, and that no answer is waited for.
MOVED_BACK = 0


def waits_for_review(payment: dict[str, Any]) -> bool:
    """Whether a refund is parked because it failed after it had succeeded."""
    return (payment["state"], payment["moved"]) == ("parked", MOVED_BACK)


async def refund_failed(refund: int, why: str) -> bool:
    """A refund that had succeeded failed: its money is ours again, and an operator has to look.

    It is parked. The order is as before the refund, except that one that was canceled stays so,
    with its stock given back.

    Returns:
        False if this was known.

    Raises:
        errors.RefundInProgress: another refund has to end first, for one at a time is open.
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
    if await requests.has_open_refund(row["order"]):
        raise errors.RefundInProgress()
    states.check(states.PAYMENT, row["state"], "parked")
    await Payment.update(
        {
            Payment.state: "parked",
            Payment.moved: MOVED_BACK,
            Payment.last_error: f"The refund failed after it had succeeded: {why}",
        }
    ).where(Payment.id == refund)
    new = settlement.turn(order)
    new.refunded = min(await _given_back(row["order"]), order["total"]) - order["refunded"]
    new.tell("refund-failed", payment=refund, amount=row["amount"], reason=why)
    if new.status == "refunded":
        new.enter("refunding")
    await settlement.apply([new], await settlement.return_stock([new]))
    return True


async def _given_back(order: int) -> int:
    """The sum of an order's refunds that succeeded."""
    rows = await Payment.select(Sum(Payment.amount)).where(
        Payment.order == order, Payment.kind == "refund", Payment.state == "succeeded"
    )
    return int(rows[0]["sum"] or 0)
