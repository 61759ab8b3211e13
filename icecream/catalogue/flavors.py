"""The catalogue: list, add and edit flavors; stock changes by receipts, never by overwriting."""

import unicodedata
from collections.abc import Callable
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, replace

from icecream import change_history, constraints, database, errors, fields, settings
from icecream.catalogue import inventory
from icecream.tables import MAX_PRICE, MAX_STOCK, Flavor, User

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=fields.LINE_PATTERN,
        extra=fields.VISIBLE_TEXT_RULE,
        examples=["Choclate"],
    ),
]
Description = Annotated[
    str,
    Meta(
        max_length=10_000,
        pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]*$",
        extra={"words": "{} without control characters other than tabs and line breaks"},
    ),
]
Price = Annotated[
    int,
    Meta(ge=0, le=MAX_PRICE, description="In minor units, such as cents.", examples=[250]),
]
Stock = Annotated[int, Meta(ge=0, le=MAX_STOCK, examples=[40])]


def _normalize_name(name: str) -> str:
    """Normalize a name as the original API did: names that look the same become the same."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= 100:
        raise constraints.InvalidValue("name", "must have 1 to 100 characters besides white space")
    if not fields.is_visible(name):
        raise constraints.InvalidValue("name", "must have a visible character")
    return name


class NewFlavor(fields.Body):
    """A flavor to add; only staff may set more than its `name`."""

    name: Name
    description: Description | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    stock: Stock | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        self.name = _normalize_name(self.name)
        if self.price is not UNSET:
            fields.require_chargeable("price", self.price)


class FlavorEdit(fields.Body):
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
        if self.name is not UNSET:
            self.name = _normalize_name(self.name)
        if self.price is not UNSET:
            fields.require_chargeable("price", self.price)


class StockReceipt(fields.Body):
    """A delivery, or a loss with a negative `quantity`, and the reason for it."""

    quantity: Annotated[int, Meta(ge=-MAX_STOCK, le=MAX_STOCK, examples=[40])]
    reason: Annotated[fields.Reason, Meta(examples=["delivery 1207"])]

    def __post_init__(self) -> None:
        if not self.quantity:
            raise constraints.InvalidValue("quantity", "must not be 0")
        self.reason = fields.strip_text("reason", self.reason)


class FlavorView(Struct):
    """A flavor; `stock` is the quantity left, or null if it is not counted.

    An `archived` flavor is no longer sold.
    """

    id: fields.Id
    name: fields.Name
    description: Description
    price: Price
    currency: fields.Currency
    stock: Stock | None
    archived: bool


EXAMPLE = {
    "id": 2,
    "name": "Choclate",
    "description": "Dark, with a little salt.",
    "price": 250,
    "currency": "EUR",
    "stock": 40,
    "archived": False,
}


class FlavorRow(Struct):
    """A flavor, and its version, which counts the edits."""

    id: int
    name: str
    description: str
    price: int
    stock: int | None
    archived: bool
    version: int

    @property
    def view(self) -> FlavorView:
        """The flavor as clients see it."""
        fields_shown = asdict(self)
        del fields_shown["version"]
        return FlavorView(**fields_shown, currency=settings.load().currency)


COLUMNS = database.columns_of(Flavor, FlavorRow)


async def list_flavors(*, archived: bool) -> list[FlavorView]:
    """Return all flavors on sale, or all archived ones, oldest first."""
    rows = await Flavor.select(*COLUMNS).where(Flavor.archived.eq(archived)).order_by(Flavor.id)
    return [FlavorRow(**row).view for row in rows]


async def get_flavor(flavor: int) -> tuple[FlavorView, int]:
    """Return a flavor, sold or not, and its version, which counts the edits.

    Raises:
        errors.NotFound: there is no such flavor.
    """
    found = await Flavor.select(*COLUMNS).where(Flavor.id == flavor).first()
    if found is None:
        raise errors.NotFound
    row = FlavorRow(**found)
    return row.view, row.version


def _check_permission(new: NewFlavor, by: User) -> None:
    if by.admin:
        return
    if settings.load().staff_alone_add_flavors:
        raise errors.Forbidden("Only staff may add flavors here.")
    for field in ("description", "price", "stock"):
        if getattr(new, field) is not UNSET:
            raise errors.Forbidden(f"Only staff may set the {field}.")


def _name_taken(name: object) -> errors.NameTaken:
    return errors.NameTaken(
        f"There is already a flavor called {name}.",
        errors=[{"pointer": "/name", "code": "taken", "detail": "This name is taken."}],
    )


async def create_flavor(new: NewFlavor, *, by: User) -> FlavorView:
    """Add a flavor; its first stock is a receipt, like each later one.

    Raises:
        errors.Forbidden: this user may not add flavors, or may only set the name.
        errors.NameTaken: the name is taken.
    """
    _check_permission(new, by)
    fields_set = {name: value for name, value in asdict(new).items() if value is not UNSET}
    stock = fields_set.pop("stock", None)

    async def insert() -> FlavorView:
        values = {"price": settings.load().default_price} | fields_set
        flavor: int = (await Flavor.insert(Flavor(**values)))[0]["id"]
        await change_history.record_changes("flavor", flavor, {}, values, by=by.id)
        if stock is not None:
            await inventory.receive_stock(flavor, stock, reason="first stock", by=by.id)
        return (await get_flavor(flavor))[0]

    try:
        return await database.transaction(insert)
    except database.CONSTRAINT_VIOLATIONS:
        raise _name_taken(new.name) from None


async def edit_flavor(
    flavor: int, edited: FlavorEdit, *, by: int, check: Callable[[int], None]
) -> tuple[FlavorView, int]:
    """Change a flavor; its version increases if anything changed.

    Args:
        check: called with the version that is to be edited, and may refuse.

    Raises:
        errors.NotFound: there is no such flavor.
        errors.NameTaken: the name is taken.
    """
    fields_set = {name: value for name, value in asdict(edited).items() if value is not UNSET}

    async def write() -> tuple[FlavorView, int]:
        # Lock the row exclusively: when counting stops, no other transaction may use this flavor.
        found = await database.for_update(Flavor.select(*COLUMNS).where(Flavor.id == flavor))
        if not found:
            raise errors.NotFound
        row = FlavorRow(**found[0])
        check(row.version)
        changed = {name: value for name, value in fields_set.items() if getattr(row, name) != value}
        if changed:
            await change_history.record_changes("flavor", flavor, asdict(row), changed, by=by)
            changed["version"] = row.version + 1
            await Flavor.update(**changed).where(Flavor.id == flavor)
        row = replace(row, **changed)
        return row.view, row.version

    try:
        return await database.transaction(write)
    except database.CONSTRAINT_VIOLATIONS:
        raise _name_taken(edited.name) from None
