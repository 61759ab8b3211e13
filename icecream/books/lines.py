"""The lines of an order, and what was given back of each."""

from collections.abc import Sequence
from itertools import accumulate

import msgspec
from msgspec import Struct

from icecream import database
from icecream.tables import OrderLine

_SHARES = database.put(OrderLine.refunded)


class Line(Struct, frozen=True):
    """So much of a flavor at that price each, in minor units, and what was given back of it.

    `id` is that of its row, once there is one.
    """

    flavor: int
    quantity: int
    unit_price: int
    refunded: int = 0
    id: int = 0

    @property
    def total(self) -> int:
        """In minor units."""
        return self.quantity * self.unit_price


def share(lines: Sequence[Line], refunded: int) -> list[Line]:
    """The lines of an order, each with its part of all that was given back of the order.

    It goes by price: the running sum, in the order of the lines, is rounded down, so that the parts
    add up to the cent and no line gets more than it cost.
    """
    total, before, after = sum(line.total for line in lines), 0, []
    for line, price in zip(lines, accumulate(line.total for line in lines), strict=True):
        so_far = refunded * price // total if total else 0
        after.append(msgspec.structs.replace(line, refunded=so_far - before))
        before = so_far
    return after


async def save_shares(lines: Sequence[Line]) -> None:
    """Write what was given back of these lines, whose orders the transaction holds."""
    await _SHARES([(line.id, line.refunded) for line in sorted(lines, key=lambda line: line.id)])
