"""The form of a flavor: its values as people write them, and back into the fields of the API."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from icecream import conversion, errors, money, settings
from icecream.catalogue import flavors, product_data
from icecream.pages import forms
from icecream.tables import UNITS

# The box for a flavor without allergens. With no box at all, they are not stated.
NO_ALLERGENS = "none"
# Only in the form for a new flavor: later, receipts change the stock.
FIRST_STOCK = "stock"


class Field(NamedTuple):
    """A field of the form: its label, the kind of its input, and a hint."""

    name: str
    label: str
    kind: str
    hint: str = ""


GROUPS = {
    "What it is": (
        Field("name", "Name", "line"),
        Field("sku", "SKU", "line", "Your article number."),
        Field("description", "Description", "text"),
    ),
    "Price and unit": (
        Field("price", "Price", "amount"),
        Field("unit", "Unit", "unit", "What a quantity of 1 is."),
        Field("pack_size", "Pieces in a unit", "number"),
        Field("net_content_ml", "Net content in ml", "number", "Of one unit."),
    ),
    "Ordering": (
        Field("on_sale_from", "On sale from", "date"),
        Field("on_sale_to", "On sale to", "date", "The last day."),
        Field("min_quantity", "Smallest quantity", "number"),
        Field("quantity_multiple", "Only multiples of", "number"),
        Field("low_stock_threshold", "Low stock at", "number", "Or less."),
    ),
    "Allergens": (Field("allergens", "Allergens", "boxes"),),
}
FIELDS = {field.name: field for group in GROUPS.values() for field in group}
LABELS = {name: field.label for name, field in FIELDS.items()} | {
    FIRST_STOCK: "Stock",
    "archived": "Archived",
}
Texts = Mapping[str, Any]


def choices(name: str) -> tuple[str, ...]:
    """Return the words of a field that has a choice."""
    return UNITS if name == "unit" else (*product_data.ALLERGENS, NO_ALLERGENS)


def to_texts(view: flavors.FlavorView) -> dict[str, Any]:
    """Return the values of a flavor as the form shows them."""
    texts: dict[str, Any] = {name: _to_text(getattr(view, name)) for name in FIELDS}
    locale = settings.load().locale
    texts["price"] = money.format_number(view.price, view.currency, locale)
    texts["allergens"] = [NO_ALLERGENS] if view.allergens == [] else view.allergens or []
    return texts


def _to_text(value: object) -> str:
    return "" if value is None else str(value)


def empty_texts() -> dict[str, Any]:
    """Return what the form for a new flavor shows."""
    chosen = settings.load()
    price = money.format_number(chosen.default_price, chosen.currency, chosen.locale)
    return dict.fromkeys([*FIELDS, FIRST_STOCK], "") | {"price": price, "allergens": []}


def read(sent: Texts, *, with_stock: bool = False) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the valid values of a form by name, and the problems with the others.

    Args:
        with_stock: the form has the first stock too.
    """
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name in [*FIELDS, *([FIRST_STOCK] if with_stock else [])]:
        try:
            values[name] = _read_field(name, sent.get(name, ""))
        except errors.ValidationFailed as refusal:
            problems[name] = forms.explain(refusal.detail, LABELS)
        except ValueError as error:
            problems[name] = f"{LABELS[name]} must be {error}."
    return values, problems


def _read_field(name: str, sent: str | list[str]) -> Any:
    """Return the value of a field; an empty one is null where the API has null.

    Raises:
        errors.ValidationFailed: it is not valid.
        ValueError: it is no amount of money.
    """
    if name == "allergens":
        return _read_allergens([sent] if isinstance(sent, str) else sent)
    value: Any = sent
    if isinstance(sent, str):
        value = sent.replace("\r\n", "\n") if name == "description" else sent.strip()
        if not value and name in ("name", "price"):
            raise errors.ValidationFailed(f"/{name}", "missing", f"{name} is required.")
        if name == "price":
            value = money.parse_amount(value, settings.load().currency, settings.load().locale)
        elif not value and name != "description":
            return None
    if name == FIRST_STOCK:
        return getattr(conversion.convert_body({"name": "x", name: value}, flavors.NewFlavor), name)
    return getattr(conversion.convert_body({name: value}, flavors.FlavorEdit), name)


def _read_allergens(boxes: list[str]) -> list[str] | None:
    ticked = [box for box in boxes if box]
    if NO_ALLERGENS not in ticked:
        edit = conversion.convert_body({"allergens": ticked or None}, flavors.FlavorEdit)
        return edit.allergens or None
    if len(ticked) > 1:
        raise errors.ValidationFailed("/allergens", "invalid", "Clear the other boxes, or none.")
    return []


class ShownFlavor(Struct, kw_only=True):
    """What the page of a flavor shows besides the saved flavor; without `texts`, its values."""

    texts: Mapping[str, Any] | None = None
    # By field, also `stock` and the fields of the receipt.
    problems: dict[str, str] = {}
    saved: dict[str, Any] = {}
    alarm: str = ""
    done: str = ""
    receipt: Mapping[str, Any] = {}


def refused(sent: Mapping[str, Any], refusal: errors.Refusal) -> ShownFlavor:
    """Return the form as it was sent, with the message at its field, or above the form."""
    problems = forms.field_problems(refusal, LABELS)
    return ShownFlavor(texts=sent, problems=problems, alarm="" if problems else refusal.detail)


def page_address(flavor: int, done: str) -> str:
    """Return the address of a flavor's page, which says what was `done`."""
    return f"{settings.load().prefix}/staff/flavors/{flavor}/?done={done}"
