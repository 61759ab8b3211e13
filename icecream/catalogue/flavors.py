"""The catalogue: list, add and edit flavors; stock changes by receipts, never by overwriting."""

import unicodedata
from collections.abc import Callable, Collection
from datetime import date
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, replace
from piccolo.query import Select

from icecream import change_history, constraints, database, errors, fields, settings
from icecream.catalogue import inventory, product_data
from icecream.catalogue.product_data import ProductData
from icecream.tables import MAX_PRICE, MAX_STOCK, Flavor, User

Name = Annotated[str, fields.one_line(100, examples=["Choclate"])]
Description = Annotated[
    str,
    Meta(
        max_length=10_000,
        pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]*$",
        extra={"words": "{} without control characters other than tabs and line breaks"},
        title="FlavorDescription",
    ),
]
Price = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_PRICE,
        description="In minor units, such as cents.",
        examples=[250],
        title="Price",
    ),
]
Stock = Annotated[int, Meta(ge=0, le=MAX_STOCK, examples=[40])]
ReceivedQuantity = Annotated[int, Meta(ge=-MAX_STOCK, le=MAX_STOCK, examples=[40])]
ReceiptReason = Annotated[fields.Reason, Meta(examples=["delivery 1207"])]


def normalize_name(name: str, member: str = "name") -> str:
    """Normalize a name as the original API did: names that look the same become the same.

    Raises:
        constraints.InvalidValue: no flavor has such a name; the error is about the `member`.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= 100:
        raise constraints.InvalidValue(member, "must have 1 to 100 characters besides white space")
    if not fields.is_visible(name):
        raise constraints.InvalidValue(member, "must have a visible character")
    return name


class NewFlavor(fields.Body, ProductData, kw_only=True):
    """A flavor to add; only staff may set more than its `name`."""

    name: Name
    description: Description | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    stock: Stock | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        self.check()
        self.name = normalize_name(self.name)
        if self.price is not UNSET:
            fields.require_chargeable("price", self.price)


class FlavorEdit(fields.Body, ProductData, kw_only=True):
    """The fields of a flavor to change; all other fields keep their values.

    An `archived` flavor is not listed and cannot be ordered. `stock` can only become null, which
    stops counting it: orders and receipts change the stock.
    """

    typical: ClassVar = ("price",)
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    stock: UnsetType | None = UNSET

    def __post_init__(self) -> None:
        self.check()
        if self.name is not UNSET:
            self.name = normalize_name(self.name)
        if self.price is not UNSET:
            fields.require_chargeable("price", self.price)


class StockReceipt(fields.Body):
    """A delivery, or a loss with a negative `quantity`, and the reason for it."""

    quantity: ReceivedQuantity
    reason: ReceiptReason

    def __post_init__(self) -> None:
        if not self.quantity:
            raise constraints.InvalidValue("quantity", "must not be 0")
        self.reason = fields.strip_text("reason", self.reason)


class _Flavor(Struct, kw_only=True):
    id: fields.Id
    name: fields.Name
    description: Description
    price: Price
    stock: Stock | None
    archived: bool
    sku: product_data.Sku | None
    unit: product_data.Unit | None
    pack_size: product_data.PackSize | None
    net_content_ml: product_data.NetContent | None
    allergens: product_data.Allergens | None
    on_sale_from: fields.Day | None
    on_sale_to: fields.Day | None
    min_quantity: product_data.OrderQuantity | None
    quantity_multiple: product_data.OrderQuantity | None
    low_stock_threshold: product_data.Threshold | None


class FlavorView(_Flavor, kw_only=True):
    """A flavor; `stock` is the quantity left, or null if it is not counted.

    An `archived` flavor is no longer sold. Product data that staff have not set is null.
    """

    currency: fields.Currency


EXAMPLE = {
    "id": 2,
    "name": "Choclate",
    "description": "Dark, with a little salt.",
    "price": 250,
    "stock": 40,
    "archived": False,
    "sku": "CHO-5L",
    "unit": "tub",
    "pack_size": 1,
    "net_content_ml": 5000,
    "allergens": ["milk"],
    "on_sale_from": "2025-05-01",
    "on_sale_to": "2025-09-30",
    "min_quantity": 6,
    "quantity_multiple": 6,
    "low_stock_threshold": 12,
    "currency": "EUR",
}


class FlavorRow(_Flavor, kw_only=True):
    """A flavor, and its version, which counts the edits."""

    version: int

    def is_on_sale(self, day: date) -> bool:
        """Whether it can be ordered on this day."""
        return not self.archived and inventory.is_in_season(day, self.on_sale_from, self.on_sale_to)

    @property
    def view(self) -> FlavorView:
        """The flavor as clients see it."""
        shown = {name: getattr(self, name) for name in _Flavor.__struct_fields__}
        return FlavorView(**shown, currency=settings.load().currency)


COLUMNS = database.columns_of(Flavor, FlavorRow)


def _select() -> Select[Flavor]:
    return Flavor.select(*COLUMNS)


_select_all = database.freeze(_select().order_by(Flavor.id))


def _to_row(values: dict[str, Any]) -> FlavorRow:
    allergens = values["allergens"]
    decoded = None if allergens is None else msgspec.json.decode(allergens)
    return FlavorRow(**values | {"allergens": decoded})


async def list_rows() -> list[FlavorRow]:
    """Return all flavors, sold or not, oldest first."""
    return [_to_row(row) for row in await _select_all()]


async def list_flavors(*, on_sale: bool) -> list[FlavorView]:
    """Return all flavors that are on sale today, or all others, oldest first."""
    today = settings.today()
    return [row.view for row in await list_rows() if row.is_on_sale(today) == on_sale]


def unknown_flavor(pointer: str, text: str) -> errors.ValidationFailed:
    """Return the error for a flavor that a request names, such as by "the name Mango"."""
    detail = f"There is no flavor with {text}."
    return errors.ValidationFailed(pointer, "unknown-flavor", detail)


async def find_by_sku(skus: Collection[str]) -> dict[str, int]:
    """Return the ids of the flavors with these article numbers."""
    query = Flavor.select(Flavor.id, Flavor.sku).where(Flavor.sku.is_in(list(skus)))
    return {row["sku"]: row["id"] for row in await query}


async def get_flavor(flavor: int) -> tuple[FlavorView, int]:
    """Return a flavor, sold or not, and its version, which counts the edits.

    Raises:
        errors.NotFound: there is no such flavor.
    """
    found = await _select().where(Flavor.id == flavor).first()
    if found is None:
        raise errors.NotFound
    row = _to_row(found)
    return row.view, row.version


def _check_permission(new: NewFlavor, by: User) -> None:
    if by.admin:
        return
    if settings.load().staff_alone_add_flavors:
        raise errors.Forbidden("Only staff may add flavors here.")
    for field in new.__struct_fields__:
        if field != "name" and getattr(new, field) is not UNSET:
            raise errors.Forbidden(f"Only staff may set the {field}.")


def _taken(violation: Exception, values: dict[str, Any]) -> errors.Refusal:
    """Return the error for a name or an article number that another flavor has."""
    if database.violates(violation, "flavor_sku", "flavor.sku"):
        detail = f"Another flavor has the article number {values['sku']}."
        member = {"pointer": "/sku", "code": "taken", "detail": detail}
        return errors.SkuTaken(detail, errors=[member])
    return errors.NameTaken(
        f"There is already a flavor called {values.get('name')}.",
        errors=[{"pointer": "/name", "code": "taken", "detail": "This name is taken."}],
    )


async def create_flavor(new: NewFlavor, *, by: User) -> FlavorView:
    """Add a flavor; its first stock is a receipt, like each later one.

    Raises:
        errors.Forbidden: this user may not add flavors, or may only set the name.
        errors.NameTaken: the name is taken.
        errors.SkuTaken: the article number is taken.
        errors.ValidationFailed: the season ends before it begins.
    """
    _check_permission(new, by)
    return await add_flavor(new, by=by.id)


async def add_flavor(new: NewFlavor, *, by: int | None) -> FlavorView:
    """Add a flavor without a check of the user; `by` is None for the command line.

    Raises:
        errors.NameTaken: the name is taken.
        errors.SkuTaken: the article number is taken.
        errors.ValidationFailed: the season ends before it begins.
    """
    fields_set = {name: value for name, value in asdict(new).items() if value is not UNSET}
    stock = fields_set.pop("stock", None)
    product_data.require_season(fields_set)

    async def insert() -> FlavorView:
        values = {"price": settings.load().default_price} | fields_set
        flavor: int = (await Flavor.insert(Flavor(**values)))[0]["id"]
        await change_history.record_changes("flavor", flavor, {}, values, by=by)
        if stock is not None:
            await inventory.receive_stock(flavor, stock, reason="first stock", by=by)
        return (await get_flavor(flavor))[0]

    try:
        return await database.transaction(insert)
    except database.CONSTRAINT_VIOLATIONS as violation:
        raise _taken(violation, fields_set) from None


async def edit_flavor(
    flavor: int, edited: FlavorEdit, *, by: int | None, check: Callable[[int], None]
) -> tuple[FlavorView, int]:
    """Change a flavor; its version increases if anything changed.

    Args:
        check: called with the version that is to be edited, and may refuse.

    Raises:
        errors.NotFound: there is no such flavor.
        errors.NameTaken: the name is taken.
        errors.SkuTaken: the article number is taken.
        errors.ValidationFailed: the season would end before it begins.
    """
    fields_set = {name: value for name, value in asdict(edited).items() if value is not UNSET}

    async def write() -> tuple[FlavorView, int]:
        # Lock the row exclusively: when counting stops, no other transaction may use this flavor.
        found = await database.for_update(_select().where(Flavor.id == flavor))
        if not found:
            raise errors.NotFound
        row = _to_row(found[0])
        check(row.version)
        changed = {name: value for name, value in fields_set.items() if getattr(row, name) != value}
        if changed:
            product_data.require_season(asdict(row) | changed)
            await change_history.record_changes("flavor", flavor, asdict(row), changed, by=by)
            changed["version"] = row.version + 1
            await Flavor.update(**changed).where(Flavor.id == flavor)
        row = replace(row, **changed)
        return row.view, row.version

    try:
        return await database.transaction(write)
    except database.CONSTRAINT_VIOLATIONS as violation:
        raise _taken(violation, fields_set) from None
