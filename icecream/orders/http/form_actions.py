"""The forms of staff about an order and its payments: their fields, actions and messages."""

from msgspec import Struct

from icecream import database, errors, fields, settings
from icecream.orders import actions
from icecream.orders.http import responses
from icecream.pages import amounts
from icecream.payments import manual_review
from icecream.payments.http import decisions
from icecream.payments.http import payments as payments_http
from icecream.tables import Order, Payment

# The message for the user, and the payments that workers must carry out next.
FormResult = tuple[str, list[int]]


class NoFields(Struct, forbid_unknown_fields=True):
    """A form without further fields."""


class OptionalReason(fields.Body):
    """A reason and a note, if there are any."""

    reason: fields.ShownReason | None = None
    internal_note: fields.InternalNote | None = None

    def __post_init__(self) -> None:
        fields.strip_texts(self, "reason", "internal_note")


class RefundFields(fields.Body):
    """The amount of a refund as people write it, or all that is left; the reason, and a note."""

    reason: fields.ShownReason
    internal_note: fields.InternalNote | None = None
    amount: str | None = None

    def __post_init__(self) -> None:
        fields.strip_texts(self, "reason", "internal_note")
        _ = self.minor

    @property
    def minor(self) -> int | None:
        """The amount in minor units."""
        if self.amount is None:
            return None
        return amounts.parse("amount", self.amount, low=1, high=responses.MAX_TOTAL)


async def cancel_order(order: int, body: OptionalReason, by: int) -> FormResult:
    """Cancel an order."""
    staged = await actions.cancel_order(
        order, by=by, reason=body.reason, internal_note=body.internal_note
    )
    if await _order_status(order) == "canceled":
        return f"Order {order} is canceled.", staged
    return f"Order {order} will be canceled after its payment or refund has ended.", staged


async def pay_order(order: int, _: NoFields, by: int) -> FormResult:
    """Charge a failed order again."""
    needs_method = settings.load().needs_payment_method
    staged = await actions.pay_order(order, by=by, needs_method=needs_method)
    if await _order_status(order) == "paid":
        return f"Order {order} is already paid.", staged
    return f"The payment of order {order} has started.", staged


async def refund_order(order: int, body: RefundFields, by: int) -> FormResult:
    """Refund an amount, or all that is left."""
    try:
        staged = await database.transaction(
            lambda: actions.refund_order(
                order, body.minor, reason=body.reason, by=by, internal_note=body.internal_note
            )
        )
    except errors.RefundTooLarge as refusal:
        left = amounts.show(refusal.members["left"])
        raise errors.RefundTooLarge(f"Only {left} is left.") from None
    return f"Refund of {await amount_of(staged)} started for order {order}.", staged


async def amount_of(staged: list[int]) -> str:
    """Return the amount of the first of these payments, as people write it."""
    rows = await Payment.select(Payment.amount).where(Payment.id.is_in(staged))
    return amounts.show(rows[0]["amount"])


async def retry_payment(payment: int, body: decisions.Retry, by: int) -> FormResult:
    """Look a parked payment up again."""
    staged = await manual_review.retry_payment(
        payment,
        reason=body.reason,
        by=by,
        internal_note=body.internal_note,
        reference=body.reference,
    )
    return f"Payment {payment} will be looked up at the provider again.", staged


async def release_payment(payment: int, body: decisions.Why, by: int) -> FormResult:
    """Confirm that a parked payment moved no money."""
    staged = await manual_review.release_payment(
        payment, reason=body.reason, by=by, internal_note=body.internal_note
    )
    order = (await payments_http.get_payment(payment)).order
    status = await _order_status(order)
    return f"Payment {payment} is declined now; order {order} is {status}.", staged


async def refund_parked(payment: int, body: decisions.Why, by: int) -> FormResult:
    """Refund a parked charge."""
    staged = await manual_review.refund_payment(
        payment, reason=body.reason, by=by, internal_note=body.internal_note
    )
    view = await payments_http.get_payment(payment)
    amount = amounts.show(view.moved or 0)
    return f"Refund of {amount} started. Order {view.order} is canceled when it succeeds.", staged


async def book_refund(payment: int, body: decisions.Why, by: int) -> FormResult:
    """Book the amount that a parked refund moved."""
    staged = await manual_review.book_refund(
        payment, reason=body.reason, by=by, internal_note=body.internal_note
    )
    view = await payments_http.get_payment(payment)
    amount, status = amounts.show(view.moved or 0), await _order_status(view.order)
    return f"{amount} is booked as refunded; order {view.order} is {status}.", staged


async def _order_status(order: int) -> str:
    rows = await Order.select(Order.status).where(Order.id == order)
    return str(rows[0]["status"])
