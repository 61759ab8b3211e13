"""Forms in the admin for other actions than edits; bodies and rules are those of the API."""

import logging
import re
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from piccolo_admin.endpoints import FormConfig
from pydantic import BaseModel
from starlette.requests import Request as PiccoloRequest

from icecream import database, errors, fields, money, settings
from icecream.catalogue import flavors, inventory
from icecream.http import bodies
from icecream.orders import actions, placing
from icecream.orders.http import actions as actions_http
from icecream.payments import manual_review
from icecream.payments.http import payments as payments_http
from icecream.runtime import logs
from icecream.tables import Flavor, Order, Payment

log = logging.getLogger(__name__)
# The message for the user, and the payments to carry out next.
Done = tuple[str, list[int]]
# An id that fits into the database's type.
FITS = re.compile("[0-9]{1,18}")


class AnOrder(Struct):
    """Which order."""

    order: fields.Id


class AFlavor(Struct):
    """Which flavor."""

    flavor: fields.Id


class APayment(Struct):
    """Which payment."""

    payment: fields.Id


class Nothing(Struct, forbid_unknown_fields=True):
    """Nothing more has to be said."""


async def _cancel(order: int, _: Nothing, by: int) -> Done:
    staged = await actions.cancel_order(order, by=by)
    if await _status(order) == "canceled":
        return f"Order {order} is canceled.", staged
    return (
        f"Order {order} will be canceled once its payment, or giving it back, is through.",
        staged,
    )


async def _pay(order: int, _: Nothing, by: int) -> Done:
    needs_method = settings.load().needs_payment_method
    staged = await actions.pay_order(order, by=by, needs_method=needs_method)
    if await _status(order) == "paid":
        return f"Order {order} is paid already.", staged
    return f"Order {order} is being paid.", staged


async def _refund(order: int, what: actions_http.NewRefund, by: int) -> Done:
    staged = await database.transaction(
        lambda: actions.refund_order(order, what.amount, reason=what.reason, by=by)
    )
    rows = await Payment.select(Payment.amount).where(Payment.id.is_in(staged))
    amount = money.format_amount(rows[0]["amount"], settings.load().currency)
    return f"Refund of {amount} started for order {order}.", staged


async def _receive(flavor: int, what: flavors.StockReceipt, by: int) -> Done:
    async def work() -> None:
        await inventory.receive_stock(flavor, what.quantity, reason=what.reason, by=by)

    await database.transaction(work)
    rows = await Flavor.select(Flavor.name, Flavor.stock).where(Flavor.id == flavor)
    return f"There are {rows[0]['stock']} of {rows[0]['name']} now.", []


async def _retry(payment: int, what: payments_http.Retry, by: int) -> Done:
    staged = await manual_review.retry_payment(
        payment, reason=what.reason, by=by, reference=what.reference
    )
    return f"The provider is asked once more about payment {payment}.", staged


async def _release(payment: int, what: payments_http.Why, by: int) -> Done:
    staged = await manual_review.release_payment(payment, reason=what.reason, by=by)
    order = (await payments_http.get_payment(payment)).order
    status = await _status(order)
    return f"Payment {payment} counts as declined; order {order} is {status}.", staged


async def _give_back(payment: int, what: payments_http.Why, by: int) -> Done:
    staged = await manual_review.refund_payment(payment, reason=what.reason, by=by)
    view = await payments_http.get_payment(payment)
    amount = money.format_amount(view.moved or 0, view.currency)
    return f"Refund of {amount} started; then order {view.order} is canceled.", staged


async def _book(payment: int, what: payments_http.Why, by: int) -> Done:
    staged = await manual_review.book_refund(payment, reason=what.reason, by=by)
    view = await payments_http.get_payment(payment)
    amount, status = money.format_amount(view.moved or 0, view.currency), await _status(view.order)
    return f"{amount} counts as given back; order {view.order} is {status}.", staged


async def _status(order: int) -> str:
    rows = await Order.select(Order.status).where(Order.id == order)
    return str(rows[0]["status"])


class Form(NamedTuple):
    """A form: its `subject`, the `body` with other fields, and the action with the user's id."""

    group: str
    name: str
    about: str
    subject: type[Struct]
    body: type[Struct]
    do: Callable[[int, Any, int], Awaitable[Done]]


FORMS = (
    Form(
        "Orders",
        "Cancel an order",
        "What was paid is given back, and then the stock.",
        AnOrder,
        Nothing,
        _cancel,
    ),
    Form(
        "Orders",
        "Pay an order again",
        "For an order that failed: its stock is taken again, at the prices it was placed at.",
        AnOrder,
        Nothing,
        _pay,
    ),
    Form(
        "Orders",
        "Refund an order",
        "Gives back an amount, in minor units such as cents, or all that is left. Stock stays.",
        AnOrder,
        actions_http.NewRefund,
        _refund,
    ),
    Form(
        "Catalogue",
        "Receive stock",
        "Adds a delivery to what is left, or with a negative quantity takes a loss.",
        AFlavor,
        flavors.StockReceipt,
        _receive,
    ),
    Form(
        "Parked payments",
        "Retry a parked payment",
        "Looks it up once more, by the provider's own reference if you found one. "
        "Nothing is charged twice.",
        APayment,
        payments_http.Retry,
        _retry,
    ),
    Form(
        "Parked payments",
        "Release a parked payment",
        "For what moved no money: look at the provider's own list first. "
        "The order fails, and may be paid again.",
        APayment,
        payments_http.Why,
        _release,
    ),
    Form(
        "Parked payments",
        "Refund a parked payment",
        "For what was charged, but not as we asked: all of it goes back, "
        "and then the order is canceled.",
        APayment,
        payments_http.Why,
        _give_back,
    ),
    Form(
        "Parked payments",
        "Book a parked refund",
        "For a refund that moved another amount than we asked for: what it moved counts as given "
        "back, and the rest may be refunded.",
        APayment,
        payments_http.Why,
        _book,
    ),
)


def configs(ring: placing.NotifyWorkers) -> list[FormConfig]:
    """Return the forms for Piccolo; `ring` notifies the workers of payments."""
    return [_config(form, ring) for form in FORMS]


def _config(form: Form, ring: placing.NotifyWorkers) -> FormConfig:
    async def endpoint(request: PiccoloRequest, given: BaseModel) -> str:
        try:
            said, staged = await _submit(form, given.model_extra or {}, request.user.user.id)
        except errors.Refusal as refusal:
            # Piccolo's page shows only the messages of this type of error.
            raise ValueError(refusal.detail) from None
        if staged:
            with logs.contained(log, "Ringing for payments of a form"):
                await ring(staged)
        return said

    model = _model(_fields(form.subject) | _fields(form.body))
    return FormConfig(form.name, model, endpoint, description=form.about, form_group=form.group)


async def _submit(form: Form, given: dict[str, Any], by: int) -> Done:
    (name,) = form.subject.__struct_fields__
    # Piccolo also sends fields that were left empty.
    given = {key: value for key, value in given.items() if value not in ("", None)}
    subject = {key: given.pop(key) for key in given.keys() & {name}}
    number = getattr(bodies.converted(subject, form.subject), name)
    try:
        return await form.do(number, bodies.converted(given, form.body), by)
    except errors.NotFound:
        raise errors.NotFound(f"There is no {name} {number}.") from None


class ByAddress(dict[str, FormConfig]):
    """The forms by address, for Piccolo's look-up.

    A number at the end is the subject's id, and is filled into the form: `refund-an-order-7`.
    """

    def get(self, address: str, default: Any = None) -> Any:
        """See dict."""
        name, _, number = address.rpartition("-")
        if name not in self or not FITS.fullmatch(number):
            return super().get(address, default)
        form: Any = copy(self[name])
        properties = form.pydantic_model.model_json_schema()["properties"]
        subject = next(iter(properties))
        about = {subject: properties[subject] | {"default": int(number)}}
        form.pydantic_model = _model(properties | about)
        return form


def _model(properties: dict[str, Any]) -> type[BaseModel]:
    """Return the model of a form's fields; it accepts any value, as the API's rules check them."""
    shown = {"type": "object", "properties": properties}

    class Anything(BaseModel, extra="allow"):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return shown

    return Anything


def _fields(kind: type[Struct]) -> dict[str, Any]:
    (schema,) = msgspec.json.schema_components([kind])[1].values()
    return {
        name: field | {"title": name.capitalize()} for name, field in schema["properties"].items()
    }
