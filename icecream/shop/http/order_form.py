"""The order form of a shop: what was typed, and what is wrong with it, in plain words."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field

from icecream import conversion, errors, settings
from icecream.catalogue import flavors, inventory, order_lines
from icecream.catalogue.flavors import FlavorView
from icecream.orders import ordered_lines
from icecream.orders.http import requests
from icecream.pages import forms, once
from icecream.tables import MAX_QUANTITY

# The name of the field for a quantity: this, and the id of the flavor.
QUANTITY_FIELD = re.compile(r"quantity-([1-9][0-9]{0,18})", re.ASCII)
TEXT_FIELDS = {
    "delivery_date": "The delivery date",
    "reference": "Your order number",
    "note": "The note",
}
TOO_MANY_LINES = f"An order can have at most {ordered_lines.MAX_LINES} flavors."
NOTHING_ORDERED = "Type a quantity for at least one flavor."
NOT_A_NUMBER = "Type a whole number, such as 6."
METHOD_REQUIRED = "Your account needs a payment method first."

Catalogue = Mapping[int, FlavorView]


class OrderForm(Struct):
    """What was typed, as text, so that it can be shown again; `errors` are by the field's name.

    `key` makes the form order once, however often it is sent. `total` is what the shop has seen,
    in minor units. The error of the field "" is about the whole form.
    """

    quantities: dict[int, str] = field(default_factory=dict)
    delivery_date: str = ""
    reference: str = ""
    note: str = ""
    key: str = ""
    total: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


class CheckedOrder(Struct):
    """An order that can be placed as it is now; `lines` are at the current prices."""

    new: requests.NewOrder
    lines: list[order_lines.Line]

    @property
    def total(self) -> int:
        """The price of the order, in minor units."""
        return sum(line.total for line in self.lines)


def quantity_field(flavor: int) -> str:
    """Return the name of the field for a flavor's quantity."""
    return f"quantity-{flavor}"


def read_form(fields: Mapping[str, Any]) -> OrderForm:
    """Return what was typed; unknown fields are ignored."""
    key = _text(fields, once.KEY_FIELD) or once.new_key()
    form = OrderForm(key=key, total=_text(fields, "total"))
    for name in TEXT_FIELDS:
        setattr(form, name, _text(fields, name).strip())
    for name in fields:
        if found := QUANTITY_FIELD.fullmatch(name):
            form.quantities[int(found[1])] = _text(fields, name).strip()
    return form


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else ""


async def load_catalogue() -> dict[int, FlavorView]:
    """Return the flavors that are on sale today, by id."""
    return {flavor.id: flavor for flavor in await flavors.list_flavors(on_sale=True)}


def to_new_order(form: OrderForm) -> requests.NewOrder | None:
    """Return the typed order; None if a field is not valid, with the reason in the form."""
    lines = []
    for flavor, typed in form.quantities.items():
        if not typed or not typed.strip("0"):
            continue
        if not re.fullmatch("[0-9]+", typed, re.ASCII):
            form.errors[quantity_field(flavor)] = NOT_A_NUMBER
        elif len(typed) > len(str(MAX_QUANTITY)) or int(typed) > MAX_QUANTITY:
            form.errors[quantity_field(flavor)] = f"At most {MAX_QUANTITY}."
        else:
            lines.append({"flavor": flavor, "quantity": int(typed)})
    if not lines and not form.errors:
        form.errors[""] = NOTHING_ORDERED
    if len(lines) > ordered_lines.MAX_LINES:
        form.errors[""] = TOO_MANY_LINES
        return None
    texts = {name: getattr(form, name) for name in TEXT_FIELDS if getattr(form, name)}
    try:
        new = conversion.convert_body({"lines": lines} | texts, requests.NewOrder)
        new.details.require_possible_date(datetime.now(UTC))
    except errors.ValidationFailed as refusal:
        if lines or not refusal.members["errors"][0]["pointer"].startswith("/lines"):
            add_refusal(form, refusal, {})
        return None
    return None if form.errors else new


async def check(form: OrderForm, catalogue: Catalogue) -> CheckedOrder | None:
    """Return the typed order if it could be placed now; else None, with all reasons in the form."""
    if (new := to_new_order(form)) is None:
        return None
    quantities = (await new.read_lines()).quantities
    stock, today = await inventory.read_stock(quantities), settings.today()
    allowed = {}
    for flavor, quantity in quantities.items():
        try:
            stock.require_allowed({flavor: quantity}, today)
            allowed[flavor] = quantity
        except inventory.LineRefused as refusal:
            add_refusal(form, refusal, catalogue)
    try:
        lines = stock.reserve(allowed)
    except errors.InsufficientStock as refusal:
        add_refusal(form, refusal, catalogue)
        return None
    return CheckedOrder(new, lines) if len(allowed) == len(quantities) else None


def add_refusal(
    form: OrderForm, refusal: inventory.LineRefused | errors.Refusal, catalogue: Catalogue
) -> None:
    """Add the reason of a refusal to the form, at its field."""
    if isinstance(refusal, errors.InsufficientStock):
        for line in refusal.members["lines"]:
            left = line["available"]
            form.errors[quantity_field(line["flavor"])] = (
                f"Only {left} left." if left else ("Sold out.")
            )
    elif isinstance(refusal, inventory.LineRefused):
        _add_line_refusal(form, refusal, catalogue)
    elif isinstance(refusal, errors.PaymentMethodRequired):
        form.errors[""] = METHOD_REQUIRED
    else:
        form.errors |= forms.field_problems(refusal, TEXT_FIELDS) or {"": refusal.detail}


def _add_line_refusal(
    form: OrderForm, refusal: inventory.LineRefused, catalogue: Catalogue
) -> None:
    flavor = catalogue.get(refusal.flavor)
    if flavor is None or refusal.member == "flavor":
        form.quantities.pop(refusal.flavor, None)
        form.notices.append("A flavor that you chose is not on sale any more. It was taken out.")
    else:
        form.errors[quantity_field(flavor.id)] = f"Order {describe_quantities(flavor)}."


def describe_quantities(flavor: FlavorView) -> str:
    """Describe the quantities that can be ordered: at least 12, in multiples of 6."""
    least, multiple = flavor.min_quantity or 1, flavor.quantity_multiple or 1
    parts = [f"at least {least}"] * (least > 1) + [f"in multiples of {multiple}"] * (multiple > 1)
    return ", ".join(parts)


def describe_unit(flavor: FlavorView) -> str:
    """Describe what a quantity of 1 is: case of 6 pieces, 750 ml."""
    content = flavor.net_content_ml
    parts = [f"{flavor.pack_size} pieces"] if (flavor.pack_size or 1) > 1 else []
    if content:
        parts.append(f"{content / 1000:g} l" if content >= 1000 else f"{content} ml")
    return " of ".join(filter(None, (flavor.unit, ", ".join(parts))))


def describe_allergens(flavor: FlavorView) -> str:
    """List the allergens of a flavor; an empty text if staff have not stated them."""
    if flavor.allergens is None:
        return ""
    return ", ".join(one.replace("-", " ") for one in flavor.allergens) or "none"
