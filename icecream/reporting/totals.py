"""Changes of the sales totals: sales figures without reading the orders.

An order only adds rows. If it updated the totals themselves, all orders would wait for the few rows
that each of them changes. `applying` updates the totals.
"""

from collections.abc import Sequence
from datetime import date, datetime

from msgspec import Struct

from icecream import database, settings
from icecream.catalogue.order_lines import Line
from icecream.tables import SECONDS_PER_QUARTER, TotalChange


class Sale(Struct, frozen=True):
    """The data of an order that the totals need."""

    user: int
    placed: datetime
    status: str
    lines: Sequence[Line]


class EndedPayment(Struct, frozen=True):
    """A payment that has ended; or with `number` -1, one that is open again.

    `placed` and `status` are those of its order.
    """

    placed: datetime
    status: str
    kind: str
    state: str
    amount: int
    number: int = 1


# Quantity, orders, revenue, refunded amount.
Sum = tuple[int, int, int, int]
# The day in UTC, the day in the installation's time zone, the quarter of an hour.
Times = tuple[date, date, int]
# A flavor, or a customer, or the kind and the state of payments.
Owner = tuple[int | None, int | None, str | None, str | None]
# The owner of the totals, the times, the status.
Key = tuple[Owner, Times, str]
Sums = dict[Key, Sum]
ZERO_SUM: Sum = (0, 0, 0, 0)
_INSERT_CHANGES = database.insert(
    TotalChange,
    (
        *(TotalChange.flavor, TotalChange.user, TotalChange.kind, TotalChange.state),
        *(TotalChange.day, TotalChange.local_day, TotalChange.quarter, TotalChange.status),
        *(TotalChange.quantity, TotalChange.orders, TotalChange.revenue, TotalChange.refunded),
    ),
)


def update_statements(
    added: Sequence[Sale], removed: Sequence[Sale] = (), payments: Sequence[EndedPayment] = ()
) -> list[database.BoundStatement]:
    """Return the statements that add sales with their new status, and remove them with the old one.

    They also add payments. Totals belong to the time at which an order was placed, also after later
    changes. The transaction must have written an order before (see `applying`).
    """
    sums: Sums = {}
    # Orders that arrive together have the same time.
    moments = {sale.placed for sale in (*added, *removed)} | {one.placed for one in payments}
    times = {placed: _times(placed) for placed in moments}
    for sign, sales in ((1, added), (-1, removed)):
        for sale in sales:
            _add_sale(sums, sale, times[sale.placed], sign)
    for one in payments:
        key = (None, None, one.kind, one.state), times[one.placed], one.status
        _add(sums, key, (one.number, 0, one.number * one.amount, 0))
    rows = [(*owner, *times, status, *sum_) for (owner, times, status), sum_ in sums.items()]
    return [(_INSERT_CHANGES, rows)]


def _add_sale(sums: Sums, sale: Sale, times: Times, sign: int) -> None:
    customer = (None, sale.user, None, None), times, sale.status
    orders = sign
    for line in sale.lines:
        quantity = sign * line.quantity
        revenue, refunded = quantity * line.unit_price, sign * line.refunded
        flavor = (line.flavor, None, None, None), times, sale.status
        _add(sums, flavor, (quantity, sign, revenue, refunded))
        _add(sums, customer, (quantity, orders, revenue, refunded))
        # The customer has one order, with any number of lines.
        orders = 0


def _times(placed: datetime) -> Times:
    quarter = int(placed.timestamp()) // SECONDS_PER_QUARTER
    return placed.date(), settings.local_date(placed), quarter


def _add(sums: Sums, key: Key, more: Sum) -> None:
    # Written without a loop, because this runs several times per order.
    quantity, orders, revenue, refunded = sums.get(key, ZERO_SUM)
    sums[key] = quantity + more[0], orders + more[1], revenue + more[2], refunded + more[3]
