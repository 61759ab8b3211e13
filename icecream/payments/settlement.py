"""Settlement: a definite answer ends a payment once, and changes its order."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from piccolo.columns import Column

from icecream import database, errors, money, states
from icecream.catalogue import inventory, order_lines
from icecream.feed import order_history
from icecream.payments import attempts, balances, decline_codes
from icecream.payments.balances import Balance
from icecream.payments.leases import Lease, LeaseLost
from icecream.payments.providers import Answer, Charge, Declined, Refund, Succeeded
from icecream.reporting import totals
from icecream.runtime.failpoints import reach
from icecream.tables import KINDS, Job, Order, OrderLine, Payment

ORDER_COLUMNS = (
    Order.id,
    Order.user,
    Order.status,
    Order.total,
    Order.refunded,
    Order.cancel_requested,
    Order.created_at,
)
MISSING_CHARGE = "It is a refund, but its order has no charge that succeeded."
# The value of `moved` for a refund that failed after it had succeeded: in the end, no money moved.
# No other parked payment has this value. So it shows that an operator has to decide and that no
# answer is expected.
REVERSED = 0


class Parked(Struct, frozen=True):
    """Neither a yes nor a no that we can trust: a person has to review the payment.

    `moved` and `reference` are the provider's values, if it sent any.
    """

    reason: str
    reference: str | None = None
    moved: int | None = None


class SettlementResult(Struct, frozen=True):
    """A certain result of a payment; `by` is the operator who decided it, if any.

    An operator's result is accepted even if another amount moved. `at` is its time, if not now.
    """

    claim: Lease
    answer: Answer | Parked
    by: int | None = None
    at: datetime | None = None

    @property
    def believed(self) -> Answer | Parked:
        """The answer, or `Parked` if the provider moved something else than requested."""
        asked, answer = self.claim.request, self.answer
        if not isinstance(answer, Succeeded) or self.by is not None:
            return answer
        if self.claim.lacks_charge:
            return Parked(MISSING_CHARGE, answer.reference, answer.amount)
        if (answer.amount, answer.currency) == (asked.amount, asked.currency):
            return answer
        texts = [money.format_amount(one.amount, one.currency) for one in (answer, asked)]
        said = " instead of ".join(texts)
        # An amount that a refund moved in another currency does not count as the order's money.
        counts = isinstance(asked, Charge) or answer.currency == asked.currency
        moved = answer.amount if counts else None
        return Parked(f"The provider moved {said}.", answer.reference, moved)


class OrderTransition(Struct):
    """The changes of an order: the statuses that it enters, one after the other.

    `refunded` is added to the refunded amount so far. `refund` is the amount that the provider has
    to refund next. `back` means that the stock is returned. `at` is the time of the changes, if not
    now.
    """

    order: dict[str, Any]
    happened: list[order_history.Happened]
    path: list[str] = msgspec.field(default_factory=list)
    refunded: int = 0
    refund: int = 0
    back: bool = False
    cancel_requested: bool = False
    at: datetime | None = None

    @property
    def status(self) -> str:
        """The last status of the path."""
        return self.path[-1] if self.path else str(self.order["status"])

    def enter(self, status: str, by: int | None = None, **about: Any) -> None:
        """Enter one more status, and add it to the order's history."""
        states.check_transition(states.ORDER, self.status, status)
        self.path.append(status)
        self.tell(status, by, **about)

    def tell(self, kind: str, by: int | None = None, **about: Any) -> None:
        """Add an entry to the order's history."""
        self.happened.append(order_history.Happened(self.order["id"], kind, about, by, self.at))


def begin_transition(order: dict[str, Any], at: datetime | None = None) -> OrderTransition:
    """Return an empty turn of an order, for changes `at` that moment or now."""
    return OrderTransition(order, [], cancel_requested=order["cancel_requested"], at=at)


async def settle(verdicts: Sequence[SettlementResult]) -> list[bool]:
    """Write certain results: payment, order, history, totals, and stock where it is returned.

    A definite answer counts from any source. False means that an answer was written before.

    Raises:
        Late: some of several answers were written before; nothing was written now.
    """
    try:
        await database.transaction(lambda: write_results(verdicts))
    except LeaseLost:
        if len(verdicts) > 1:
            raise
        return [False]
    return [True] * len(verdicts)


async def write_results(verdicts: Sequence[SettlementResult]) -> list[int]:
    """Write certain results, within a transaction.

    Returns:
        The refunds that are to be carried out next.

    Raises:
        Late: an answer was written before.
    """
    held = await lock_orders([one.claim.order for one in verdicts])
    if len(held) < len(verdicts) or await _await_review(verdicts):
        raise LeaseLost
    await delete_jobs([one.claim.payment for one in verdicts])
    believed = [(one, one.believed) for one in verdicts]
    for kind, entering in _FINAL_UPDATES.items():
        await _end_payments(
            entering, [(one, said) for one, said in believed if isinstance(said, kind)]
        )
    # Only for orders with a refund, so that a charge needs no extra query.
    to_refund = {one.claim.order for one in verdicts if isinstance(one.claim.request, Refund)}
    to_refund |= {order for order, row in held.items() if row["cancel_requested"]}
    known = await balances.read_balances(held[order] for order in to_refund)
    turns = [
        _transition_for(one, answer, held[one.claim.order], known.get(one.claim.order))
        for one, answer in believed
    ]
    staged = await apply_transitions(turns, await release_order_stock(turns))
    reach("payments.settling")
    return staged


async def _await_review(verdicts: Sequence[SettlementResult]) -> bool:
    """Return whether a verdict, not by an operator, is about a refund that failed afterwards."""
    answers = [one for one in verdicts if one.by is None]
    refunds = [one.claim.payment for one in answers if isinstance(one.claim.request, Refund)]
    return bool(refunds) and await Payment.exists().where(
        Payment.id.is_in(refunds), Payment.state == "parked", Payment.moved == REVERSED
    )


async def lock_orders(orders: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Lock orders, and return them by id; only the holder of an order changes it."""
    query = (
        Order.select(*ORDER_COLUMNS).where(Order.id.is_in(sorted(set(orders)))).order_by(Order.id)
    )
    return {row["id"]: row for row in await database.locked(query)}


async def delete_jobs(payments: Sequence[int]) -> None:
    """Delete the jobs of these payments: nothing is left to do for them."""
    ours = Job.kind.is_in(list(KINDS))
    await Job.delete().where(ours, Job.subject.is_in(sorted(payments)))


def _transition_for(
    verdict: SettlementResult,
    answer: Answer | Parked,
    order: dict[str, Any],
    balance: Balance | None,
) -> OrderTransition:
    new = begin_transition(order, verdict.at)
    about = {"payment": verdict.claim.payment} | {
        name: value for name, value in msgspec.structs.asdict(answer).items() if value is not None
    }
    if isinstance(answer, Declined) and verdict.by is None:
        # The provider's reason is for staff, with the payment. The customer can read the history
        # too.
        about["reason"] = decline_codes.message_of(answer.code)
    if isinstance(answer, Parked):
        new.tell("parked", verdict.by, **about)
    elif isinstance(verdict.claim.request, Charge):
        _apply_charge(new, isinstance(answer, Succeeded), verdict.by, about)
    elif isinstance(answer, Declined):
        _apply_declined_refund(new, verdict.by, about)
    elif balance is not None:
        count_refund(new, balance, verdict.by, **about)
    asked = new.status == "paid" and new.cancel_requested and not isinstance(answer, Parked)
    if asked and balance is not None:
        start_refund(new, balance)
    return new


def _apply_charge(new: OrderTransition, well: bool, by: int | None, about: dict[str, Any]) -> None:
    new.enter("paid" if well else "failed", by, **about)
    if not well:
        new.back, new.cancel_requested = True, False


def _apply_declined_refund(new: OrderTransition, by: int | None, about: dict[str, Any]) -> None:
    new.tell("refund-declined", by, **about)
    if new.status == "refunding":
        new.cancel_requested = False
        new.enter("paid", by)


def count_refund(
    new: OrderTransition, balance: Balance, by: int | None = None, **about: Any
) -> None:
    """Count a refund that succeeded, using the balance after it.

    The order has ended once the provider holds none of its money.
    """
    new.refunded = balance.refunded - new.order["refunded"]
    if balance.held or new.status == "canceled":
        new.tell("partly-refunded", by, **about)
        if new.status == "refunding":
            new.enter("paid", by)
        return
    if new.status == "paid":
        new.enter("refunding", by, **about)
    _end_order(new, by, **about)


def start_refund(
    new: OrderTransition, balance: Balance, by: int | None = None, **about: Any
) -> None:
    """Refund all that is left of a paid order."""
    new.enter("refunding", by, **about)
    new.refund = balance.held
    if not new.refund:
        # Nothing is left to refund.
        _end_order(new, by)


def _end_order(new: OrderTransition, by: int | None, **about: Any) -> None:
    new.back = new.cancel_requested
    new.enter("canceled" if new.cancel_requested else "refunded", by, **about)


async def release_order_stock(
    turns: Sequence[OrderTransition],
) -> dict[int, list[order_lines.Line]]:
    """Put the stock back where a turn requires it; return the lines of all the orders."""
    lines = await _read_lines([one.order["id"] for one in turns])
    await inventory.release_stock(
        [line for one in turns if one.back for line in lines[one.order["id"]]]
    )
    return lines


async def _read_lines(orders: Sequence[int]) -> dict[int, list[order_lines.Line]]:
    lines: dict[int, list[order_lines.Line]] = {order: [] for order in orders}
    line = OrderLine
    columns = (line.id, line.order, line.flavor, line.quantity, line.unit_price, line.refunded)
    for row in await line.select(*columns).where(line.order.is_in(sorted(lines))).order_by(line.id):
        lines[row.pop("order")].append(order_lines.Line(**row))
    return lines


def _final_update(state: str, column: Column) -> database.Statement:
    # A payment that has ended stays so for every answer. The failure of a succeeded refund is not
    # an answer to a call, and is handled elsewhere.
    unfinished = states.open_states(states.PAYMENT)
    among = [one for one in states.sources_of(states.PAYMENT, state) if one in unfinished]
    return database.enter(Payment.state, state, among=among, column=column)


_FINAL_UPDATES: dict[type, database.Statement] = {
    Succeeded: _final_update("succeeded", Payment.provider_ref),
    Declined: _final_update("declined", Payment.last_error),
    Parked: _final_update("parked", Payment.last_error),
}


async def _end_payments(
    entering: database.Statement, ending: Sequence[tuple[SettlementResult, Answer | Parked]]
) -> None:
    rows = [
        (one.claim.payment, said.reference if isinstance(said, Succeeded) else said.reason)
        for one, said in ending
    ]
    if len(await entering(rows)) < len(rows):
        raise LeaseLost
    for one, said in ending:
        mine = Payment.id == one.claim.payment
        if isinstance(said, Parked) and said.reference is not None:
            await Payment.update(
                {Payment.provider_ref: said.reference, Payment.moved: said.moved}
            ).where(mine)
        elif isinstance(said, Succeeded) and one.by is None and one.claim.moved is not None:
            # The provider moved the requested amount after all. But an operator's decision keeps
            # `moved`, because it is based on it.
            await Payment.update({Payment.moved: None}).where(mine)
    await _save_decline_codes(
        [(one.claim.payment, said) for one, said in ending if isinstance(said, Declined)]
    )


async def _save_decline_codes(declined: Sequence[tuple[int, Declined]]) -> None:
    payments: dict[str, list[int]] = {}
    for payment, said in declined:
        payments.setdefault(said.code, []).append(payment)
    for code, alike in payments.items():
        await Payment.update({Payment.failure: code}).where(Payment.id.is_in(alike))


async def apply_transitions(
    turns: Sequence[OrderTransition], lines: dict[int, list[order_lines.Line]]
) -> list[int]:
    """Write the changes of held orders; return the refunds that are to be carried out next."""
    now = datetime.now(UTC)
    await _update_orders(turns)
    staged = [await _stage_refund(one) for one in turns if one.refund]
    await order_history.record([line for one in turns for line in one.happened], at=now)
    await _update_totals(turns, lines)
    return staged


async def _update_totals(
    turns: Sequence[OrderTransition], lines: dict[int, list[order_lines.Line]]
) -> None:
    """Update the totals, and save each line's share of the refunded amount."""
    come, gone, parts = [], [], list[order_lines.Line]()
    for one in turns:
        before = after = lines[one.order["id"]]
        if one.refunded:
            after = order_lines.share_refund(before, one.order["refunded"] + one.refunded)
            parts += after
        if one.refunded or one.status != one.order["status"]:
            whose = one.order["user"], one.order["created_at"]
            come.append(totals.Sale(*whose, one.status, after))
            gone.append(totals.Sale(*whose, one.order["status"], before))
    await order_lines.save_shares(parts)
    await totals.count(come, gone)


async def _update_orders(turns: Sequence[OrderTransition]) -> None:
    """Update orders with the same change in one statement."""
    alike: dict[tuple[str, int, bool], list[int]] = {}
    for one in turns:
        change = (one.status, one.refunded, one.cancel_requested)
        if change != (one.order["status"], 0, one.order["cancel_requested"]):
            alike.setdefault(change, []).append(one.order["id"])
    for (status, refunded, cancel_requested), orders in alike.items():
        await Order.update(
            {
                Order.status: status,
                Order.refunded: Order.refunded + refunded,
                Order.cancel_requested: cancel_requested,
            }
        ).where(Order.id.is_in(sorted(orders)))


async def _stage_refund(one: OrderTransition) -> int:
    order: int = one.order["id"]
    n = await attempts.next_number(order, "refund")
    attempt = attempts.Attempt(order, one.order["user"], one.refund, "refund", n)
    return (await attempts.stage_attempts([attempt]))[order]


async def lock_order(order: int) -> dict[str, Any]:
    """Lock one order and return it.

    Raises:
        errors.NotFound: there is no such order.
    """
    rows = await lock_orders([order])
    if order not in rows:
        raise errors.NotFound
    return rows[order]
