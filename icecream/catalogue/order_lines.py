"""The lines of an order, and the refunded part of each."""

from collections.abc import Sequence
from itertools import accumulate

import msgspec
from msgspec import Struct

from icecream import database
from icecream.tables import OrderLine

_UPDATE_REFUNDED = database.update_values(OrderLine.refunded)
_SELECT_LINES = database.select_by(
    OrderLine.order,
    (
        OrderLine.id,
        OrderLine.order,
        OrderLine.flavor,
        OrderLine.quantity,
        OrderLine.unit_price,
        OrderLine.refunded,
    ),
)


class Line(Struct, frozen=True):
    """A quantity of a flavor, its unit price in minor units, and the refunded amount.

    `id` is the id of its row, once the row exists.
    """

    flavor: int
    quantity: int
    unit_price: int
    refunded: int = 0
    id: int = 0

    @property
    def total(self) -> int:
        """The price of the line, in minor units."""
        return self.quantity * self.unit_price


def share_refund(lines: Sequence[Line], refunded: int) -> list[Line]:
    """Return the lines of an order, each with its share of the order's refunded amount.

    The shares are proportional to the prices. The running sum, in the order of the lines, is
    rounded down. So the shares add up exactly, and no line gets more than its price.
    """
    total, shared, result = sum(line.total for line in lines), 0, []
    for line, price in zip(lines, accumulate(line.total for line in lines), strict=True):
        refunded_so_far = refunded * price // total if total else 0
        result.append(msgspec.structs.replace(line, refunded=refunded_so_far - shared))
        shared = refunded_so_far
    return result


def update_shares(lines: Sequence[Line]) -> database.BoundStatement:
    """Return the update of the refunded amounts; the transaction must hold the orders."""
    return _UPDATE_REFUNDED, [
        (line.id, line.refunded) for line in sorted(lines, key=lambda line: line.id)
    ]


def lines_query(orders: Sequence[int]) -> database.BoundStatement:
    """Return the query for the lines of orders, for `to_lines`."""
    return _SELECT_LINES, [(order,) for order in sorted(orders)]


def to_lines(rows: Sequence[dict[str, int]]) -> dict[int, list[Line]]:
    """Return the lines by order, in the order of their ids."""
    lines: dict[int, list[Line]] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        columns = {name: value for name, value in row.items() if name != "order"}
        lines.setdefault(row["order"], []).append(Line(**columns))
    return lines
