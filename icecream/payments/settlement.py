"""Settlement: a definite answer ends a payment once, and changes its order."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from piccolo.columns import Column

from icecream import database, errors, money, states
from icecream.catalogue import inventory, order_lines
from icecream.feed import order_history
from icecream.feed.order_history import Detail, Details
from icecream.payments import attempts, balances, decline_codes
from icecream.payments.balances import Balance
from icecream.payments.leases import Lease, LeaseLost
from icecream.payments.providers import Answer, Charge, Declined, Refund, Succeeded
from icecream.reporting import totals
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import PAYMENT_KINDS, Job, Order, OrderLine, Payment

MISSING_CHARGE = "It is a refund, but its order has no charge that succeeded."
# The value of `moved` for a refund that failed after it had succeeded: in the end, no money moved.
# No other parked payment has this value. So it shows that an operator has to decide and that no
# answer is expected.
REVERSED = 0


class OrderRow(Struct):
    """An order that the transaction holds."""

    id: int
    user: int
    status: str
    total: int
    refunded: int
    cancel_requested: bool
    created_at: datetime


ORDER_COLUMNS = database.columns_of(Order, OrderRow)


class Parked(Struct, frozen=True):
    """Neither a yes nor a no that we can trust: an operator has to review the payment.

    `moved` and `reference` are the provider's values, if it sent any.
    """

    reason: str
    reference: str | None = None
    moved: int | None = None


class SettlementResult(Struct, frozen=True):
    """A certain result of a payment; `by` is the operator who decided it, if any.

    An operator's result is accepted even if another amount moved. `at` is its time, if not now.
    """

    lease: Lease
    answer: Answer | Parked
    by: int | None = None
    at: datetime | None = None

    @property
    def verified(self) -> Answer | Parked:
        """The answer, or `Parked` if the provider moved something else than requested."""
        requested, answer = self.lease.request, self.answer
        if not isinstance(answer, Succeeded) or self.by is not None:
            return answer
        if self.lease.lacks_charge:
            return Parked(MISSING_CHARGE, answer.reference, answer.amount)
        if (answer.amount, answer.currency) == (requested.amount, requested.currency):
            return answer
        texts = [money.format_amount(one.amount, one.currency) for one in (answer, requested)]
        amounts = " instead of ".join(texts)
        # An amount that a refund moved in another currency does not count as the order's money.
        counts = isinstance(requested, Charge) or answer.currency == requested.currency
        moved = answer.amount if counts else None
        return Parked(f"The provider moved {amounts}.", answer.reference, moved)


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


def begin_transition(order: OrderRow, at: datetime | None = None) -> OrderTransition:
    """Return a transition without changes, for changes `at` that moment or now."""
    return OrderTransition(order, [], cancel_requested=order.cancel_requested, at=at)


async def settle(results: Sequence[SettlementResult]) -> list[bool]:
    """Write certain results: payment, order, history, totals, and stock where it is released.

    A definite answer counts from any source. False means that an answer was written before.

    Raises:
        LeaseLost: some of several answers were written before; nothing was written now.
    """
    try:
        await database.transaction(lambda: write_results(results))
    except LeaseLost:
        if len(results) > 1:
            raise
        return [False]
    return [True] * len(results)


async def write_results(results: Sequence[SettlementResult]) -> list[int]:
    """Write certain results, within a transaction.

    Returns:
        The refunds that are to be carried out next.

    Raises:
        LeaseLost: an answer was written before.
    """
    locked = await lock_orders([result.lease.order for result in results])
    if len(locked) < len(results) or await _await_review(results):
        raise LeaseLost
    await delete_jobs([result.lease.payment for result in results])
    verified = [(result, result.verified) for result in results]
    for kind, final_update in _FINAL_UPDATES.items():
        await _end_payments(
            final_update,
            [(result, answer) for result, answer in verified if isinstance(answer, kind)],
        )
    # Only for orders with a refund, so that a charge needs no extra query.
    to_refund = {
        result.lease.order for result in results if isinstance(result.lease.request, Refund)
    }
    to_refund |= {order for order, row in locked.items() if row.cancel_requested}
    known = await balances.read_balances(locked[order] for order in to_refund)
    transitions = [
        _transition_for(result, answer, locked[result.lease.order], known.get(result.lease.order))
        for result, answer in verified
    ]
    staged = await apply_transitions(transitions, await release_order_stock(transitions))
    reach_failpoint("payments.settling")
    return staged


async def _await_review(results: Sequence[SettlementResult]) -> bool:
    """Return whether a provider's result is about a refund that failed later and awaits review."""
    answers = [result for result in results if result.by is None]
    refunds = [
        result.lease.payment for result in answers if isinstance(result.lease.request, Refund)
    ]
    return bool(refunds) and await Payment.exists().where(
        Payment.id.is_in(refunds), Payment.state == "parked", Payment.moved == REVERSED
    )


async def lock_orders(orders: Sequence[int]) -> dict[int, OrderRow]:
    """Lock orders, and return them by id; an order is changed only under this lock."""
    query = (
        Order.select(*ORDER_COLUMNS).where(Order.id.is_in(sorted(set(orders)))).order_by(Order.id)
    )
    return {row["id"]: OrderRow(**row) for row in await database.for_no_key_update(query)}


async def delete_jobs(payments: Sequence[int]) -> None:
    """Delete the jobs of these payments: nothing is left to do for them."""
    ours = Job.kind.is_in(list(PAYMENT_KINDS))
    await Job.delete().where(ours, Job.subject.is_in(sorted(payments)))


def _transition_for(
    result: SettlementResult,
    answer: Answer | Parked,
    order: OrderRow,
    balance: Balance | None,
) -> OrderTransition:
    transition = begin_transition(order, result.at)
    details: Details = {"payment": result.lease.payment} | {
        name: value for name, value in msgspec.structs.asdict(answer).items() if value is not None
    }
    if isinstance(answer, Declined) and result.by is None:
        # The provider's reason is for staff, with the payment. The customer can read the history
        # too.
        details["reason"] = decline_codes.message_of(answer.code)
    if isinstance(answer, Parked):
        transition.add_event("parked", result.by, **details)
    elif isinstance(result.lease.request, Charge):
        _apply_charge(transition, isinstance(answer, Succeeded), result.by, details)
    elif isinstance(answer, Declined):
        _apply_declined_refund(transition, result.by, details)
    elif balance is not None:
        count_refund(transition, balance, result.by, **details)
    refund_is_due = (
        transition.status == "paid"
        and transition.cancel_requested
        and not isinstance(answer, Parked)
    )
    if refund_is_due and balance is not None:
        start_refund(transition, balance)
    return transition


def _apply_charge(
    transition: OrderTransition, succeeded: bool, by: int | None, details: Details
) -> None:
    transition.enter("paid" if succeeded else "failed", by, **details)
    if not succeeded:
        transition.releases_stock, transition.cancel_requested = True, False


def _apply_declined_refund(transition: OrderTransition, by: int | None, details: Details) -> None:
    transition.add_event("refund-declined", by, **details)
    if transition.status == "refunding":
        transition.cancel_requested = False
        transition.enter("paid", by)


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


async def release_order_stock(
    transitions: Sequence[OrderTransition],
) -> dict[int, list[order_lines.Line]]:
    """Release the stock where a transition requires it; return the lines of all the orders."""
    lines = await _read_lines([transition.order.id for transition in transitions])
    releasing = [one.order.id for one in transitions if one.releases_stock]
    await inventory.release_stock([line for order in releasing for line in lines[order]])
    return lines


async def _read_lines(orders: Sequence[int]) -> dict[int, list[order_lines.Line]]:
    lines: dict[int, list[order_lines.Line]] = {order: [] for order in orders}
    line = OrderLine
    columns = (line.id, line.order, line.flavor, line.quantity, line.unit_price, line.refunded)
    for row in await line.select(*columns).where(line.order.is_in(sorted(lines))).order_by(line.id):
        lines[row.pop("order")].append(order_lines.Line(**row))
    return lines


def _final_update(state: str, column: Column) -> database.Statement:
    # No answer changes a payment that has ended. The later failure of a refund is not an answer to
    # a call: `corrections` handles it.
    open_states = states.open_states(states.PAYMENT)
    sources = [one for one in states.sources_of(states.PAYMENT, state) if one in open_states]
    return database.update_states(Payment.state, state, from_states=sources, column=column)


_FINAL_UPDATES: dict[type, database.Statement] = {
    Succeeded: _final_update("succeeded", Payment.provider_ref),
    Declined: _final_update("declined", Payment.last_error),
    Parked: _final_update("parked", Payment.last_error),
}


async def _end_payments(
    final_update: database.Statement, outcomes: Sequence[tuple[SettlementResult, Answer | Parked]]
) -> None:
    rows = [
        (result.lease.payment, answer.reference if isinstance(answer, Succeeded) else answer.reason)
        for result, answer in outcomes
    ]
    if len(await final_update(rows)) < len(rows):
        raise LeaseLost
    for result, answer in outcomes:
        is_this_payment = Payment.id == result.lease.payment
        if isinstance(answer, Parked) and answer.reference is not None:
            await Payment.update(
                {Payment.provider_ref: answer.reference, Payment.moved: answer.moved}
            ).where(is_this_payment)
        elif isinstance(answer, Succeeded) and result.by is None and result.lease.moved is not None:
            # The provider moved the requested amount after all. But an operator's decision keeps
            # `moved`, because it is based on it.
            await Payment.update({Payment.moved: None}).where(is_this_payment)
    await _save_decline_codes(
        [
            (result.lease.payment, answer)
            for result, answer in outcomes
            if isinstance(answer, Declined)
        ]
    )


async def _save_decline_codes(declined: Sequence[tuple[int, Declined]]) -> None:
    payments_by_code: dict[str, list[int]] = {}
    for payment, decline in declined:
        payments_by_code.setdefault(decline.code, []).append(payment)
    for code, payments in payments_by_code.items():
        await Payment.update({Payment.failure: code}).where(Payment.id.is_in(payments))


async def apply_transitions(
    transitions: Sequence[OrderTransition], lines: dict[int, list[order_lines.Line]]
) -> list[int]:
    """Write the changes of locked orders; return the refunds that are to be carried out next."""
    now = datetime.now(UTC)
    await _update_orders(transitions)
    staged = [await _stage_refund(transition) for transition in transitions if transition.refund]
    events = [event for transition in transitions for event in transition.events]
    await order_history.record_events(events, at=now)
    await _update_totals(transitions, lines)
    return staged


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
        ).where(Order.id.is_in(sorted(orders)))


async def _stage_refund(transition: OrderTransition) -> int:
    order = transition.order.id
    n = await attempts.next_number(order, "refund")
    attempt = attempts.Attempt(order, transition.order.user, transition.refund, "refund", n)
    return (await attempts.stage_attempts([attempt]))[order]


async def lock_order(order: int) -> OrderRow:
    """Lock one order and return it.

    Raises:
        errors.NotFound: there is no such order.
    """
    rows = await lock_orders([order])
    if order not in rows:
        raise errors.NotFound
    return rows[order]
