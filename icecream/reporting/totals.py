"""Sales totals, updated with the orders: sales figures without reading the orders."""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from msgspec import Struct
from piccolo.columns import Column

from icecream import database
from icecream.catalogue.order_lines import Line
from icecream.tables import CustomerDay, DayTotal, FlavorDay, FlavorTotal


class Sale(Struct, frozen=True):
    """The data of an order that the totals need."""

    user: int
    placed: datetime
    status: str
    lines: Sequence[Line]


# Quantity, orders, revenue, refunded amount.
Sum = tuple[int, int, int, int]
Key = tuple[int | str | date, ...]
Sums = dict[Key, Sum]
TotalsTable = type[FlavorTotal] | type[FlavorDay] | type[CustomerDay] | type[DayTotal]
ZERO_SUM: Sum = (0, 0, 0, 0)


def _upsert(table: TotalsTable, *keys: Column) -> database.Statement:
    sums = (table.quantity, table.orders, table.revenue, table.refunded)
    return database.add_to_counters(table, keys=keys, sums=sums)


_FLAVOR_TOTAL = _upsert(FlavorTotal, FlavorTotal.flavor, FlavorTotal.status)
_FLAVOR_DAY = _upsert(FlavorDay, FlavorDay.flavor, FlavorDay.day, FlavorDay.status)
_CUSTOMER_DAY = _upsert(CustomerDay, CustomerDay.user, CustomerDay.day, CustomerDay.status)
_DAY_TOTAL = _upsert(DayTotal, DayTotal.day, DayTotal.status)


async def update(added: Sequence[Sale], removed: Sequence[Sale] = ()) -> None:
    """Add sales to the totals with their new status, and remove them with their old status.

    Totals belong to the UTC day on which an order was placed, also after later changes.
    """
    await database.run_together(*update_statements(added, removed))


def update_statements(
    added: Sequence[Sale], removed: Sequence[Sale] = ()
) -> list[database.BoundStatement]:
    """Return the statements of `update`, to run them together with others."""
    flavors: Sums = {}
    customers: Sums = {}
    for sign, sales in ((1, added), (-1, removed)):
        for sale in sales:
            _add_sale(sale, sign, flavors, customers)
    return [
        (_FLAVOR_TOTAL, _rows(flavors, lambda flavor, day, status: (flavor, status))),
        (_FLAVOR_DAY, _rows(flavors, lambda *key: key)),
        (_CUSTOMER_DAY, _rows(customers, lambda *key: key)),
        (_DAY_TOTAL, _rows(customers, lambda user, day, status: (day, status))),
    ]


def _add_sale(sale: Sale, sign: int, flavors: Sums, customers: Sums) -> None:
    day, status = sale.placed.date(), sale.status
    customer = (sale.user, day, status)
    # One order, for any number of lines.
    _add(customers, customer, (0, sign, 0, 0))
    for line in sale.lines:
        quantity = sign * line.quantity
        revenue, refunded = quantity * line.unit_price, sign * line.refunded
        _add(flavors, (line.flavor, day, status), (quantity, sign, revenue, refunded))
        _add(customers, customer, (quantity, 0, revenue, refunded))


def _add(sums: Sums, key: Key, more: Sum) -> None:
    # Written without a loop, because this runs several times per order.
    quantity, orders, revenue, refunded = sums.get(key, ZERO_SUM)
    sums[key] = quantity + more[0], orders + more[1], revenue + more[2], refunded + more[3]


def _rows(sums: Sums, key: Callable[..., Key]) -> list[Key]:
    """Return one row per key, sorted, with its sums."""
    added: Sums = {}
    for detailed, values in sums.items():
        _add(added, key(*detailed), values)
    return [(*name, *values) for name, values in sorted(added.items())]
