"""Corrections for refunds that change at the provider: one fails days later, or is made there."""

from icecream import database, errors, money, states
from icecream.payments import attempts, balances, order_transitions
from icecream.payments.providers import ProviderRecord
from icecream.tables import Payment

# The value of `moved` for a refund that failed after it had succeeded: in the end, no money moved.
# No other parked payment has this value. So it shows that an operator has to decide and that no
# answer is expected.
REVERSED = 0
MAX_KEY_LENGTH = 64
REFUND_FAILED = "The refund failed after it had succeeded."
REFUNDED_AT_PROVIDER = "Made at the payment provider."


def is_parked_failed_refund(state: str, moved: int | None) -> bool:
    """Return whether a refund is parked because it failed after it had succeeded."""
    return (state, moved) == ("parked", REVERSED)


async def park_failed_refund(refund: int, reason: str) -> bool:
    """Park a refund that failed after it had succeeded: its money is ours again.

    An operator has to review it. The order returns to its state before the refund. A canceled order
    is the exception: it stays canceled, and its stock stays returned.

    Returns:
        False if this was known.

    Raises:
        errors.RefundInProgress: another refund has to end first, because only one may be open at a
            time.
    """
    return await database.transaction(lambda: _park_failed_refund(refund, reason))


async def _park_failed_refund(refund: int, reason: str) -> bool:
    columns = (Payment.order, Payment.kind, Payment.state, Payment.amount, Payment.moved)
    query = Payment.select(*columns).where(Payment.id == refund)
    (row,) = await query
    order = await order_transitions.lock_order(row["order"])
    (row,) = await query
    if (row["kind"], row["state"]) != ("refund", "succeeded"):
        return False
    if await balances.has_open_refund(row["order"]):
        raise errors.RefundInProgress()
    states.check_transition(states.PAYMENT, row["state"], "parked")
    await Payment.update(
        {
            Payment.state: "parked",
            Payment.moved: REVERSED,
            Payment.last_error: f"{REFUND_FAILED} {reason}",
        }
    ).where(Payment.id == refund)
    transition = order_transitions.begin_transition(order)
    moved = row["amount"] if row["moved"] is None else row["moved"]
    transition.end_payment("refund", "succeeded", moved, number=-1)
    transition.refunded = (await balances.read_balance(order)).refunded - order.refunded
    # The provider's reason is for staff, with the payment. The customer can read the history too.
    transition.add_event(
        "refund-failed", payment=refund, amount=row["amount"], reason=REFUND_FAILED
    )
    if transition.status == "refunded":
        transition.enter("refunding")
    await order_transitions.apply_transitions([transition])
    return True


async def book_provider_refund(charge: int, record: ProviderRecord) -> None:
    """Book a refund of this charge that was made at the provider, for example in its dashboard.

    It counts like any other refund: in the order's history, its sums, the totals and the amount
    left.

    Raises:
        errors.RefundInProgress: another refund has to end first, because it may be too large now.
        errors.RefundTooLarge: less of the order is left, or the refund is in another currency.
    """
    await database.transaction(lambda: _book_provider_refund(charge, record))


async def _book_provider_refund(charge: int, record: ProviderRecord) -> None:
    columns = (Payment.order, Payment.order.currency.as_alias("currency"))
    (row,) = await Payment.select(*columns).where(Payment.id == charge)
    order = await order_transitions.lock_order(row["order"])
    if await Payment.exists().where(Payment.provider_ref == record.reference):
        return
    if await balances.has_open_refund(order.id):
        raise errors.RefundInProgress()
    left = (await balances.read_balance(order)).held
    if record.currency != row["currency"] or record.amount > left:
        raise errors.RefundTooLarge(
            f"Only {money.format_amount(left, row['currency'])} is left.", left=left
        )
    await _insert_refund(order.id, record)
    transition = order_transitions.begin_transition(order)
    transition.end_payment("refund", "succeeded", record.amount)
    order_transitions.count_refund(
        transition,
        await balances.read_balance(order),
        amount=record.amount,
        reference=record.reference,
        reason=REFUNDED_AT_PROVIDER,
    )
    await order_transitions.apply_transitions([transition])


async def _insert_refund(order: int, record: ProviderRecord) -> None:
    """Insert the payment row of a refund that succeeded before we knew of it."""
    n = await attempts.next_number(order, "refund")
    # A key that we do not know may belong to a payment that was lost with a restored backup.
    (new_key,) = attempts.new_keys(1)
    key = record.key or new_key
    await Payment.insert(
        Payment(
            order=order,
            kind="refund",
            n=n,
            state="succeeded",
            provider_key=key if len(key) <= MAX_KEY_LENGTH else new_key,
            provider_ref=record.reference,
            amount=record.amount,
            first_sent_at=record.created,
            tries=0,
        )
    )
