"""Stock: each row is a receipt, which is imported once for its key."""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import UNSET, UnsetType

from icecream import database, errors, fields
from icecream.bulk import keys, kinds
from icecream.catalogue import flavors, inventory
from icecream.tables import StockMove, User

# More receipts in one transaction would keep their flavors locked for longer.
RECEIPTS_AT_ONCE = 50
# An earlier time is a typing error.
FIRST_YEAR = 1970


class ImportedReceipt(kinds.NamedFlavor, kw_only=True):
    """A delivery, or a loss with a negative `quantity`, under a key; its time is now by default."""

    key: kinds.RowKey
    quantity: flavors.ReceivedQuantity
    reason: flavors.ReceiptReason
    received_at: fields.Timestamp | UnsetType = UNSET

    def __post_init__(self) -> None:
        self.check()
        self.reason = flavors.StockReceipt(self.quantity, self.reason).reason


def require_past(field: str, at: datetime | UnsetType) -> None:
    """Refuse a time that has not come yet, or one of very long ago.

    Raises:
        errors.ValidationFailed: it is such a time.
    """
    if at is not UNSET and not (at.year >= FIRST_YEAR and at <= datetime.now(UTC)):
        detail = f"{field} must be a time from {FIRST_YEAR} until now."
        raise errors.ValidationFailed(f"/{field}", "invalid", detail)


async def _apply(
    rows: Sequence[ImportedReceipt], by: User | None, *, dry_run: bool
) -> Sequence[kinds.RowOutcome]:
    return await kinds.carry_out(lambda: _receive(rows, by), dry_run=dry_run)


async def _receive(rows: Sequence[ImportedReceipt], by: User | None) -> list[kinds.RowOutcome]:
    found = await kinds.find_flavors(rows)
    ids = [found.find(row)[1] for row in rows]
    known = await keys.find_rows("stock", [row.key for row in rows])
    stored = await _read_moves(list(known.values()))
    outcomes: dict[int, kinds.RowOutcome] = {}
    # Orders lock flavors in this order too.
    for n in sorted(range(len(rows)), key=lambda n: ids[n]):
        row = rows[n]
        if row.key in known:
            move = known[row.key]
            if stored[move] != (ids[n], row.quantity, row.reason):
                detail = f"There is another receipt with the key {row.key}."
                raise errors.ValidationFailed("/key", "key-reused", detail)
            outcomes[n] = kinds.RowOutcome("unchanged", move)
            continue
        # A stored receipt may be a little ahead of this machine's clock.
        require_past("received_at", row.received_at)
        received = await inventory.receive_stock(
            ids[n],
            row.quantity,
            reason=row.reason,
            by=by.id if by else None,
            at=None if row.received_at is UNSET else row.received_at,
        )
        outcomes[n] = kinds.RowOutcome("created", received)
    new = {rows[n].key: one.id for n, one in outcomes.items() if one.result == "created" and one.id}
    await keys.store("stock", new)
    return [outcomes[n] for n in range(len(rows))]


async def _read_moves(ids: list[int]) -> dict[int, tuple[int, int, str]]:
    rows = (
        await StockMove.select(
            StockMove.id, StockMove.flavor, StockMove.quantity, StockMove.why
        ).where(database.is_any(StockMove.id, sorted(ids)))
        if ids
        else []
    )
    return {row["id"]: (row["flavor"], row["quantity"], row["why"]) for row in rows}


async def _read(after: int) -> list[tuple[int, kinds.Record]]:
    """Read the receipts of all flavors with counted stock."""
    names = {
        StockMove.flavor.name: "flavor_name",
        StockMove.quantity: "quantity",
        StockMove.why: "reason",
        StockMove.at: "received_at",
    }
    columns = [column.as_alias(name) for column, name in names.items()]
    query = StockMove.select(StockMove.id, *columns).where(StockMove.flavor.stock.is_not_null())
    rows = await kinds.select_page(query, after)
    found = await keys.find_keys("stock", {row["id"]: row["received_at"] for row in rows})
    return [(id_, {"key": found[id_]} | row) for row in rows for id_ in [row.pop("id")]]


STOCK = kinds.Kind(
    name="stock",
    row=ImportedReceipt,
    columns=("key", "sku", "flavor_name", "quantity", "reason", "received_at"),
    required=("key", "quantity", "reason"),
    read=_read,
    apply=_apply,
    rows_at_once=RECEIPTS_AT_ONCE,
    unique=("key",),
)
