"""The money of an order that the provider still holds, and how much of it can be refunded."""

from collections.abc import Iterable
from typing import Any, Protocol

from msgspec import Struct

from icecream import database, states
from icecream.tables import Payment


class OrderWithTotal(Protocol):
    """An order, with the fields that its balance needs."""

    id: int
    status: str
    total: int


class Balance(Struct):
    """The charged and refunded amounts of an order, in minor units.

    A provider may charge another amount than the total. The balance counts the amount that moved.
    """

    total: int
    charged: int = 0
    returned: int = 0

    @property
    def held(self) -> int:
        """The amount that the provider still holds."""
        return max(self.charged - self.returned, 0)

    @property
    def refunded(self) -> int:
        """The part of the total that counts as refunded: all of it once nothing is held."""
        return min(self.returned, self.total) if self.held else self.total

    @property
    def refundable(self) -> int:
        """The largest amount that a refund may request."""
        return min(self.total - self.refunded, self.held)

    def add(self, kind: str, amount: int) -> None:
        """Count an amount that was charged or refunded."""
        if kind == "charge":
            self.charged += amount
        else:
            self.returned += amount

    def amount_to_move(self, requested: int) -> int:
        """Return the amount that a refund of `requested` moves; the last one includes a surplus."""
        return self.held if requested == self.refundable else requested


_MOVED_AMOUNTS = database.select_by(
    Payment.order,
    (Payment.order, Payment.kind, Payment.amount, Payment.moved),
    where="state = 'succeeded'",
)


def balance_query(orders: Iterable[OrderWithTotal]) -> database.BoundStatement:
    """Return the query for the balances of orders that the transaction holds."""
    return _MOVED_AMOUNTS, [(order,) for order in sorted(order.id for order in orders)]


def to_balances(
    orders: Iterable[OrderWithTotal], rows: Iterable[dict[str, Any]]
) -> dict[int, Balance]:
    """Return the balances, by order id, for the result of `balance_query`."""
    found = {order.id: Balance(order.total) for order in orders}
    for row in rows:
        amount = row["amount"] if row["moved"] is None else row["moved"]
        found[row["order"]].add(row["kind"], amount)
    return found


async def read_balance(order: OrderWithTotal) -> Balance:
    """Return the balance of one order that the transaction holds."""
    statement, keys = balance_query([order])
    return to_balances([order], await statement(keys))[order.id]


async def has_open_refund(order: int) -> bool:
    """Return whether a refund is under way or parked."""
    unfinished = list(states.open_states(states.PAYMENT))
    return await Payment.exists().where(
        Payment.order == order, Payment.kind == "refund", Payment.state.is_in(unfinished)
    )


async def has_money_left(order: OrderWithTotal) -> bool:
    """Return whether a canceled order has money left: its refund failed after succeeding."""
    return order.status == "canceled" and (await read_balance(order)).held > 0
