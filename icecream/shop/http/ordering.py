"""The catalogue with the order form, a page to check the order, and placing it."""

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from icecream import database, errors, fields, money, settings
from icecream.catalogue import inventory
from icecream.idempotency import keys
from icecream.orders.http import requests
from icecream.pages import access, forms, once, rendering
from icecream.shop.http import order_form, own_orders

PATH = "/shop/"
# The form has a field for each flavor on sale. A body has no room for more.
MAX_FIELDS = 20_000
KEY_USED = (
    "An order was placed with this form before, with other contents. "
    "Look at your orders before you send this one."
)
PRICES_CHANGED = "Prices have changed. This is the new total."
OUTCOME_UNKNOWN = (
    "It is not known whether your order has arrived. Reload this page to send it again: "
    "it is placed once, however often you send it."
)
# What the rules may refuse; the form says why.
REFUSALS = (
    inventory.LineRefused,
    errors.InsufficientStock,
    errors.PaymentMethodRequired,
    errors.ValidationFailed,
)


@get("/")
async def show_form(
    visitor: access.SignedIn, again: Annotated[int | None, Parameter(ge=1, le=fields.MAX_ID)] = None
) -> Response[str]:
    """Return the order form; `again` fills it with the quantities of an earlier order."""
    catalogue = await order_form.load_catalogue()
    if again is None:
        form = order_form.OrderForm(key=once.new_key())
    else:
        order = await own_orders.get_order(again, visitor.user)
        form = await own_orders.order_again(order, catalogue)
    return _form_page(visitor, form, catalogue)


@post("/")
async def send_form(request: access.Call, state: State, visitor: access.SignedIn) -> Response[Any]:
    """Check the order, place it, or show the form again, as the pressed button says."""
    sent = await forms.read_own_fields(request, visitor, MAX_FIELDS)
    form, catalogue = order_form.read_form(sent), await order_form.load_catalogue()
    if sent.get("action") == "edit":
        return _form_page(visitor, form, catalogue)
    if sent.get("action") == "place":
        return await _place(state, visitor, form, catalogue)
    return await _check_page(visitor, form, catalogue)


async def _place(
    state: State, visitor: access.Visitor, form: order_form.OrderForm, catalogue: Any
) -> Response[Any]:
    if (new := order_form.to_new_order(form)) is None:
        return _form_page(visitor, form, catalogue, 400)
    quantities = (await new.read_lines()).quantities
    prices = {flavor: one.price for flavor, one in catalogue.items()}
    # A flavor without a price here is refused when the order is placed.
    total = sum(prices.get(flavor, 0) * quantity for flavor, quantity in quantities.items())
    if form.total != str(total) and quantities.keys() <= prices.keys():
        return await _check_page(visitor, form, catalogue, PRICES_CHANGED if form.total else "")
    try:
        order = await _place_once(state, visitor, form, new)
    except errors.IdempotencyKeyReused:
        form.key = once.new_key()
        form.errors[""] = KEY_USED
        return _form_page(visitor, form, catalogue, 409)
    except REFUSALS as refusal:
        order_form.add_refusal(form, refusal, catalogue)
        return _form_page(visitor, form, catalogue, 409)
    except (errors.Unavailable, errors.IdempotencyKeyInUse, *database.DATABASE_UNAVAILABLE):
        page = rendering.render(
            "pages/message.html", title="Please send it again", message=OUTCOME_UNKNOWN
        )
        return rendering.html_response(page, 503)
    return rendering.redirect(f"{settings.load().prefix}/shop/orders/{order}/")


async def _place_once(
    state: State, visitor: access.Visitor, form: order_form.OrderForm, new: requests.NewOrder
) -> int:
    """Place the order under the key of the form, and return its id.

    A double click, or a form that is sent again on a slow line, gets the first order again.
    """
    user = visitor.user
    key = keys.request_key(form.key, user=user.id, method="POST", path=PATH, body=new)
    lines = await new.read_lines()
    placed = await state.order_placer.place(
        user.id, lines.quantities, key, user.payment_method, new.details
    )
    order: int = placed.order
    return order


async def _check_page(
    visitor: access.Visitor, form: order_form.OrderForm, catalogue: Any, notice: str = ""
) -> Response[str]:
    checked = await order_form.check(form, catalogue)
    if checked is None:
        return _form_page(visitor, form, catalogue, 400)
    page = rendering.render(
        "shop/check.html",
        visitor=visitor,
        form=form,
        order=checked,
        catalogue=catalogue,
        notice=notice,
        currency=settings.load().currency,
    )
    return rendering.html_response(page)


def _form_page(
    visitor: access.Visitor, form: order_form.OrderForm, catalogue: Any, status: int = 200
) -> Response[str]:
    current = settings.load()
    page = rendering.render(
        "shop/order.html",
        visitor=visitor,
        form=form,
        rows=[
            (flavor, order_form.quantity_field(flavor.id), order_form.describe_quantities(flavor))
            for flavor in catalogue.values()
        ],
        unit=order_form.describe_unit,
        allergens=order_form.describe_allergens,
        needs_method=current.needs_payment_method and not visitor.user.payment_method,
        currency=current.currency,
        places=money.decimal_places(current.currency) or 0,
        locale=current.locale.replace("_", "-"),
    )
    return rendering.html_response(page, status)


HANDLERS = (show_form, send_form)
