"""Sales totals, updated with the orders: sales figures without reading the orders."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from icecream import database
from icecream.catalogue.order_lines import Line
from icecream.tables import CustomerDay, DayTotal, FlavorDay, FlavorTotal


class Sale(Struct, frozen=True):
    """An order as the totals see it: its user, its time, its status and its lines."""

    user: int
    placed: datetime
    status: str
    lines: Sequence[Line]


# Quantity, orders, revenue, refunded amount.
Sum = tuple[int, int, int, int]
Sums = dict[tuple[Any, ...], Sum]
NOTHING: Sum = (0, 0, 0, 0)


def _total(table: type[Any], *keys: Any) -> database.Statement:
    sums = (table.quantity, table.orders, table.revenue, table.refunded)
    return database.add(table, keys=keys, sums=sums)


_FLAVORS = _total(FlavorTotal, FlavorTotal.flavor, FlavorTotal.status)
_FLAVOR_DAYS = _total(FlavorDay, FlavorDay.flavor, FlavorDay.day, FlavorDay.status)
_CUSTOMERS = _total(CustomerDay, CustomerDay.user, CustomerDay.day, CustomerDay.status)
_DAYS = _total(DayTotal, DayTotal.day, DayTotal.status)


async def count(come: Sequence[Sale], gone: Sequence[Sale] = ()) -> None:
    """Add orders to the totals in their new status, and remove them from the old one.

    Totals belong to the UTC day on which an order was placed, also after later changes.
    """
    await database.together(*counted(come, gone))


def counted(come: Sequence[Sale], gone: Sequence[Sale] = ()) -> list[database.Asked]:
    """Return the statements of `count`, to be run together with others."""
    flavors: Sums = {}
    customers: Sums = {}
    for sign, sales in ((1, come), (-1, gone)):
        for sale in sales:
            _count(sale, sign, flavors, customers)
    return [
        (_FLAVORS, _rows(flavors, lambda flavor, day, status: (flavor, status))),
        (_FLAVOR_DAYS, _rows(flavors, lambda *key: key)),
        (_CUSTOMERS, _rows(customers, lambda *key: key)),
        (_DAYS, _rows(customers, lambda user, day, status: (day, status))),
    ]


def _count(sale: Sale, sign: int, flavors: Sums, customers: Sums) -> None:
    day, status = sale.placed.date(), sale.status
    whole = (sale.user, day, status)
    # Count one order, for any number of lines.
    _add(customers, whole, (0, sign, 0, 0))
    for line in sale.lines:
        quantity = sign * line.quantity
        revenue, refunded = quantity * line.unit_price, sign * line.refunded
        _add(flavors, (line.flavor, day, status), (quantity, sign, revenue, refunded))
        _add(customers, whole, (quantity, 0, revenue, refunded))


def _add(sums: Sums, key: tuple[Any, ...], more: Sum) -> None:
    # Written without a loop, because this runs several times for each order.
    quantity, orders, revenue, refunded = sums.get(key, NOTHING)
    sums[key] = quantity + more[0], orders + more[1], revenue + more[2], refunded + more[3]


def _rows(sums: Sums, key: Callable[..., tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return one row per key, sorted, with its sums."""
    added: Sums = {}
    for detailed, values in sums.items():
        _add(added, key(*detailed), values)
    return [(*name, *values) for name, values in sorted(added.items())]
