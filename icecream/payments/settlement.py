"""Settlement: a definite answer ends a payment once, and changes its order."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from icecream import database, money, states
from icecream.feed import order_history
from icecream.feed.order_history import Details
from icecream.payments import attempts, balances, corrections, decline_codes
from icecream.payments.balances import Balance
from icecream.payments.leases import Lease, LeaseLost
from icecream.payments.order_transitions import (
    OrderRow,
    OrderTransition,
    TransitionData,
    begin_transition,
    count_refund,
    data_queries,
    lock_orders,
    orders_query,
    start_refund,
    to_data,
    to_orders,
    write_statements,
)
from icecream.payments.providers import Answer, Charge, Declined, Refund, Succeeded
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import Order, Payment

MISSING_CHARGE = "It is a refund, but its order has no charge that succeeded."


class Parked(Struct, frozen=True):
    """Neither a yes nor a no that we can trust: an operator has to review the payment.

    `moved` and `reference` are the provider's values, if it sent any.
    """

    reason: str
    reference: str | None = None
    moved: int | None = None


class SettlementResult(Struct, frozen=True):
    """A certain result of a payment; `by` is the operator who decided it, if any.

    An operator's result is accepted even if another amount moved. `at` is its time, if not now. The
    customer never sees the `internal_note`.
    """

    lease: Lease
    answer: Answer | Parked
    by: int | None = None
    at: datetime | None = None
    internal_note: str | None = None

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

    @property
    def moved(self) -> int:
        """The amount that a payment which succeeded has moved."""
        # An operator decides knowing what the provider moved.
        known = self.lease.moved if self.by is not None else None
        return self.lease.request.amount if known is None else known


class _LocksRequired(Exception):
    """These results can only be written in a transaction that locks the orders first."""


async def settle(results: Sequence[SettlementResult]) -> list[bool]:
    """Write certain results: payment, order, history, totals, and stock where it is released.

    A definite answer counts from any source. False means that an answer was written before.

    Raises:
        LeaseLost: some of several answers were written before; nothing was written now.
    """
    try:
        await _settle(results)
    except LeaseLost:
        if len(results) > 1:
            raise
        return [False]
    return [True] * len(results)


async def _settle(results: Sequence[SettlementResult]) -> None:
    if all(_ends_charge(result) for result in results) and not database.DB.transaction_exists():
        with contextlib.suppress(_LocksRequired):
            await database.optimistic_transaction(lambda: _write_charges(results))
            return
    await database.transaction(lambda: write_results(results))


def _ends_charge(result: SettlementResult) -> bool:
    """Return whether the provider accepted or declined a charge, as for most results."""
    is_charge = isinstance(result.lease.request, Charge)
    return is_charge and not isinstance(result.verified, Parked) and result.by is None


async def _write_charges(results: Sequence[SettlementResult]) -> None:
    """Write the provider's answers to charges, within an optimistic transaction.

    Raises:
        LeaseLost: an answer was written before.
        _LocksRequired: an order is not pending, or is to be canceled; or a constraint does not
            allow a row, such as an event with a number that another transaction has used.
    """
    verified = [(result, result.verified) for result in results]
    orders = sorted({result.lease.order for result in results})
    declined = [one.lease.order for one, answer in verified if isinstance(answer, Declined)]
    rows, payments, *data = await database.read_together(
        orders_query(orders),
        _state_query(results),
        *data_queries(orders, changing=(), releasing=declined, locks_stock=False),
    )
    found = to_orders(rows)
    if len(found) < len(results):
        raise LeaseLost
    if any(order.status != "pending" or order.cancel_requested for order in found.values()):
        raise _LocksRequired
    transitions = _begin_transitions(verified, found, _require_open(payments, verified), {})
    try:
        await _write(verified, transitions, to_data(*data))
    except database.CONSTRAINT_VIOLATIONS:
        raise _LocksRequired from None


async def write_results(results: Sequence[SettlementResult]) -> list[int]:
    """Write certain results, within a transaction.

    Returns:
        The refunds that are to be carried out next.

    Raises:
        LeaseLost: an answer was written before.
    """
    locked = await lock_orders([result.lease.order for result in results])
    if len(locked) < len(results):
        raise LeaseLost
    verified = [(result, result.verified) for result in results]
    releasing = {
        result.lease.order
        for result, answer in verified
        if isinstance(answer, Declined) or locked[result.lease.order].cancel_requested
    }
    changing = [
        locked[result.lease.order]
        for result in results
        if isinstance(result.lease.request, Refund) or result.lease.order in releasing
    ]
    payments, amounts, *data = await database.read_together(
        _state_query(results),
        balances.balance_query(changing),
        *data_queries(list(locked), changing=[order.id for order in changing], releasing=releasing),
    )
    current = _require_open(payments, verified)
    known = balances.to_balances(changing, amounts)
    for result, answer in verified:
        if isinstance(answer, Succeeded) and result.lease.order in known:
            known[result.lease.order].add(result.lease.kind, result.moved)
    transitions = _begin_transitions(verified, locked, current, known)
    return await _write(verified, transitions, to_data(*data))


# A result, and its answer after verification.
_Verified = tuple[SettlementResult, Answer | Parked]


def _state_query(results: Sequence[SettlementResult]) -> database.BoundStatement:
    return _SELECT_STATES, [(result.lease.payment,) for result in results]


def _require_open(
    payments: database.ResultRows, verified: Sequence[_Verified]
) -> dict[int, dict[str, Any]]:
    """Return the payments of the results by id, for the result of `_state_query`.

    Raises:
        LeaseLost: one of them does not wait for its answer any more.
    """
    current = {row["id"]: row for row in payments}
    if not all(_is_open(*one, current[one[0].lease.payment]) for one in verified):
        raise LeaseLost
    return current


def _begin_transitions(
    verified: Sequence[_Verified],
    orders: Mapping[int, OrderRow],
    payments: Mapping[int, dict[str, Any]],
    known: Mapping[int, Balance],
) -> list[OrderTransition]:
    """Return the transitions of the orders, in the order of the results."""
    transitions = []
    for result, answer in verified:
        order = result.lease.order
        transition = _transition_for(result, answer, orders[order], known.get(order))
        if not isinstance(answer, Parked):
            amount = _counted_amount(result, answer, payments[result.lease.payment]["moved"])
            transition.end_payment(result.lease.kind, _STATES[type(answer)], amount)
        transitions.append(transition)
    return transitions


async def _write(
    verified: Sequence[_Verified], transitions: Sequence[OrderTransition], data: TransitionData
) -> list[int]:
    """Write the results and what follows from them; return the refunds to be carried out next.

    Raises:
        database.RetryTransaction: what was read is not true any more.
    """
    (update, *further), refunds = write_statements(transitions, data)
    reach_failpoint("payments.settling")
    await database.write_together(
        update,
        (_END_PAYMENTS, [_payment_end(result, answer) for result, answer in verified]),
        attempts.job_deletion([result.lease.payment for result, _ in verified]),
        *further,
    )
    return refunds


def _is_open(result: SettlementResult, answer: Answer | Parked, payment: dict[str, Any]) -> bool:
    """Return whether the payment waits for this answer.

    No answer changes a payment that has ended. No answer of the provider changes a refund that
    failed after it had succeeded: `corrections` has parked it for an operator.
    """
    is_reversed = corrections.is_parked_failed_refund(payment["state"], payment["moved"])
    if is_reversed and result.by is None and isinstance(result.lease.request, Refund):
        return False
    return payment["state"] in _SOURCES[_STATES[type(answer)]]


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
    details |= order_history.explanation(None, result.internal_note)
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


_STATES: dict[type, str] = {Succeeded: "succeeded", Declined: "declined", Parked: "parked"}
_OPEN_STATES = states.open_states(states.PAYMENT)
# The states of a payment before each of these states, if an answer causes the change.
_SOURCES = {
    state: set(states.sources_of(states.PAYMENT, state)).intersection(_OPEN_STATES)
    for state in _STATES.values()
}
_SELECT_STATES = database.select_by(Payment.id, (Payment.id, Payment.state, Payment.moved))
_END_PAYMENTS = database.update_rows(
    {
        "new_state": Payment.state,
        "reference": Payment.provider_ref,
        "reason": Payment.last_error,
        "code": Payment.failure,
        "moved_amount": Payment.moved,
        "keeps_moved": Order.cancel_requested,
    },
    {
        Payment.state: "{new_state}",
        Payment.provider_ref: "COALESCE({reference}, provider_ref)",
        Payment.last_error: "COALESCE({reason}, last_error)",
        Payment.failure: "COALESCE({code}, failure)",
        Payment.moved: "CASE WHEN {keeps_moved} THEN moved ELSE {moved_amount} END",
    },
    # With IS TRUE, PostgreSQL cannot read a partial index on the state instead of the rows' ids;
    # such an index may hold many dead entries.
    where=f"(state IN {_OPEN_STATES}) IS TRUE",
    returning=("id",),
    complete=True,
)


def _counted_amount(result: SettlementResult, answer: Answer, moved: int | None) -> int:
    """Return the amount of a payment after this answer: what it moved, or else its request.

    `moved` is what is stored now; `_payment_end` says when it is kept.
    """
    is_kept = isinstance(answer, Declined) or result.by is not None
    return moved if is_kept and moved is not None else result.lease.request.amount


PaymentEnd = tuple[int, str, str | None, str | None, str | None, int | None, bool]


def _payment_end(result: SettlementResult, answer: Answer | Parked) -> PaymentEnd:
    """Return the row of `_END_PAYMENTS` for an answer."""
    payment = result.lease.payment
    if isinstance(answer, Parked):
        keeps_moved = answer.reference is None
        moved = None if keeps_moved else answer.moved
        return payment, "parked", answer.reference, answer.reason, None, moved, keeps_moved
    if isinstance(answer, Declined):
        return payment, "declined", None, answer.reason, answer.code, None, True
    # The provider moved the requested amount after all. But an operator's decision keeps `moved`,
    # because it is based on it.
    return payment, "succeeded", answer.reference, None, None, None, result.by is not None
