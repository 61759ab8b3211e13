"""Forms in the admin for actions; their bodies and rules are those of the API."""

import re
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from piccolo_admin.endpoints import FormConfig
from pydantic import BaseModel
from starlette.requests import Request as PiccoloRequest

from icecream import conversion, database, errors, fields, settings
from icecream.catalogue import flavors, inventory
from icecream.orders import placing
from icecream.orders.http import form_actions
from icecream.pages import amounts
from icecream.payments import balances
from icecream.payments.http import decisions
from icecream.tables import Flavor, Order

SHOWN_REASON = "Reason (the customer sees it)"
INTERNAL_NOTE = "Internal note (only staff see it)"
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


class AdminForm(NamedTuple):
    """A form: the `subject` it acts on, the `body` with its other fields, and its action."""

    group: str
    name: str
    description: str
    subject: type[Struct]
    body: type[Struct]
    action: Callable[[int, Any, int], Awaitable[form_actions.FormResult]]

    @property
    def address(self) -> str:
        """The name of the form in its address, as Piccolo builds it."""
        return self.name.replace(" ", "-").lower()


async def _receive_stock(
    flavor: int, body: flavors.StockReceipt, by: int
) -> form_actions.FormResult:
    """Add a delivery to the stock."""

    async def work() -> None:
        await inventory.receive_stock(flavor, body.quantity, reason=body.reason, by=by)

    await database.transaction(work)
    rows = await Flavor.select(Flavor.name, Flavor.stock).where(Flavor.id == flavor)
    return f"The stock of {rows[0]['name']} is now {rows[0]['stock']}.", []


FORMS = (
    AdminForm(
        "Orders",
        "Cancel an order",
        "Refunds the paid amount, and then returns the stock.",
        OrderSubject,
        form_actions.OptionalReason,
        form_actions.cancel_order,
    ),
    AdminForm(
        "Orders",
        "Pay an order again",
        "For a failed order. Reserves its stock again, and charges the prices of the order.",
        OrderSubject,
        form_actions.NoFields,
        form_actions.pay_order,
    ),
    AdminForm(
        "Orders",
        "Refund an order",
        "Refunds an amount, or all that is left. The stock does not change.",
        OrderSubject,
        form_actions.RefundFields,
        form_actions.refund_order,
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
        form_actions.retry_payment,
    ),
    AdminForm(
        "Parked payments",
        "Release a parked payment",
        "For a payment that moved no money. Check the provider's dashboard first. "
        "The order fails, and may be paid again.",
        PaymentSubject,
        decisions.Why,
        form_actions.release_payment,
    ),
    AdminForm(
        "Parked payments",
        "Refund a parked payment",
        "For a charge of another amount than requested. Refunds the whole charge, "
        "and then cancels the order.",
        PaymentSubject,
        decisions.Why,
        form_actions.refund_parked,
    ),
    AdminForm(
        "Parked payments",
        "Book a parked refund",
        "For a refund of another amount than requested. Books the moved amount as "
        "refunded; the rest may be refunded later.",
        PaymentSubject,
        decisions.Why,
        form_actions.book_refund,
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
        await notify(staged)
        return message

    fields_shown = _field_schemas(form.subject) | _field_schemas(form.body)
    if "reason" in fields_shown and form.subject is not FlavorSubject:
        # Both become a part of the order's history. Piccolo would show the word NULL in a field
        # that may be empty, with another schema.
        fields_shown["reason"] = {"type": "string", "title": SHOWN_REASON}
        fields_shown["internal_note"] = {"type": "string", "title": INTERNAL_NOTE}
    if "amount" in fields_shown:
        title = f"Amount in {settings.load().currency}; empty for all that is left"
        fields_shown["amount"] = {"type": "string", "title": title}
    model = _build_model(fields_shown)
    return FormConfig(
        form.name, model, endpoint, description=form.description, form_group=form.group
    )


async def _submit(form: AdminForm, values: dict[str, Any], by: int) -> form_actions.FormResult:
    (name,) = form.subject.__struct_fields__
    # Piccolo also sends empty fields.
    values = {key: value for key, value in values.items() if value not in ("", None)}
    subject = {key: values.pop(key) for key in values.keys() & {name}}
    subject_id = getattr(conversion.convert_body(subject, form.subject), name)
    try:
        return await form.action(subject_id, conversion.convert_body(values, form.body), by)
    except errors.NotFound:
        raise errors.NotFound(f"There is no {name} {subject_id}.") from None


async def describe_subject(address: str) -> str:
    """Return what staff have to know about the order of a form such as `refund-an-order-7`."""
    name, _, number = address.rpartition("-")
    for form in FORMS:
        if form.address == name and form.subject is OrderSubject:
            return await _describe_order(int(number))
    return ""


async def _describe_order(order: int) -> str:
    """Return the customer of an order, its total and what can be refunded; empty if none exists."""
    row = await Order.objects(Order.user).where(Order.id == order).first()
    if row is None:
        return ""
    left = (await balances.read_balance(row)).refundable
    return (
        f"Order {order} of {row.user.username} is {row.status}: total {amounts.show(row.total)}, "
        f"refunded {amounts.show(row.refunded)}, left to refund {amounts.show(left)}."
    )


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
