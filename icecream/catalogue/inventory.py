"""The stock of each flavor: reserved, released, received."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from piccolo.query.functions import Sum

from icecream import database, errors, states
from icecream.catalogue.order_lines import Line
from icecream.tables import MAX_STOCK, Flavor, FlavorTotal, OrderLine, StockMove

_MOVE_STOCK = database.increment_values(Flavor.stock)


class StockRow(Struct):
    """The price of a flavor, and its stock, or None if it is not counted."""

    id: int
    price: int
    stock: int | None


_STOCK_COLUMNS = database.columns_of(Flavor, StockRow)
_ON_SALE = "NOT archived"
_READ_STOCK = database.select_by(Flavor.id, _STOCK_COLUMNS, where=_ON_SALE)
_LOCK_STOCK = database.select_by(Flavor.id, _STOCK_COLUMNS, where=_ON_SALE, lock="NO KEY UPDATE")
# Only `for_update` excludes this lock.
_SHARE_STOCK = database.select_by(Flavor.id, _STOCK_COLUMNS, where=_ON_SALE, lock="KEY SHARE")
_LOCK_STOCK_OF_ORDERS = database.select_by(
    Flavor.id, (Flavor.id,), lock="NO KEY UPDATE", within=(OrderLine.order, OrderLine.flavor)
)
# The flavors whose stock was counted when this process last read them. It saves a round trip to
# lock them at once.
_counted: set[int] = set()


class UnknownFlavor(Exception):
    """There is no such flavor, or it is no longer sold."""

    def __init__(self, flavor: int) -> None:
        super().__init__(f"There is no flavor {flavor}.")
        self.flavor = flavor


class StockReservation:
    """The prices and the stock of some flavors, from which orders reserve their quantities."""

    def __init__(self, prices: dict[int, int], stock: dict[int, int]) -> None:
        self._prices, self._stock = prices, stock
        self._reserved: Counter[int] = Counter()

    def reserve(self, quantities: dict[int, int]) -> list[Line]:
        """Reserve these quantities, by flavor id, at the current prices; `save` writes them all.

        Raises:
            UnknownFlavor: a flavor does not exist, or is no longer sold.
            errors.InsufficientStock: there is less left than ordered; nothing was reserved.
        """
        for flavor in quantities:
            if flavor not in self._prices:
                raise UnknownFlavor(flavor)
        if missing := [
            {"flavor": flavor, "quantity": quantity, "available": left}
            for flavor, quantity in sorted(quantities.items())
            if (left := self._left(flavor)) is not None and left < quantity
        ]:
            first = missing[0]
            raise errors.InsufficientStock(
                f"Only {first['available']} left of flavor {first['flavor']}.", lines=missing
            )
        self._reserved.update(
            {flavor: n for flavor, n in quantities.items() if flavor in self._stock}
        )
        return [Line(flavor, n, self._prices[flavor]) for flavor, n in quantities.items()]

    def _left(self, flavor: int) -> int | None:
        return self._stock[flavor] - self._reserved[flavor] if flavor in self._stock else None

    async def save(self) -> None:
        """Write the reserved quantities."""
        await database.run_together(self.update_statement())

    def update_statement(self) -> database.BoundStatement:
        """Return the statement that writes the reserved quantities."""
        return _MOVE_STOCK, [(flavor, -n) for flavor, n in self._reserved.items()]


async def read_stock(flavors: Collection[int]) -> StockReservation:
    """Read these flavors without a lock: the stock may change at any time."""
    found = await _READ_STOCK([(flavor,) for flavor in flavors])
    rows = [StockRow(**row) for row in found]
    return _reservation(rows, rows)


async def lock_stock(flavors: Collection[int]) -> StockReservation:
    """Read these flavors, and lock the counted stock, within a transaction.

    Flavors without counted stock get only a shared lock, which prevents the start of counting. So
    orders for them do not wait for each other.
    """
    return await to_reservation(*await database.read_together(*lock_queries(flavors)))


def lock_queries(flavors: Collection[int]) -> list[database.BoundStatement]:
    """Return the queries of `lock_stock`, to run them together with others."""
    return [
        (_LOCK_STOCK, [(flavor,) for flavor in sorted(_counted.intersection(flavors))]),
        (_SHARE_STOCK, [(flavor,) for flavor in sorted(set(flavors) - _counted)]),
    ]


async def to_reservation(
    locked: list[dict[str, int]], shared: list[dict[str, int]]
) -> StockReservation:
    """Return the reservation for the results of `lock_queries`.

    Raises:
        database.RetryTransaction: a flavor is counted, and its lock would be taken out of order.
    """
    if counted := [row["id"] for row in shared if row["stock"] is not None]:
        _counted.update(counted)
        if locked:
            # Each transaction locks the counted stock in the order of the ids.
            raise database.RetryTransaction
        locked = await _LOCK_STOCK([(flavor,) for flavor in counted])
    _counted.difference_update(row["id"] for row in locked if row["stock"] is None)
    rows = [StockRow(**row) for row in (*shared, *locked)]
    return _reservation(rows, [StockRow(**row) for row in locked])


def _reservation(rows: Iterable[StockRow], counted: Iterable[StockRow]) -> StockReservation:
    return StockReservation(
        prices={row.id: row.price for row in rows},
        stock={row.id: row.stock for row in counted if row.stock is not None},
    )


async def receive_stock(
    flavor: int, quantity: int, *, reason: str, by: int, at: datetime | None = None
) -> None:
    """Add a receipt to a flavor's stock; a negative quantity removes a loss from it.

    If the stock was not counted, counting starts now, from 0. `at` is the time of the receipt, if
    not now.

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
    if received:
        await StockMove.insert(*received)


async def _uncounted_quantity(flavor: int) -> int:
    """Return the quantity in live orders minus the quantity received so far."""
    sold = await FlavorTotal.select(Sum(FlavorTotal.quantity)).where(
        FlavorTotal.flavor == flavor, FlavorTotal.status.is_in(list(states.LIVE_STATUSES))
    )
    received = await StockMove.select(Sum(StockMove.quantity)).where(StockMove.flavor == flavor)
    # The sum of no rows is null, and PostgreSQL's sum of bigint is numeric.
    return int(sold[0]["sum"] or 0) - int(received[0]["sum"] or 0)


def lock_stock_of_orders(orders: Sequence[int]) -> database.BoundStatement:
    """Return the query that locks the stock of all flavors of these orders, to release it."""
    return _LOCK_STOCK_OF_ORDERS, [(order,) for order in sorted(orders)]


def release_update(lines: Iterable[Line]) -> database.BoundStatement:
    """Return the update that returns the reserved quantities of orders, where stock is counted.

    The transaction must hold the stock, also where it is not counted: counting may start.
    """
    released: Counter[int] = Counter()
    for line in lines:
        released[line.flavor] += line.quantity
    # Where the stock is not counted, it is null and stays null.
    return _MOVE_STOCK, sorted(released.items())
