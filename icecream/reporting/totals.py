"""Changes of the sales totals: sales figures without reading the orders.

An order only adds rows. If it updated the totals themselves, all orders would wait for the few rows
that each of them changes. `applying` updates the totals.
"""

from collections.abc import Sequence
from datetime import date, datetime

from msgspec import Struct

from icecream import database
from icecream.catalogue.order_lines import Line
from icecream.tables import TotalChange


class Sale(Struct, frozen=True):
    """The data of an order that the totals need."""

    user: int
    placed: datetime
    status: str
    lines: Sequence[Line]


# Quantity, orders, revenue, refunded amount.
Sum = tuple[int, int, int, int]
# A flavor or a customer, the day, the status.
Key = tuple[int, date, str]
Sums = dict[Key, Sum]
ZERO_SUM: Sum = (0, 0, 0, 0)
_INSERT_CHANGES = database.insert(
    TotalChange,
    (
        *(TotalChange.flavor, TotalChange.user, TotalChange.day, TotalChange.status),
        *(TotalChange.quantity, TotalChange.orders, TotalChange.revenue, TotalChange.refunded),
    ),
)


def update_statements(
    added: Sequence[Sale], removed: Sequence[Sale] = ()
) -> list[database.BoundStatement]:
    """Return the statements that add sales with their new status, and remove them with the old one.

    Totals belong to the UTC day on which an order was placed, also after later changes. The
    transaction must have written an order before (see `applying`).
    """
    flavors: Sums = {}
    customers: Sums = {}
    for sign, sales in ((1, added), (-1, removed)):
        for sale in sales:
            _add_sale(sale, sign, flavors, customers)
    rows: database.Rows = [
        *((flavor, None, day, status, *sums) for (flavor, day, status), sums in flavors.items()),
        *((None, user, day, status, *sums) for (user, day, status), sums in customers.items()),
    ]
    return [(_INSERT_CHANGES, rows)]


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
