"""What a kind of rows is: its columns, how rows are read from the tables, how they are imported."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, Protocol, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict
from piccolo.query import Select

from icecream import constraints, database, fields, settings
from icecream.catalogue import flavors, product_data
from icecream.orders import placing
from icecream.tables import Flavor, User

T = TypeVar("T")
# So few that a million rows take no more memory than a thousand.
ROWS_PER_READ = 500
Record = dict[str, Any]
# The fields with an amount of money. In CSV, each of them has two columns: one in the main unit,
# such as `price_eur`, and one in minor units.
MONEY = frozenset({"price", "unit_price"})
RowKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=rf"^(?!\s){fields.LINE_PATTERN[1:-1]}(?<!\s)$",
        extra={"words": "{} without control characters, and without spaces around it"},
    ),
]


class RowOutcome(Struct, frozen=True):
    """The result for a row: the id of its flavor, account, receipt or order, and a new order."""

    result: Literal["created", "updated", "unchanged", "skipped"]
    id: int | None = None
    placed: placing.PlacedOrder | None = None


class Apply(Protocol):
    """Imports rows, and returns the outcome of each, or why it was refused.

    If it raises a refusal, nothing was imported; for several rows, it is called again with fewer.
    `by` is the user who imports, or None for the command line. A dry run changes nothing.
    """

    async def __call__(
        self, rows: Sequence[Any], by: User | None, *, dry_run: bool
    ) -> Sequence[RowOutcome | Exception]: ...


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of rows.

    Args:
        row: the type of a row; in JSON lines, each line is one.
        columns: the fields that are columns of a CSV file, in their order.
        line_columns: further columns, those of an item of the field `lines`. The items of a row are
            consecutive lines of the CSV file, with the same key.
        required: the columns without which no row can be valid.
        read: returns the next records after an id, each with its id.
        apply: imports rows.
        rows_at_once: the number of rows, or of items of `lines`, to import together.
        unique: the fields whose values no two of these rows have in common.
    """

    name: str
    row: Any
    columns: tuple[str, ...]
    line_columns: tuple[str, ...] = ()
    required: tuple[str, ...]
    read: Callable[[int], Awaitable[list[tuple[int, Record]]]]
    apply: Apply
    rows_at_once: int = 1
    unique: tuple[str, ...] = ()


class _DryRun(Exception):
    """Rolls the transaction of a dry run back."""


async def carry_out(work: Callable[[], Awaitable[T]], *, dry_run: bool) -> T:
    """Do some work in one transaction, which a dry run rolls back."""
    result: list[T] = []

    async def run() -> None:
        result[:] = [await work()]
        if dry_run:
            raise _DryRun

    with suppress(_DryRun):
        await database.transaction(run)
    return result[0]


def given(row: Struct, *left_out: str) -> dict[str, Any]:
    """Return the members that a row has, without those that are left out."""
    values = asdict(row).items()
    return {name: value for name, value in values if value is not UNSET and name not in left_out}


class NamedFlavor(Struct, kw_only=True, forbid_unknown_fields=True):
    """A flavor that its name or its article number names: ids differ between installations."""

    flavor_name: flavors.Name | UnsetType = UNSET
    sku: product_data.Sku | UnsetType = UNSET

    def check(self) -> None:
        """Normalize the name, and require one of the two.

        Raises:
            constraints.InvalidValue: there is none of them, or both.
        """
        if self.flavor_name is not UNSET:
            if self.sku is not UNSET:
                raise constraints.InvalidValue("sku", "cannot be combined with flavor_name")
            self.flavor_name = flavors.normalize_name(self.flavor_name, "flavor_name")
        elif self.sku is UNSET:
            raise constraints.InvalidValue("flavor_name", "is required, or sku instead")


def select_page(query: Select[Any], after: int) -> Select[Any]:
    """Return the query for the next rows of an export, whose ids are larger than `after`."""
    id_ = query.table._meta.primary_key
    return query.where(id_ > after).order_by(id_).limit(ROWS_PER_READ)


class FlavorIds(Struct, frozen=True):
    """The ids of flavors by their names, and by their article numbers."""

    names: dict[str, int]
    skus: dict[str, int]

    def find(self, named: NamedFlavor, pointer: str = "") -> tuple[str, int]:
        """Return the member that names the flavor, and the flavor's id.

        Raises:
            errors.ValidationFailed: there is no such flavor.
        """
        if named.sku is not UNSET:
            member, text, found = "sku", f"the article number {named.sku}", self.skus
        else:
            member, text, found = "flavor_name", f"the name {named.flavor_name}", self.names
        value = getattr(named, member)
        if value not in found:
            raise flavors.unknown_flavor(f"{pointer}/{member}", text)
        return member, found[value]


async def find_flavors(named: Iterable[NamedFlavor]) -> FlavorIds:
    """Return the ids of these flavors, as far as they exist, sold or not."""
    named = list(named)
    names = {one.flavor_name for one in named if one.flavor_name is not UNSET}
    skus = {one.sku for one in named if one.sku is not UNSET}
    rows = (
        await Flavor.select(Flavor.id, Flavor.name).where(
            database.is_any(Flavor.name, sorted(names))
        )
        if names
        else []
    )
    return FlavorIds(
        {row["name"]: row["id"] for row in rows}, await flavors.find_by_sku(skus) if skus else {}
    )


def require_currency(currency: str | UnsetType) -> None:
    """Refuse an amount in another currency than that of this installation.

    Raises:
        constraints.InvalidValue: it is another one.
    """
    own = settings.load().currency
    if currency not in (UNSET, own):
        raise constraints.InvalidValue("currency", f"must be {own}")
