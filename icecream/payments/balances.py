"""What the provider still holds of an order's money, and how much of it may be given back."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from icecream.tables import Payment


class Balance(Struct):
    """What was charged for an order of that total, and what was given back, in minor units.

    A provider may charge another amount than the total; what it moved counts.
    """

    total: int
    charged: int = 0
    given_back: int = 0

    @property
    def held(self) -> int:
        """What the provider still holds."""
        return max(self.charged - self.given_back, 0)

    @property
    def refunded(self) -> int:
        """How much of the total counts as given back: all of it once nothing is held."""
        return min(self.given_back, self.total) if self.held else self.total

    @property
    def left(self) -> int:
        """The most that a refund may ask for."""
        return min(self.total - self.refunded, self.held)

    def to_give_back(self, asked: int) -> int:
        """What a refund of so much moves: a surplus goes only with the last refund."""
        return self.held if asked == self.left else asked


async def read(orders: Iterable[dict[str, Any]]) -> dict[int, Balance]:
    """The balances of orders that the transaction holds, by id."""
    found = {order["id"]: Balance(order["total"]) for order in orders}
    if not found:
        return found
    columns = (Payment.order, Payment.kind, Payment.amount, Payment.moved)
    for row in await Payment.select(*columns).where(
        Payment.order.is_in(sorted(found)), Payment.state == "succeeded"
    ):
        money = row["amount"] if row["moved"] is None else row["moved"]
        if row["kind"] == "charge":
            found[row["order"]].charged += money
        else:
            found[row["order"]].given_back += money
    return found


async def of(order: dict[str, Any]) -> Balance:
    """The balance of one order that the transaction holds."""
    return (await read([order]))[order["id"]]
