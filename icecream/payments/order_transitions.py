"""Transitions of orders: lock an order, collect its changes, and write them together."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from icecream import database, errors, states
from icecream.catalogue import inventory, order_lines
from icecream.feed import order_history
from icecream.feed.order_history import Detail
from icecream.payments import attempts
from icecream.payments.balances import Balance
from icecream.reporting import totals
from icecream.tables import Order, OrderLine


class OrderRow(Struct):
    """An order that the transaction holds."""

    id: int
    user: int
    status: str
    total: int
    refunded: int
    cancel_requested: bool
    created_at: datetime


_ORDER_ROW_COLUMNS = database.columns_of(Order, OrderRow)


class OrderTransition(Struct):
    """The changes of an order: the statuses that it enters, one after the other.

    `refunded` is added to the refunded amount so far. `refund` is the amount that the provider has
    to refund next. `releases_stock` means that the order's reservation ends. `at` is the time of
    the changes, if not now.
    """

    order: OrderRow
    events: list[order_history.OrderEvent]
    path: list[str] = msgspec.field(default_factory=list)
    refunded: int = 0
    refund: int = 0
    releases_stock: bool = False
    cancel_requested: bool = False
    at: datetime | None = None

    @property
    def status(self) -> str:
        """The last status of the path."""
        return self.path[-1] if self.path else self.order.status

    def enter(self, status: str, by: int | None = None, **details: Detail) -> None:
        """Enter one more status, and add it to the order's history."""
        states.check_transition(states.ORDER, self.status, status)
        self.path.append(status)
        self.add_event(status, by, **details)

    def add_event(self, kind: str, by: int | None = None, **details: Detail) -> None:
        """Add an entry to the order's history."""
        self.events.append(order_history.OrderEvent(self.order.id, kind, details, by, self.at))


async def lock_order(order: int) -> OrderRow:
    """Lock one order and return it.

    Raises:
        errors.NotFound: there is no such order.
    """
    rows = await lock_orders([order])
    if order not in rows:
        raise errors.NotFound
    return rows[order]


async def lock_orders(orders: Sequence[int]) -> dict[int, OrderRow]:
    """Lock orders, and return them by id; an order is changed only under this lock."""
    ours = database.is_any(Order.id, sorted(set(orders)))
    query = Order.select(*_ORDER_ROW_COLUMNS).where(ours).order_by(Order.id)
    return {row["id"]: OrderRow(**row) for row in await database.for_no_key_update(query)}


def begin_transition(order: OrderRow, at: datetime | None = None) -> OrderTransition:
    """Return a transition without changes, for changes `at` that moment or now."""
    return OrderTransition(order, [], cancel_requested=order.cancel_requested, at=at)


def count_refund(
    transition: OrderTransition, balance: Balance, by: int | None = None, **details: Detail
) -> None:
    """Count a refund that succeeded, using the balance after it.

    The order has ended once the provider holds none of its money.
    """
    transition.refunded = balance.refunded - transition.order.refunded
    if balance.held or transition.status == "canceled":
        transition.add_event("partly-refunded", by, **details)
        if transition.status == "refunding":
            transition.enter("paid", by)
        return
    if transition.status == "paid":
        transition.enter("refunding", by, **details)
    _end_order(transition, by, **details)


def start_refund(
    transition: OrderTransition, balance: Balance, by: int | None = None, **details: Detail
) -> None:
    """Refund all that is left of a paid order."""
    transition.enter("refunding", by, **details)
    transition.refund = balance.held
    if not transition.refund:
        # Nothing is left to refund.
        _end_order(transition, by)


def _end_order(transition: OrderTransition, by: int | None, **details: Detail) -> None:
    transition.releases_stock = transition.cancel_requested
    transition.enter("canceled" if transition.cancel_requested else "refunded", by, **details)


async def apply_transitions(transitions: Sequence[OrderTransition]) -> list[int]:
    """Write the changes of locked orders; return the refunds that are to be carried out next."""
    lines = await _release_stock(transitions)
    now = datetime.now(UTC)
    await _update_orders(transitions)
    staged = [await _stage_refund(transition) for transition in transitions if transition.refund]
    events = [event for transition in transitions for event in transition.events]
    await order_history.record_events(events, at=now)
    await _update_totals(transitions, lines)
    return staged


async def _release_stock(
    transitions: Sequence[OrderTransition],
) -> dict[int, list[order_lines.Line]]:
    """Release the stock where a transition requires it; return the lines of all the orders."""
    lines = await _read_lines([transition.order.id for transition in transitions])
    releasing = [one.order.id for one in transitions if one.releases_stock]
    await inventory.release_stock([line for order in releasing for line in lines[order]])
    return lines


async def _update_orders(transitions: Sequence[OrderTransition]) -> None:
    """Update orders with the same change in one statement."""
    groups: dict[tuple[str, int, bool], list[int]] = {}
    for transition in transitions:
        change = (transition.status, transition.refunded, transition.cancel_requested)
        if change != (transition.order.status, 0, transition.order.cancel_requested):
            groups.setdefault(change, []).append(transition.order.id)
    for (status, refunded, cancel_requested), orders in groups.items():
        await Order.update(
            {
                Order.status: status,
                Order.refunded: Order.refunded + refunded,
                Order.cancel_requested: cancel_requested,
            }
        ).where(database.is_any(Order.id, sorted(orders)))


async def _stage_refund(transition: OrderTransition) -> int:
    order = transition.order
    return await attempts.stage_attempt(order.id, order.user, transition.refund, "refund")


async def _update_totals(
    transitions: Sequence[OrderTransition], lines: dict[int, list[order_lines.Line]]
) -> None:
    """Update the totals, and save each line's share of the refunded amount."""
    added, removed, parts = [], [], list[order_lines.Line]()
    for transition in transitions:
        before = after = lines[transition.order.id]
        if transition.refunded:
            refunded = transition.order.refunded + transition.refunded
            after = order_lines.share_refund(before, refunded)
            parts += after
        if transition.refunded or transition.status != transition.order.status:
            key = transition.order.user, transition.order.created_at
            added.append(totals.Sale(*key, transition.status, after))
            removed.append(totals.Sale(*key, transition.order.status, before))
    await order_lines.save_shares(parts)
    await totals.update(added, removed)


async def _read_lines(orders: Sequence[int]) -> dict[int, list[order_lines.Line]]:
    lines: dict[int, list[order_lines.Line]] = {order: [] for order in orders}
    line = OrderLine
    columns = (line.id, line.order, line.flavor, line.quantity, line.unit_price, line.refunded)
    for row in (
        await line.select(*columns)
        .where(database.is_any(line.order, sorted(lines)))
        .order_by(line.id)
    ):
        lines[row.pop("order")].append(order_lines.Line(**row))
    return lines
