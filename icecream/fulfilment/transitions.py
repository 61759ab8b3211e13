"""Moving orders to a state of fulfilment, many at once: those that can move do.

A refused order does not stop the others: in the morning a van is loaded although one shop has just
canceled. Repeating a move changes nothing more.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from icecream import database, states
from icecream.feed import order_history
from icecream.payments import order_transitions
from icecream.payments.order_transitions import OrderRow
from icecream.tables import Order

# A van holds fewer orders. The transaction holds all of them.
MAX_ORDERS_PER_MOVE = 500
_UPDATE_FULFILMENT = database.update_values(Order.fulfilment)


class RefusedMove(Struct, frozen=True):
    """An order that was not moved, and why: a word for programs, and a sentence."""

    order: int
    code: str
    detail: str


class MoveResult(Struct, frozen=True):
    """The orders that were moved, those that were in that state already, and those refused."""

    moved: list[int]
    unchanged: list[int]
    refused: list[RefusedMove]


async def move(
    orders: Collection[int],
    to: str,
    *,
    by: int,
    reason: str | None = None,
    internal_note: str | None = None,
    at: datetime | None = None,
) -> MoveResult:
    """Move orders to a state of fulfilment; each step is an event in the order's history.

    Args:
        by: the user who did it.
        reason: is added to the history, which the customer sees.
        internal_note: is added to the history for staff only.
        at: the time of the step, if not now.
    """
    details = order_history.explanation(reason, internal_note)
    return await database.transaction(lambda: _move(orders, to, by, details, at))


async def _move(
    orders: Collection[int], to: str, by: int, details: order_history.Details, at: datetime | None
) -> MoveResult:
    wanted = sorted(set(orders))
    locked = await order_transitions.lock_orders(wanted)
    refused = [one for order in wanted if (one := _refuse(order, locked.get(order), to))]
    unchanged = [order for order, row in locked.items() if row.fulfilment == to]
    excluded = {one.order for one in refused}.union(unchanged)
    moved = [order for order in wanted if order not in excluded]
    if moved:
        await _write([order_history.OrderEvent(order, to, details, by, at) for order in moved], to)
    return MoveResult(moved, unchanged, refused)


def _refuse(order: int, row: OrderRow | None, to: str) -> RefusedMove | None:
    """Return why an order cannot move, if it cannot."""
    if row is None:
        return RefusedMove(order, "not-found", f"There is no order {order}.")
    if row.fulfilment == to:
        return None
    if to not in states.FULFILMENT[row.fulfilment]:
        allowed = " or ".join(states.FULFILMENT[row.fulfilment])
        detail = f"Order {order} is {row.fulfilment}; it can become {allowed}."
        return RefusedMove(order, "invalid-transition", detail)
    if (row.fulfilment, to) not in states.STEPS_FOR_MONEY:
        return None
    if row.cancel_requested:
        detail = f"Order {order} is being canceled."
        return RefusedMove(order, "cancel-requested", detail)
    if row.status not in states.DELIVERABLE_STATUSES:
        detail = f"Order {order} is {row.status}; only a paid order can be {to}."
        return RefusedMove(order, "not-paid", detail)
    return None


async def _write(events: Sequence[order_history.OrderEvent], to: str) -> None:
    orders = [event.order for event in events]
    last = await order_history.LAST_NUMBERS([(order,) for order in orders])
    await database.run_together(
        (_UPDATE_FULFILMENT, [(order, to) for order in orders]),
        *order_history.event_inserts(events, last, at=datetime.now(UTC)),
    )
