"""The stock of each flavor: reserved, released, received."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime

from msgspec import Struct, convert
from piccolo.query.functions import Sum

from icecream import database, errors, states
from icecream.catalogue.order_lines import Line
from icecream.tables import MAX_STOCK, CurrentFlavorTotal, Flavor, OrderLine, StockMove

_MOVE_STOCK = database.increment_values(Flavor.stock)


class StockRow(Struct):
    """The price of a flavor, its stock, or None if it is not counted, and its rules for orders."""

    id: int
    price: int
    stock: int | None
    on_sale_from: date | None = None
    on_sale_to: date | None = None
    min_quantity: int | None = None
    quantity_multiple: int | None = None

    def require_allowed(self, quantity: int, day: date) -> None:
        """Refuse a quantity, or an order on this day, that the flavor does not allow.

        Raises:
            LineRefused: it is not on sale on this day, or not in this quantity.
        """
        if not is_in_season(day, self.on_sale_from, self.on_sale_to):
            season = f"from {self.on_sale_from}" if self.on_sale_from else ""
            if self.on_sale_to:
                season += f" until {self.on_sale_to}"
            raise LineRefused(
                self.id, "flavor", "not-on-sale", f"Flavor {self.id} is on sale {season.strip()}."
            )
        least, multiple = self.min_quantity or 1, self.quantity_multiple or 1
        if quantity < least or quantity % multiple:
            allowed = f"at least {least}" if least > 1 else ""
            if multiple > 1:
                allowed += f"{' and ' if allowed else ''}a multiple of {multiple}"
            detail = f"The quantity of flavor {self.id} must be {allowed}."
            raise LineRefused(self.id, "quantity", "quantity-not-allowed", detail)


def is_in_season(day: date, first: date | None, last: date | None) -> bool:
    """Return whether a day is in a season; a missing end is open."""
    return (first is None or first <= day) and (last is None or day <= last)


_STOCK_COLUMNS = database.columns_of(Flavor, StockRow)
_ON_SALE = "NOT archived"
_READ_STOCK = database.select_by(Flavor.id, _STOCK_COLUMNS, where=_ON_SALE)
# The price and the rules of a flavor, which must still be what they were when they were read.
_RULES = [name for name in StockRow.__struct_fields__ if name not in ("id", "stock")]
_KNOWN = {f"known_{name}": Flavor._meta.get_column_by_name(name) for name in _RULES}
_IS_POSTGRES = isinstance(database.DB, database.Postgres)
_EQUALS = "IS NOT DISTINCT FROM" if _IS_POSTGRES else "IS"
_IS_UNCHANGED = " AND ".join([_ON_SALE, *(f"{name} {_EQUALS} {{known_{name}}}" for name in _RULES)])
_RESERVE_STOCK = database.update_rows(
    {"reserved": Flavor.stock} | _KNOWN,
    {Flavor.stock: "stock - {reserved}"},
    where=f"stock >= {{reserved}} AND {_IS_UNCHANGED}",
    returning=("id",),
    complete=True,
)
# Only `for_update` excludes this lock.
_SHARE_STOCK = database.lock_matching(
    Flavor.id, _KNOWN, where=f"stock IS NULL AND {_IS_UNCHANGED}", lock="KEY SHARE"
)
# Also of flavors that are no longer sold.
_LOCK_ANY_STOCK = database.select_by(Flavor.id, (Flavor.id, Flavor.stock), lock="NO KEY UPDATE")
_STOCK_OF_ORDERS, _LOCK_STOCK_OF_ORDERS = (
    database.select_by(
        Flavor.id, (Flavor.id, Flavor.stock), lock=lock, within=(OrderLine.order, OrderLine.flavor)
    )
    for lock in ("", "NO KEY UPDATE")
)
_SHARE_UNCOUNTED = database.lock_matching(Flavor.id, where="stock IS NULL", lock="KEY SHARE")

# What this process read last, by the flavor's id.
_last_read: dict[int, StockRow] = {}


class LineRefused(Exception):
    """A flavor cannot be ordered, or not in this quantity; `member` is the faulty one of a line."""

    def __init__(self, flavor: int, member: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.flavor, self.member, self.code = flavor, member, code


class UnknownFlavor(LineRefused):
    """There is no such flavor, or it is no longer sold."""

    def __init__(self, flavor: int) -> None:
        super().__init__(flavor, "flavor", "unknown-flavor", f"There is no flavor {flavor}.")


class StockReservation:
    """The prices and the stock of some flavors, from which orders reserve their quantities."""

    def __init__(self, flavors: dict[int, StockRow]) -> None:
        self._flavors = flavors
        self._reserved: Counter[int] = Counter()

    def require_allowed(self, quantities: dict[int, int], day: date) -> None:
        """Refuse quantities, or an order on this day, that a flavor does not allow.

        Raises:
            UnknownFlavor: a flavor does not exist, or is no longer sold.
            LineRefused: a flavor is not on sale on this day, or not in this quantity.
        """
        for flavor, quantity in quantities.items():
            self._find(flavor).require_allowed(quantity, day)

    def _find(self, flavor: int) -> StockRow:
        if flavor not in self._flavors:
            raise UnknownFlavor(flavor)
        return self._flavors[flavor]

    def reserve(self, quantities: dict[int, int]) -> list[Line]:
        """Reserve these quantities, by flavor id, at the prices that were read.

        Raises:
            UnknownFlavor: a flavor does not exist, or is no longer sold.
            errors.InsufficientStock: there is less left than ordered; nothing was reserved.
        """
        lines = [Line(flavor, n, self._find(flavor).price) for flavor, n in quantities.items()]
        if missing := [
            {"flavor": flavor, "quantity": quantities[flavor], "available": left}
            for flavor in sorted(quantities)
            if (stock := self._flavors[flavor].stock) is not None
            and (left := stock - self._reserved[flavor]) < quantities[flavor]
        ]:
            first = missing[0]
            raise errors.InsufficientStock(
                f"Only {first['available']} left of flavor {first['flavor']}.", lines=missing
            )
        for flavor, quantity in quantities.items():
            self._reserved[flavor] += quantity
        return lines

    def statements(self) -> list[database.BoundStatement]:
        """Return the statements that write the reserved quantities, for `write_together`.

        They also check that the flavors have not changed since they were read. Those without
        counted stock get only a shared lock, which prevents the start of counting. So orders for
        them do not wait for each other.
        """
        counted, others = list[tuple[object, ...]](), list[tuple[object, ...]]()
        for flavor, quantity in sorted(self._reserved.items()):
            row = self._flavors[flavor]
            known = [getattr(row, name) for name in _RULES]
            if row.stock is not None:
                counted.append((flavor, quantity, *known))
            elif _IS_POSTGRES:  # On SQLite, this transaction holds the database.
                others.append((flavor, *known))
        return [(_RESERVE_STOCK, counted), (_SHARE_STOCK, others)]


def stock_query(flavors: Collection[int]) -> database.BoundStatement:
    """Return the query for the prices and the stock of flavors, to run it together with others."""
    return _READ_STOCK, [(flavor,) for flavor in sorted(flavors)]


def to_reservation(flavors: Collection[int], rows: database.ResultRows) -> StockReservation:
    """Return the reservation for the result of `stock_query`, and remember what was read."""
    found = {row.id: row for row in convert(rows, list[StockRow])}
    for flavor in flavors:
        _last_read.pop(flavor, None)
    _last_read.update(found)
    return StockReservation(found)


def known_reservation(flavors: Collection[int]) -> StockReservation | None:
    """Return a reservation with what this process read last, which may have changed since then.

    None means that it has not read all of these flavors, or that one of them was not on sale.
    """
    if not _last_read.keys() >= set(flavors):
        return None
    return StockReservation({flavor: _last_read[flavor] for flavor in flavors})


async def read_stock(flavors: Collection[int]) -> StockReservation:
    """Read the prices and the stock of flavors, without a lock."""
    statement, rows = stock_query(flavors)
    return to_reservation(flavors, await statement(rows))


async def receive_stock(
    flavor: int, quantity: int, *, reason: str, by: int | None, at: datetime | None = None
) -> int | None:
    """Add a receipt to a flavor's stock; a negative quantity removes a loss from it.

    If the stock was not counted, counting starts now, from 0. `at` is the time of the receipt, if
    not now.

    Returns:
        The id of the receipt; None if the quantity is 0.

    Raises:
        errors.NotFound: there is no such flavor.
        errors.InsufficientStock: the loss is larger than the stock.
        errors.ValidationFailed: the stock would exceed the maximum.
    """
    # Lock the row exclusively: when counting starts, no other transaction may use this flavor.
    rows = await database.for_update(Flavor.select(Flavor.stock).where(Flavor.id == flavor))
    if not rows:
        raise errors.NotFound
    moves, left = [(reason, quantity)], rows[0]["stock"]
    if left is None:
        left, moves = 0, [("while it was not counted", await _uncounted_quantity(flavor)), *moves]
    if left + quantity < 0:
        missing = {"flavor": flavor, "quantity": -quantity, "available": left}
        raise errors.InsufficientStock(f"Only {left} left of flavor {flavor}.", lines=[missing])
    if left + quantity > MAX_STOCK:
        detail = f"With the current stock of {left}, the total would exceed {MAX_STOCK}."
        raise errors.ValidationFailed("/quantity", "invalid", detail)
    at = at or datetime.now(UTC)
    await Flavor.update({Flavor.stock: left + quantity}).where(Flavor.id == flavor)
    received = [
        StockMove(flavor=flavor, quantity=n, why=text, by=by, at=at) for text, n in moves if n
    ]
    if not received:
        return None
    last: int = (await StockMove.insert(*received))[-1]["id"]
    return last if quantity else None


async def put_back(
    quantities: Mapping[int, int], *, reason: str, by: int, at: datetime | None = None
) -> None:
    """Put goods that were sold back into the stock, as receipts, where stock is counted.

    `at` is the time of the receipts, if not now.

    Raises:
        errors.ValidationFailed: the stock of a flavor would exceed the maximum.
    """
    # Counting cannot start while this is locked.
    rows = await _LOCK_ANY_STOCK([(flavor,) for flavor in sorted(quantities)])
    counted = {row["id"]: row["stock"] for row in rows if row["stock"] is not None}
    if any(stock + quantities[flavor] > MAX_STOCK for flavor, stock in counted.items()):
        raise errors.ValidationFailed("/restock", "invalid", f"Stock is at most {MAX_STOCK}.")
    if not counted:
        return
    await _MOVE_STOCK([(flavor, quantities[flavor]) for flavor in sorted(counted)])
    at = at or datetime.now(UTC)
    await StockMove.insert(
        *(
            StockMove(flavor=flavor, quantity=quantities[flavor], why=reason, by=by, at=at)
            for flavor in sorted(counted)
        )
    )


async def _uncounted_quantity(flavor: int) -> int:
    """Return the quantity in live orders minus the quantity received so far."""
    total = CurrentFlavorTotal
    sold = await total.select(Sum(total.quantity)).where(
        total.flavor == flavor, total.status.is_in(list(states.LIVE_STATUSES))
    )
    received = await StockMove.select(Sum(StockMove.quantity)).where(StockMove.flavor == flavor)
    # The sum of no rows is null, and PostgreSQL's sum of bigint is numeric.
    return int(sold[0]["sum"] or 0) - int(received[0]["sum"] or 0)


def stock_of_orders(orders: Collection[int], *, lock: bool) -> database.BoundStatement:
    """Return the query for the stock of all flavors of these orders, to release it."""
    statement = _LOCK_STOCK_OF_ORDERS if lock else _STOCK_OF_ORDERS
    return statement, [(order,) for order in sorted(orders)]


def release_statements(
    lines: Iterable[Line], stock: database.ResultRows
) -> list[database.BoundStatement]:
    """Return the statements that return reserved quantities, where stock is counted.

    For `write_together`, they also check that it is still counted, or not. Otherwise the
    transaction must hold the stock, also where it is not counted: counting may start.

    Args:
        stock: the result of `stock_of_orders`.
    """
    released: Counter[int] = Counter()
    for line in lines:
        released[line.flavor] += line.quantity
    counted = {row["id"] for row in stock if row["stock"] is not None}
    others = [(flavor,) for flavor in sorted(released.keys() - counted)]
    return [
        (_MOVE_STOCK, [(flavor, n) for flavor, n in sorted(released.items()) if flavor in counted]),
        # On SQLite, this transaction holds the database.
        (_SHARE_UNCOUNTED, others if _IS_POSTGRES else []),
    ]
