"""Transitions of orders: lock or read an order, collect its changes, and write them together."""

from collections.abc import Collection, Sequence
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
from icecream.tables import Order


class OrderRow(Struct):
    """An order that the transaction holds, or whose status is checked when it is written."""

    id: int
    user: int
    status: str
    total: int
    refunded: int
    cancel_requested: bool
    created_at: datetime
    fulfilment: str


_ORDER_ROW_COLUMNS = database.columns_of(Order, OrderRow)
_SELECT_ORDERS, _LOCK_ORDERS = (
    database.select_by(Order.id, _ORDER_ROW_COLUMNS, lock=lock) for lock in ("", "NO KEY UPDATE")
)
_UPDATE_ORDERS = database.update_rows(
    {
        "new_status": Order.status,
        "further_refund": Order.refunded,
        "new_request": Order.cancel_requested,
        "known_status": Order.status,
        "known_request": Order.cancel_requested,
    },
    {
        Order.status: "{new_status}",
        Order.refunded: "refunded + {further_refund}",
        Order.cancel_requested: "{new_request}",
    },
    # Always true if the transaction holds the orders.
    where="status = {known_status} AND cancel_requested = {known_request}",
    returning=("id",),
    complete=True,
)


class OrderTransition(Struct):
    """The changes of an order: the statuses that it enters, one after the other.

    `payments` are its payments that end. `refunded` is added to the refunded amount so far.
    `refund` is the amount that the provider has to refund next. `releases_stock` means that the
    order's reservation ends. `at` is the time of the changes, if not now.
    """

    order: OrderRow
    events: list[order_history.OrderEvent]
    path: list[str] = msgspec.field(default_factory=list)
    payments: list[totals.EndedPayment] = msgspec.field(default_factory=list)
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

    def end_payment(self, kind: str, state: str, amount: int, *, number: int = 1) -> None:
        """Count a payment that has ended, or with `number` -1 one that is open again."""
        placed, status = self.order.created_at, self.order.status
        self.payments.append(totals.EndedPayment(placed, status, kind, state, amount, number))


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
    return to_orders(await _LOCK_ORDERS([(order,) for order in sorted(set(orders))]))


def orders_query(orders: Sequence[int]) -> database.BoundStatement:
    """Return the query that reads orders without a lock, for `to_orders`."""
    return _SELECT_ORDERS, [(order,) for order in orders]


def to_orders(rows: database.ResultRows) -> dict[int, OrderRow]:
    """Return the orders by id, for the result of `orders_query`."""
    return {row.id: row for row in msgspec.convert(rows, list[OrderRow])}


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


class TransitionData(Struct):
    """What has to be read before the changes of orders can be written."""

    lines: dict[int, list[order_lines.Line]]
    last_numbers: database.ResultRows
    payment_ids: database.ResultRows
    last_refunds: dict[int, int]
    stock: database.ResultRows


def data_queries(
    orders: Sequence[int],
    *,
    changing: Collection[int],
    releasing: Collection[int],
    locks_stock: bool = True,
) -> list[database.BoundStatement]:
    """Return the queries for the data of the orders' transitions.

    Args:
        changing: the orders that may be refunded.
        releasing: the orders that may release their stock.
        locks_stock: whether that stock is locked, because the changes are not written by
            `write_together`.
    """
    return [
        order_lines.lines_query(orders),
        (order_history.LAST_NUMBERS, [(order,) for order in orders]),
        (attempts.PAYMENT_IDS, [(len(changing),)]),
        (attempts.LAST_REFUNDS, [(order,) for order in changing]),
        inventory.stock_of_orders(releasing, lock=locks_stock),
    ]


def to_data(
    lines: database.ResultRows,
    last_numbers: database.ResultRows,
    payments: database.ResultRows,
    refunds: database.ResultRows,
    stock: database.ResultRows,
) -> TransitionData:
    """Return the data for the results of `data_queries`."""
    last_refunds = {row["order"]: row["max"] or 0 for row in refunds}
    return TransitionData(order_lines.to_lines(lines), last_numbers, payments, last_refunds, stock)


async def apply_transitions(transitions: Sequence[OrderTransition]) -> list[int]:
    """Write the changes of locked orders; return the refunds that are to be carried out next."""
    orders = [transition.order.id for transition in transitions]
    releasing = [transition.order.id for transition in transitions if transition.releases_stock]
    queries = data_queries(orders, changing=orders, releasing=releasing)
    data = to_data(*await database.read_together(*queries))
    statements, refunds = write_statements(transitions, data)
    await database.run_together(*statements)
    return refunds


def write_statements(
    transitions: Sequence[OrderTransition], data: TransitionData
) -> tuple[list[database.BoundStatement], list[int]]:
    """Return the statements that write the changes, and the refunds to be carried out next.

    The first one writes the orders. For `write_together`, the statements also check what was read
    about the orders and the stock.
    """
    refunding = [transition for transition in transitions if transition.refund]
    refunds = [
        attempts.Attempt(
            new["id"],
            transition.order.id,
            transition.order.user,
            transition.refund,
            "refund",
            data.last_refunds[transition.order.id] + 1,
        )
        for transition, new in zip(refunding, data.payment_ids[: len(refunding)], strict=True)
    ]
    releasing = [one.order.id for one in transitions if one.releases_stock]
    events = [event for transition in transitions for event in transition.events]
    statements = [
        (_UPDATE_ORDERS, [_order_change(transition) for transition in transitions]),
        *inventory.release_statements(
            [line for order in releasing for line in data.lines[order]], data.stock
        ),
        *attempts.attempt_inserts(refunds),
        *order_history.event_inserts(events, data.last_numbers, at=datetime.now(UTC)),
        *_total_updates(transitions, data.lines),
    ]
    return statements, [refund.payment for refund in refunds]


def _order_change(transition: OrderTransition) -> tuple[int, str, int, bool, str, bool]:
    """Return the row of `_UPDATE_ORDERS` for an order."""
    order = transition.order
    return (
        *(order.id, transition.status, transition.refunded, transition.cancel_requested),
        *(order.status, order.cancel_requested),
    )


def _total_updates(
    transitions: Sequence[OrderTransition], lines: dict[int, list[order_lines.Line]]
) -> list[database.BoundStatement]:
    """Return the updates of the totals, and of each line's share of the refunded amount."""
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
    payments = [payment for transition in transitions for payment in transition.payments]
    return [order_lines.update_shares(parts), *totals.update_statements(added, removed, payments)]
