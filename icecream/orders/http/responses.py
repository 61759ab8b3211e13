"""Orders as their customers see them, one or many."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from piccolo.columns import Column
from piccolo.query import Select

from icecream import database, errors, fields, states
from icecream.orders import placing
from icecream.orders.ordered_lines import MAX_LINES
from icecream.payments import balances, decline_codes, refunded_lines
from icecream.tables import (
    MAX_NOTE_LENGTH,
    MAX_PRICE,
    MAX_QUANTITY,
    MAX_REFERENCE_LENGTH,
    Event,
    Order,
    OrderLine,
    Payment,
    User,
)

MAX_TOTAL = MAX_LINES * MAX_QUANTITY * MAX_PRICE
Quantity = Annotated[int, Meta(ge=1, le=MAX_LINES * MAX_QUANTITY)]
Amount = Annotated[
    int, Meta(ge=0, le=MAX_TOTAL, description="In minor units, such as cents.", title="Total")
]

Reference = Annotated[
    str, fields.shown_text(MAX_REFERENCE_LENGTH, "The customer's own number of the order.")
]
Note = Annotated[str, fields.shown_text(MAX_NOTE_LENGTH)]


class LineView(Struct):
    """A quantity of a flavor, at the price when the order was placed.

    `refunded_quantity` is there if refunds were about some of it, in the details of an order.
    """

    flavor: fields.Id
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
    unit_price: Annotated[int, Meta(ge=0, le=MAX_PRICE)]
    refunded_quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)] | UnsetType = UNSET


class OrderView(Struct):
    """An order: `pending` until its payment has ended, then `paid` or `failed`.

    `fulfilment` says where the goods are. `quantity` is the sum of all lines. `flavor` is null if
    there is more than one line.
    """

    id: fields.Id
    quantity: Quantity
    status: fields.OrderStatus
    created_at: fields.Timestamp
    user: fields.Id
    flavor: fields.Id | None
    lines: Annotated[list[LineView], Meta(min_length=1, max_length=MAX_LINES)]
    total: Amount
    refunded: Amount
    currency: fields.Currency
    reference: Reference | None
    note: Note | None
    delivery_date: fields.Day | None
    fulfilment: fields.Fulfilment


class RefundedLine(Struct):
    """A quantity of a flavor that a refund is about."""

    flavor: fields.Id
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]


class Happening(Struct):
    """An entry in an order's history; `by` is the id of a user, or null for the service.

    A refund of lines names them, and whether their goods were `restocked`. Only staff see an
    `internal_note`.
    """

    type: Annotated[str, fields.words("HistoryEventType", states.EVENTS)]
    at: fields.Timestamp
    by: fields.Id | None
    reason: fields.Text | UnsetType = UNSET
    amount: Amount | UnsetType = UNSET
    reason_code: fields.RefundReason | UnsetType = UNSET
    lines: list[RefundedLine] | UnsetType = UNSET
    restocked: bool | UnsetType = UNSET
    internal_note: fields.Text | UnsetType = UNSET


class OrderDetail(OrderView):
    """An order with the allowed actions and its history.

    `failure` is the reason why the last payment of a failed order was declined.
    `cancel_requested`: the order becomes `canceled` when its payment or its refund has ended.
    """

    cancel_requested: bool
    actions: Annotated[
        list[Annotated[str, fields.words("Action", states.ACTIONS)]],
        Meta(max_length=len(states.ACTIONS)),
    ]
    history: list[Happening]
    failure: decline_codes.Failure | None = None


class OrderPlaced(placing.OrderReceipt):
    """The order is stored and will be paid; with `Prefer: wait`, `order` is its current state."""

    order: OrderDetail | UnsetType = UNSET


class Quote(Struct):
    """The current price of an order."""

    quantity: Quantity
    flavor: fields.Id | None
    lines: list[LineView]
    total: Amount
    currency: fields.Currency


class Step(Struct, rename={"sources": "from", "goal": "to"}):
    """An action, from one of these statuses to its final status."""

    sources: tuple[fields.Word, ...]
    goal: fields.Word


class StateTable(Struct):
    """The allowed transitions of orders, payments and fulfilment, and the actions of users."""

    order: Mapping[str, tuple[fields.Word, ...]]
    payment: Mapping[str, tuple[fields.Word, ...]]
    fulfilment: Mapping[str, tuple[fields.Word, ...]]
    actions: dict[str, Step]


PLACED_EXAMPLE = {"status": "Order placed", "order_id": 1}
LINE_EXAMPLE = {"flavor": 1, "quantity": 2, "unit_price": 250}
ORDER_EXAMPLE = {
    "id": 1,
    "quantity": 2,
    "status": "pending",
    "created_at": "2025-05-13T10:22:06.428877Z",
    "user": 1,
    "flavor": 1,
    "lines": [LINE_EXAMPLE],
    "total": 500,
    "refunded": 0,
    "currency": "EUR",
    "reference": "PO-1207",
    "note": "Please ring at the back door.",
    "delivery_date": "2025-05-16",
    "fulfilment": "unfulfilled",
}
HISTORY_EXAMPLE = [{"type": "placed", "at": ORDER_EXAMPLE["created_at"], "by": 1}]
DETAIL_EXAMPLE = ORDER_EXAMPLE | {
    "cancel_requested": False,
    "actions": ["cancel"],
    "history": HISTORY_EXAMPLE,
}
QUOTE_EXAMPLE = {name: ORDER_EXAMPLE[name] for name in Quote.__struct_fields__}
STATE_TABLE = StateTable(
    order=states.ORDER,
    payment=states.PAYMENT,
    fulfilment=states.FULFILMENT,
    actions={name: Step(*action) for name, action in states.ACTIONS.items()},
)
ORDER_COLUMNS = (
    Order.id,
    Order.status,
    Order.created_at,
    Order.user,
    Order.total,
    Order.refunded,
    Order.currency,
    Order.reference,
    Order.note,
    Order.delivery_date,
    Order.fulfilment,
    Order.cancel_requested,
)
LINE_COLUMNS = (OrderLine.flavor, OrderLine.quantity, OrderLine.unit_price)


async def read_orders(
    query: Select[Order], order_by: Sequence[tuple[Column, bool]] = ((Order.id, True),)
) -> list[tuple[OrderView, bool]]:
    """Return the orders of a query of ORDER_COLUMNS, and whether each is to be canceled.

    `order_by` has the columns of the sort order, and whether they are ascending.
    """
    found: list[tuple[OrderView, bool]] = []
    latest = None
    for row in await database.select_with_children(
        query, OrderLine.order, LINE_COLUMNS, order_by=order_by
    ):
        *order, cancel_requested, flavor, quantity, unit_price = row
        if latest is None or latest.id != order[0]:
            number, status, created_at, user, *others = order
            latest = OrderView(number, 0, status, created_at, user, flavor, [], *others)
            found.append((latest, cancel_requested))
        latest.lines.append(LineView(flavor, quantity, unit_price))
        latest.quantity += quantity
        latest.flavor = single_flavor(latest.lines)
    return found


def single_flavor(lines: Sequence[LineView]) -> int | None:
    """Return the flavor of an order with one line, which clients of the original API read."""
    return lines[0].flavor if len(lines) == 1 else None


async def get_order(order: int, *, user: User) -> OrderDetail:
    """Return an order with all details.

    Raises:
        errors.NotFound: there is no such order, or it belongs to another user and `user` is not
            staff.
    """
    found = await read_orders(Order.select(*ORDER_COLUMNS).where(Order.id == order))
    if not found or not (user.admin or found[0][0].user == user.id):
        raise errors.NotFound
    ((view, cancel_requested),) = found
    history = await _history(order, with_notes=user.admin)
    actions = await _actions(view, cancel_requested, user)
    if any(happening.lines for happening in history):
        await _add_refunded_quantities(view)
    if "cancel" in actions and any(happening.restocked is True for happening in history):
        actions.remove("cancel")
    return OrderDetail(
        **{name: getattr(view, name) for name in OrderView.__struct_fields__},
        cancel_requested=cancel_requested and view.status != "canceled",
        failure=await _failure(order) if view.status == "failed" else None,
        actions=actions,
        history=history,
    )


async def _add_refunded_quantities(order: OrderView) -> None:
    refunded = (await refunded_lines.read_quantities([order.id])).get(order.id, Counter())
    for line in order.lines:
        line.refunded_quantity = refunded.get(line.flavor) or UNSET


async def _failure(order: int) -> decline_codes.Failure:
    """Return why the newest charge of a failed order was declined."""
    charges = Payment.select(Payment.failure).where(
        Payment.order == order, Payment.kind == "charge"
    )
    newest = await charges.order_by(Payment.n, ascending=False).first()
    return decline_codes.failure_of(newest["failure"] if newest else None)


async def _actions(order: OrderView, cancel_requested: bool, user: User) -> list[str]:
    if user.admin and await balances.has_money_left(order):
        return ["refund"]
    excluded = set()
    if cancel_requested or order.fulfilment != states.CANCELABLE_FULFILMENT:
        excluded.add("cancel")
    if not user.admin:
        excluded.add("refund")
    return [
        name
        for name, action in states.ACTIONS.items()
        if order.status in action.sources and name not in excluded
    ]


async def _history(order: int, *, with_notes: bool) -> list[Happening]:
    rows = (
        await Event.select(Event.type, Event.at, Event.by, Event.payload)
        .where(Event.order == order)
        .order_by(Event.seq)
        .output(load_json=True)
    )
    return [
        Happening(
            type=row["type"],
            at=row["at"],
            by=row["by"],
            reason=row["payload"].get("reason") or UNSET,
            amount=row["payload"].get("amount", UNSET),
            reason_code=row["payload"].get("reason_code", UNSET),
            lines=[RefundedLine(**line) for line in row["payload"].get("lines", ())] or UNSET,
            restocked=row["payload"].get("restocked", UNSET),
            internal_note=(with_notes and row["payload"].get("internal_note")) or UNSET,
        )
        for row in rows
    ]
