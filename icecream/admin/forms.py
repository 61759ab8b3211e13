"""Forms in the admin for actions; their bodies and rules are those of the API."""

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
from icecream.payments.http import decisions
from icecream.payments.http import payments as payments_http
from icecream.runtime import logs
from icecream.tables import Flavor, Order, Payment

log = logging.getLogger(__name__)
# The message for the user, and the payments that workers must carry out next.
FormResult = tuple[str, list[int]]
SHOWN_REASON = "Reason (the customer sees it)"
# An id that fits into bigint.
ID_PATTERN = re.compile("[0-9]{1,18}")


class OrderSubject(Struct):
    """The order of an action."""

    order: fields.Id


class FlavorSubject(Struct):
    """The flavor of an action."""

    flavor: fields.Id


class PaymentSubject(Struct):
    """The payment of an action."""

    payment: fields.Id


class NoFields(Struct, forbid_unknown_fields=True):
    """A form without further fields."""


async def _cancel(order: int, _: NoFields, by: int) -> FormResult:
    staged = await actions.cancel_order(order, by=by)
    if await _order_status(order) == "canceled":
        return f"Order {order} is canceled.", staged
    return f"Order {order} will be canceled after its payment or refund has ended.", staged


async def _pay(order: int, _: NoFields, by: int) -> FormResult:
    needs_method = settings.load().needs_payment_method
    staged = await actions.pay_order(order, by=by, needs_method=needs_method)
    if await _order_status(order) == "paid":
        return f"Order {order} is already paid.", staged
    return f"The payment of order {order} has started.", staged


async def _refund(order: int, body: actions_http.NewRefund, by: int) -> FormResult:
    staged = await database.transaction(
        lambda: actions.refund_order(order, body.amount, reason=body.reason, by=by)
    )
    rows = await Payment.select(Payment.amount).where(Payment.id.is_in(staged))
    amount = money.format_amount(rows[0]["amount"], settings.load().currency)
    return f"Refund of {amount} started for order {order}.", staged


async def _receive_stock(flavor: int, body: flavors.StockReceipt, by: int) -> FormResult:
    async def work() -> None:
        await inventory.receive_stock(flavor, body.quantity, reason=body.reason, by=by)

    await database.transaction(work)
    rows = await Flavor.select(Flavor.name, Flavor.stock).where(Flavor.id == flavor)
    return f"The stock of {rows[0]['name']} is now {rows[0]['stock']}.", []


async def _retry(payment: int, body: decisions.Retry, by: int) -> FormResult:
    staged = await manual_review.retry_payment(
        payment, reason=body.reason, by=by, reference=body.reference
    )
    return f"Payment {payment} will be looked up at the provider again.", staged


async def _release(payment: int, body: decisions.Why, by: int) -> FormResult:
    staged = await manual_review.release_payment(payment, reason=body.reason, by=by)
    order = (await payments_http.get_payment(payment)).order
    status = await _order_status(order)
    return f"Payment {payment} is declined now; order {order} is {status}.", staged


async def _refund_parked(payment: int, body: decisions.Why, by: int) -> FormResult:
    staged = await manual_review.refund_payment(payment, reason=body.reason, by=by)
    view = await payments_http.get_payment(payment)
    amount = money.format_amount(view.moved or 0, view.currency)
    return f"Refund of {amount} started. Order {view.order} is canceled when it succeeds.", staged


async def _book_refund(payment: int, body: decisions.Why, by: int) -> FormResult:
    staged = await manual_review.book_refund(payment, reason=body.reason, by=by)
    view = await payments_http.get_payment(payment)
    amount, status = (
        money.format_amount(view.moved or 0, view.currency),
        await _order_status(view.order),
    )
    return f"{amount} is booked as refunded; order {view.order} is {status}.", staged


async def _order_status(order: int) -> str:
    rows = await Order.select(Order.status).where(Order.id == order)
    return str(rows[0]["status"])


class AdminForm(NamedTuple):
    """A form: the `subject` it acts on, the `body` with its other fields, and its action."""

    group: str
    name: str
    description: str
    subject: type[Struct]
    body: type[Struct]
    action: Callable[[int, Any, int], Awaitable[FormResult]]


FORMS = (
    AdminForm(
        "Orders",
        "Cancel an order",
        "Refunds the paid amount, and then returns the stock.",
        OrderSubject,
        NoFields,
        _cancel,
    ),
    AdminForm(
        "Orders",
        "Pay an order again",
        "For a failed order. Reserves its stock again, and charges the prices of the order.",
        OrderSubject,
        NoFields,
        _pay,
    ),
    AdminForm(
        "Orders",
        "Refund an order",
        "Refunds an amount in minor units, such as cents, or the whole remainder. "
        "The stock does not change.",
        OrderSubject,
        actions_http.NewRefund,
        _refund,
    ),
    AdminForm(
        "Catalogue",
        "Receive stock",
        "Adds a delivery to the stock; a negative quantity records a loss.",
        FlavorSubject,
        flavors.StockReceipt,
        _receive_stock,
    ),
    AdminForm(
        "Parked payments",
        "Retry a parked payment",
        "Looks the payment up at the provider again, by the provider's own reference if you "
        "enter one. It never charges twice.",
        PaymentSubject,
        decisions.Retry,
        _retry,
    ),
    AdminForm(
        "Parked payments",
        "Release a parked payment",
        "For a payment that moved no money. Check the provider's dashboard first. "
        "The order fails, and may be paid again.",
        PaymentSubject,
        decisions.Why,
        _release,
    ),
    AdminForm(
        "Parked payments",
        "Refund a parked payment",
        "For a charge of another amount than requested. Refunds the whole charge, "
        "and then cancels the order.",
        PaymentSubject,
        decisions.Why,
        _refund_parked,
    ),
    AdminForm(
        "Parked payments",
        "Book a parked refund",
        "For a refund of another amount than requested. Books the moved amount as "
        "refunded; the rest may be refunded later.",
        PaymentSubject,
        decisions.Why,
        _book_refund,
    ),
)


def build_forms(notify: placing.NotifyWorkers) -> list[FormConfig]:
    """Return the forms for Piccolo; `notify` notifies the workers of payments."""
    return [_build_form(form, notify) for form in FORMS]


def _build_form(form: AdminForm, notify: placing.NotifyWorkers) -> FormConfig:
    async def endpoint(request: PiccoloRequest, data: BaseModel) -> str:
        try:
            message, staged = await _submit(form, data.model_extra or {}, request.user.user.id)
        except errors.Refusal as refusal:
            # Piccolo's page shows only the messages of this type of error.
            raise ValueError(refusal.detail) from None
        if staged:
            with logs.log_errors(log, "Notifying workers of a form's payments"):
                await notify(staged)
        return message

    fields_shown = _field_schemas(form.subject) | _field_schemas(form.body)
    if "reason" in fields_shown and form.subject is not FlavorSubject:
        # It becomes a part of the order's history.
        fields_shown["reason"]["title"] = SHOWN_REASON
    model = _build_model(fields_shown)
    return FormConfig(
        form.name, model, endpoint, description=form.description, form_group=form.group
    )


async def _submit(form: AdminForm, values: dict[str, Any], by: int) -> FormResult:
    (name,) = form.subject.__struct_fields__
    # Piccolo also sends empty fields.
    values = {key: value for key, value in values.items() if value not in ("", None)}
    subject = {key: values.pop(key) for key in values.keys() & {name}}
    subject_id = getattr(bodies.convert_body(subject, form.subject), name)
    try:
        return await form.action(subject_id, bodies.convert_body(values, form.body), by)
    except errors.NotFound:
        raise errors.NotFound(f"There is no {name} {subject_id}.") from None


class FormsByAddress(dict[str, FormConfig]):
    """The forms by address, for Piccolo's lookup.

    A number at the end of an address fills the subject's id into the form: `refund-an-order-7`.
    """

    def get(self, address: str, default: Any = None) -> Any:
        """See dict."""
        name, _, number = address.rpartition("-")
        if name not in self or not ID_PATTERN.fullmatch(number):
            return super().get(address, default)
        form: Any = copy(self[name])
        properties = form.pydantic_model.model_json_schema()["properties"]
        subject = next(iter(properties))
        prefilled = {subject: properties[subject] | {"default": int(number)}}
        form.pydantic_model = _build_model(properties | prefilled)
        return form


def _build_model(properties: dict[str, Any]) -> type[BaseModel]:
    """Return the model of a form's fields; it accepts any value, and the API's rules check it."""
    schema = {"type": "object", "properties": properties}

    class Anything(BaseModel, extra="allow"):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return schema

    return Anything


def _field_schemas(kind: type[Struct]) -> dict[str, Any]:
    (schema,) = msgspec.json.schema_components([kind])[1].values()
    return {
        name: field | {"title": name.capitalize()} for name, field in schema["properties"].items()
    }
