"""Flavors with their product data, and prices alone: a row states the values of a flavor."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import UNSET, UnsetType

from icecream import fields, settings
from icecream.bulk import kinds
from icecream.catalogue import flavors, product_data
from icecream.tables import Flavor, User

_FIELDS = ("name", "sku", "description", "price", "archived")
_PRODUCT_DATA = tuple(
    name for name in product_data.ProductData.__struct_fields__ if name not in _FIELDS
)


class ImportedFlavor(product_data.ProductData, kw_only=True, forbid_unknown_fields=True):
    """A flavor: its article number finds an existing one, else its name.

    Members that are absent stay as they are. The stock is no part of it: it comes with receipts.
    """

    name: flavors.Name
    description: flavors.Description | UnsetType = UNSET
    price: flavors.Price | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    currency: fields.Currency | UnsetType = UNSET

    def __post_init__(self) -> None:
        self.check()
        self.name = flavors.normalize_name(self.name)
        _check_price(self.price, self.currency)


class ImportedPrice(kinds.NamedFlavor, kw_only=True):
    """The price of an existing flavor."""

    price: flavors.Price
    currency: fields.Currency | UnsetType = UNSET

    def __post_init__(self) -> None:
        self.check()
        _check_price(self.price, self.currency)


def _check_price(price: int | UnsetType, currency: str | UnsetType) -> None:
    kinds.require_currency(currency)
    if price is not UNSET:
        fields.require_chargeable("price", price)


async def _find(row: ImportedFlavor) -> int | None:
    """Return the id of the flavor that the row is about."""
    columns = {Flavor.sku: row.sku, Flavor.name: row.name}
    for column, value in columns.items():
        if isinstance(value, str):
            found = await Flavor.select(Flavor.id).where(column == value).first()
            if found is not None:
                id_: int = found["id"]
                return id_
    return None


async def _edit(flavor: int, values: dict[str, Any], by: User | None) -> kinds.RowOutcome:
    versions: list[int] = []
    edit = flavors.FlavorEdit(**values)
    _, version = await flavors.edit_flavor(
        flavor, edit, by=by.id if by else None, check=versions.append
    )
    return kinds.RowOutcome("unchanged" if version == versions[-1] else "updated", flavor)


async def _apply_flavor(
    rows: Sequence[ImportedFlavor], by: User | None, *, dry_run: bool
) -> Sequence[kinds.RowOutcome]:
    (row,) = rows
    values = kinds.given(row, "currency")

    async def work() -> kinds.RowOutcome:
        if (found := await _find(row)) is not None:
            return await _edit(found, values, by)
        archived = values.pop("archived", False)
        new = await flavors.add_flavor(flavors.NewFlavor(**values), by=by.id if by else None)
        if archived:
            await _edit(new.id, {"archived": True}, by)
        return kinds.RowOutcome("created", new.id)

    return [await kinds.carry_out(work, dry_run=dry_run)]


async def _apply_price(
    rows: Sequence[ImportedPrice], by: User | None, *, dry_run: bool
) -> Sequence[kinds.RowOutcome]:
    (row,) = rows
    _, flavor = (await kinds.find_flavors(rows)).find(row)
    work = partial(_edit, flavor, {"price": row.price}, by)
    return [await kinds.carry_out(work, dry_run=dry_run)]


async def _read_flavors(after: int) -> list[tuple[int, kinds.Record]]:
    names = (*_FIELDS, *_PRODUCT_DATA)
    columns = [Flavor._meta.get_column_by_name(name) for name in names]
    rows = await kinds.select_page(Flavor.select(Flavor.id, *columns), after).output(load_json=True)
    currency = {"currency": settings.load().currency}
    return [(row.pop("id"), row | currency) for row in rows]


async def _read_prices(after: int) -> list[tuple[int, kinds.Record]]:
    return [
        (id_, {"flavor_name": row["name"], "price": row["price"], "currency": row["currency"]})
        for id_, row in await _read_flavors(after)
    ]


FLAVORS = kinds.Kind(
    name="flavors",
    row=ImportedFlavor,
    columns=(*_FIELDS, *_PRODUCT_DATA),
    required=("name",),
    read=_read_flavors,
    apply=_apply_flavor,
)
PRICES = kinds.Kind(
    name="prices",
    row=ImportedPrice,
    columns=("sku", "flavor_name", "price"),
    required=("price",),
    read=_read_prices,
    apply=_apply_price,
)
