"""The actions of the forms, by the rules of the API; and what a form says about its order."""

from msgspec import Struct

from icecream import database, errors, fields, settings
from icecream.admin import amounts
from icecream.catalogue import flavors, inventory
from icecream.orders import actions
from icecream.orders.http import responses
from icecream.payments import balances, manual_review
from icecream.payments.http import decisions
from icecream.payments.http import payments as payments_http
from icecream.tables import Flavor, Order, Payment

# The message for the user, and the payments that workers must carry out next.
FormResult = tuple[str, list[int]]


class NoFields(Struct, forbid_unknown_fields=True):
    """A form without further fields."""


class RefundFields(fields.Body):
    """The amount of a refund as people write it, or all that is left; and the reason."""

    reason: fields.ShownReason
    amount: str | None = None

    def __post_init__(self) -> None:
        self.reason = fields.strip_text("reason", self.reason)
        _ = self.minor

    @property
    def minor(self) -> int | None:
        """The amount in minor units."""
        if self.amount is None:
            return None
        return amounts.parse("amount", self.amount, low=1, high=responses.MAX_TOTAL)


async def describe_order(order: int) -> str:
    """Return the customer of an order, its total and what can be refunded; empty if none exists."""
    row = await Order.objects(Order.user).where(Order.id == order).first()
    if row is None:
        return ""
    left = (await balances.read_balance(row)).refundable
    return (
        f"Order {order} of {row.user.username} is {row.status}: total {amounts.show(row.total)}, "
        f"refunded {amounts.show(row.refunded)}, left to refund {amounts.show(left)}."
    )


async def cancel_order(order: int, _: NoFields, by: int) -> FormResult:
    """Cancel an order."""
    staged = await actions.cancel_order(order, by=by)
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
            lambda: actions.refund_order(order, body.minor, reason=body.reason, by=by)
        )
    except errors.RefundTooLarge as refusal:
        left = amounts.show(refusal.members["left"])
        raise errors.RefundTooLarge(f"Only {left} is left.") from None
    rows = await Payment.select(Payment.amount).where(Payment.id.is_in(staged))
    amount = amounts.show(rows[0]["amount"])
    return f"Refund of {amount} started for order {order}.", staged


async def receive_stock(flavor: int, body: flavors.StockReceipt, by: int) -> FormResult:
    """Add a delivery to the stock."""

    async def work() -> None:
        await inventory.receive_stock(flavor, body.quantity, reason=body.reason, by=by)

    await database.transaction(work)
    rows = await Flavor.select(Flavor.name, Flavor.stock).where(Flavor.id == flavor)
    return f"The stock of {rows[0]['name']} is now {rows[0]['stock']}.", []


async def retry_payment(payment: int, body: decisions.Retry, by: int) -> FormResult:
    """Look a parked payment up again."""
    staged = await manual_review.retry_payment(
        payment, reason=body.reason, by=by, reference=body.reference
    )
    return f"Payment {payment} will be looked up at the provider again.", staged


async def release_payment(payment: int, body: decisions.Why, by: int) -> FormResult:
    """Confirm that a parked payment moved no money."""
    staged = await manual_review.release_payment(payment, reason=body.reason, by=by)
    order = (await payments_http.get_payment(payment)).order
    status = await _order_status(order)
    return f"Payment {payment} is declined now; order {order} is {status}.", staged


async def refund_parked(payment: int, body: decisions.Why, by: int) -> FormResult:
    """Refund a parked charge."""
    staged = await manual_review.refund_payment(payment, reason=body.reason, by=by)
    view = await payments_http.get_payment(payment)
    amount = amounts.show(view.moved or 0)
    return f"Refund of {amount} started. Order {view.order} is canceled when it succeeds.", staged


async def book_refund(payment: int, body: decisions.Why, by: int) -> FormResult:
    """Book the amount that a parked refund moved."""
    staged = await manual_review.book_refund(payment, reason=body.reason, by=by)
    view = await payments_http.get_payment(payment)
    amount, status = amounts.show(view.moved or 0), await _order_status(view.order)
    return f"{amount} is booked as refunded; order {view.order} is {status}.", staged


async def _order_status(order: int) -> str:
    rows = await Order.select(Order.status).where(Order.id == order)
    return str(rows[0]["status"])
