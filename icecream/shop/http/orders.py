"""A shop's own orders: the list, one order, and what can be done with it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from icecream import errors, fields, settings
from icecream.http import bodies
from icecream.orders import actions
from icecream.orders.http import responses
from icecream.pages import access, forms, once, rendering
from icecream.shop.http import own_orders

STATUSES = {
    "pending": "Payment in progress",
    "paid": "Paid",
    "failed": "Payment failed",
    "refunding": "Refund in progress",
    "refunded": "Refunded",
    "canceled": "Canceled",
}
FULFILMENT = {"packed": "Packed", "delivered": "Delivered", "returned": "Returned"}
# In these statuses something will happen soon, and an open page asks for it.
CHANGING_STATUSES = ("pending", "refunding")
NOT_SOLD = "A flavor of this order is no longer sold, so it cannot be paid again."
# What the rules may refuse; the page of the order says why.
REFUSALS = (
    errors.InvalidTransition,
    errors.AlreadyPacked,
    errors.AlreadyRestocked,
    errors.InsufficientStock,
    errors.FlavorArchived,
    errors.PaymentMethodRequired,
    errors.IdempotencyKeyReused,
)


@get("/orders/")
async def list_orders(
    visitor: access.SignedIn,
    before: Annotated[int | None, Parameter(ge=1, le=fields.MAX_ID)] = None,
) -> Response[str]:
    """Return a page of the shop's orders, newest first."""
    found = await own_orders.list_orders(visitor.user.id, before)
    page = rendering.render(
        "shop/orders.html",
        visitor=visitor,
        page=found,
        before=before,
        statuses=STATUSES,
        fulfilment=FULFILMENT,
    )
    return rendering.html_response(page)


@get("/orders/{order:int}/", guards=[bodies.require_exact_ids])
async def show_order(visitor: access.SignedIn, order: bodies.PathId) -> Response[str]:
    """Return the page of an order."""
    return await _order_page(visitor, await own_orders.get_order(order, visitor.user))


async def _order_page(
    visitor: access.Visitor, order: responses.OrderDetail, error: str = "", status: int = 200
) -> Response[str]:
    page = rendering.render(
        "shop/own-order.html",
        visitor=visitor,
        order=order,
        names=await own_orders.flavor_names(line.flavor for line in order.lines),
        statuses=STATUSES,
        fulfilment=FULFILMENT,
        is_changing=order.status in CHANGING_STATUSES,
        key=once.new_key(),
        error=error,
    )
    return rendering.html_response(page, status)


@post("/orders/{order:int}/pay/", guards=[bodies.require_exact_ids])
async def pay_order(
    request: access.Call, state: State, visitor: access.SignedIn, order: bodies.PathId
) -> Response[Any]:
    """Charge a failed order again."""
    needs_method = settings.load().needs_payment_method
    stage = partial(actions.pay_order, order, by=visitor.user.id, needs_method=needs_method)
    return await _change(request, state, visitor, order, stage)


@post("/orders/{order:int}/cancel/", guards=[bodies.require_exact_ids])
async def cancel_order(
    request: access.Call, state: State, visitor: access.SignedIn, order: bodies.PathId
) -> Response[Any]:
    """Cancel an order; what was paid is refunded."""
    stage = partial(actions.cancel_order, order, by=visitor.user.id)
    return await _change(request, state, visitor, order, stage)


async def _change(
    request: access.Call,
    state: State,
    visitor: access.Visitor,
    order: int,
    stage: Callable[[], Awaitable[list[int]]],
) -> Response[Any]:
    """Change an order once for each form, notify the workers, and return to its page."""
    sent = await forms.read_own_fields(request, visitor)
    found = await own_orders.get_order(order, visitor.user)
    path = request.scope["path"]

    async def work() -> tuple[str, list[int]]:
        return "", await stage()

    try:
        await once.carry_out(work, path=path, fields=sent, visitor=visitor, state=state)
    except REFUSALS as refusal:
        return await _order_page(visitor, found, await _explain(refusal), refusal.status)
    return rendering.redirect(f"{settings.load().prefix}/shop/orders/{order}/")


async def _explain(refusal: errors.Refusal) -> str:
    """Return the reason of a refusal with the names of flavors."""
    if isinstance(refusal, errors.FlavorArchived):
        return NOT_SOLD
    if not isinstance(refusal, errors.InsufficientStock):
        return refusal.detail
    lines = refusal.members["lines"]
    names = await own_orders.flavor_names(line["flavor"] for line in lines)
    left = (f"{line['available']} of {names[line['flavor']]}" for line in lines)
    return f"There is not enough stock left, only {' and '.join(left)}."


HANDLERS = (list_orders, show_order, pay_order, cancel_order)
