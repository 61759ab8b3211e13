"""Orders: each row is placed as a new order of its customer, once for its key."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from piccolo.query import Select

from icecream import constraints, database, errors, fields, states
from icecream.accounts import users
from icecream.bulk import keys, kinds
from icecream.bulk.stock import require_past
from icecream.catalogue import inventory, product_data
from icecream.orders import ordered_lines, placing
from icecream.orders.details import AddedDetails
from icecream.tables import Flavor, Order, OrderLine, User

_LINE_COLUMNS = ("sku", "flavor_name", "quantity", "unit_price")
# An order with another status was not delivered, or its money was paid back. Without a status, an
# order is a new one.
PLACED_STATUSES = ("pending", "paid", None)
_DETAILS = ("reference", "note", "delivery_date")


class ImportedLine(kinds.NamedFlavor, kw_only=True):
    """A quantity of one flavor. Its `unit_price` is only exported: an order has today's prices."""

    quantity: product_data.OrderQuantity
    unit_price: int | None = None

    def __post_init__(self) -> None:
        self.check()


class ImportedOrder(AddedDetails, kw_only=True, forbid_unknown_fields=True):
    """An order of a customer under a key; without a time it is placed now.

    An order with a `status` that is none of PLACED_STATUSES is skipped.
    """

    key: kinds.RowKey
    customer: users.Username
    lines: Annotated[list[ImportedLine], Meta(min_length=1, max_length=ordered_lines.MAX_LINES)]
    placed_at: fields.Timestamp | UnsetType = UNSET
    status: fields.OrderStatus | None = None

    def __post_init__(self) -> None:
        self.strip()
        if self.status is not None and self.status not in states.ORDER:
            raise constraints.InvalidValue(
                "status", f"must be {constraints.describe_choice(states.ORDER)}"
            )


class _Customer(Struct, frozen=True):
    id: int
    username: str
    active: bool
    payment_method: str | None


class _StoredOrder(Struct, frozen=True):
    """An order with its lines: ids of flavors, quantities and prices."""

    id: int
    customer: str
    status: str
    placed_at: datetime
    details: dict[str, object]
    lines: list[tuple[int, int, int]]

    def is_same(self, row: ImportedOrder, quantities: dict[int, int]) -> bool:
        """Return whether a row asks for this order."""
        stored = Counter[int]()
        for flavor, quantity, _ in self.lines:
            stored[flavor] += quantity
        asked = {name: getattr(row, name) for name in _DETAILS}
        return (self.customer, self.details, dict(stored)) == (row.customer, asked, quantities)


async def _apply(
    rows: Sequence[ImportedOrder], by: User | None, *, dry_run: bool
) -> Sequence[kinds.RowOutcome | Exception]:
    by_id = by.id if by else None
    return await kinds.carry_out(lambda: _place(rows, by_id), dry_run=dry_run)


async def _place(
    rows: Sequence[ImportedOrder], by: int | None
) -> list[kinds.RowOutcome | Exception]:
    """Place the orders whose keys are not known yet, all together."""
    found = await kinds.find_flavors(line for row in rows for line in row.lines)
    customers = await _find_customers({row.customer for row in rows})
    known = await keys.find_rows("order", [row.key for row in rows])
    stored = {one.id: one for one in await _read_by_ids(list(known.values()))}
    outcomes: dict[int, kinds.RowOutcome | Exception] = {}
    new: dict[int, tuple[ordered_lines.OrderedLines, placing.OrderRequest]] = {}
    for n, row in enumerate(rows):
        try:
            lines = _find_lines(row, found)
            if row.key in known:
                outcomes[n] = _replay(row, stored[known[row.key]], lines.quantities)
            elif row.status not in PLACED_STATUSES:
                outcomes[n] = kinds.RowOutcome("skipped")
            else:
                new[n] = lines, _to_request(row, customers, lines.quantities, by)
        except errors.Refusal as refusal:
            outcomes[n] = refusal
    placed = await placing.place_orders([request for _, request in new.values()]) if new else []
    ids: dict[str, int] = {}
    for (n, (lines, _)), result in zip(new.items(), placed, strict=True):
        if isinstance(result, placing.PlacedOrder):
            outcomes[n] = kinds.RowOutcome("created", result.order, result)
            ids[rows[n].key] = result.order
        else:
            outcomes[n] = (
                lines.explain(result) if isinstance(result, inventory.LineRefused) else result
            )
    await keys.store("order", ids)
    return [outcomes[n] for n in range(len(rows))]


def _find_lines(row: ImportedOrder, found: kinds.FlavorIds) -> ordered_lines.OrderedLines:
    lines = []
    for n, line in enumerate(row.lines):
        pointer = f"/lines/{n}"
        lines.append((pointer, *found.find(line, pointer), line.quantity))
    return ordered_lines.OrderedLines(lines)


def _replay(
    row: ImportedOrder, stored: _StoredOrder, quantities: dict[int, int]
) -> kinds.RowOutcome:
    if not stored.is_same(row, quantities):
        detail = f"There is another order with the key {row.key}."
        raise errors.ValidationFailed("/key", "key-reused", detail)
    return kinds.RowOutcome("unchanged", stored.id)


def _to_request(
    row: ImportedOrder, customers: dict[str, _Customer], quantities: dict[int, int], by: int | None
) -> placing.OrderRequest:
    # A stored order may be a little ahead of this machine's clock.
    require_past("placed_at", row.placed_at)
    customer = customers.get(row.customer)
    if customer is None or not customer.active:
        detail = f"There is no active account {row.customer}."
        raise errors.ValidationFailed("/customer", "unknown-customer", detail)
    at = None if row.placed_at is UNSET else row.placed_at.astimezone(UTC)
    method = customer.payment_method
    return placing.OrderRequest(
        customer.id, quantities, method=method, details=row.details, at=at, imported=True, by=by
    )


async def _find_customers(names: set[str]) -> dict[str, _Customer]:
    columns = database.columns_of(User, _Customer)
    rows = await User.select(*columns).where(database.is_any(User.username, sorted(names)))
    return {row["username"]: _Customer(**row) for row in rows}


async def _read_orders(query: Select[Order]) -> list[_StoredOrder]:
    rows = await database.select_with_children(
        query,
        OrderLine.order,
        (OrderLine.flavor, OrderLine.quantity, OrderLine.unit_price),
        order_by=[(Order.id, True)],
    )
    found = []
    for (id_, customer, status, at, *details), lines in groupby(rows, key=itemgetter(slice(-3))):
        named = dict(zip(_DETAILS, details, strict=True))
        quantities = [row[-3:] for row in lines]
        found.append(_StoredOrder(id_, customer, status, at, named, quantities))
    return found


def _select() -> Select[Order]:
    return Order.select(
        *(Order.id, Order.user.username.as_alias("customer"), Order.status, Order.created_at),
        *(Order.reference, Order.note, Order.delivery_date),
    )


async def _read_by_ids(ids: list[int]) -> list[_StoredOrder]:
    if not ids:
        return []
    return await _read_orders(_select().where(database.is_any(Order.id, sorted(ids))))


async def _read(after: int) -> list[tuple[int, kinds.Record]]:
    orders = await _read_orders(kinds.select_page(_select(), after))
    names = await _flavor_names({line[0] for order in orders for line in order.lines})
    found = await keys.find_keys("order", {order.id: order.placed_at for order in orders})
    return [
        (
            order.id,
            {
                "key": found[order.id],
                "customer": order.customer,
                "placed_at": order.placed_at,
                "status": order.status,
                **order.details,
                "lines": [
                    {"flavor_name": names[flavor], "quantity": quantity, "unit_price": price}
                    for flavor, quantity, price in order.lines
                ],
            },
        )
        for order in orders
    ]


async def _flavor_names(ids: Collection[int]) -> dict[int, str]:
    if not ids:
        return {}
    rows = await Flavor.select(Flavor.id, Flavor.name).where(
        database.is_any(Flavor.id, sorted(ids))
    )
    return {row["id"]: row["name"] for row in rows}


ORDERS = kinds.Kind(
    name="orders",
    row=ImportedOrder,
    columns=("key", "customer", "placed_at", "status", *_DETAILS),
    line_columns=_LINE_COLUMNS,
    required=("key", "customer", "quantity"),
    read=_read,
    apply=_apply,
    rows_at_once=placing.MAX_LINES_PER_BATCH,
    unique=("key",),
)
