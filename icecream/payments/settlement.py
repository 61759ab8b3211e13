"""Settlement: a definite answer ends a payment once, and changes its order."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from piccolo.columns import Column

from icecream import database, money, states
from icecream.feed.order_history import Details
from icecream.payments import attempts, balances, corrections, decline_codes
from icecream.payments.balances import Balance
from icecream.payments.leases import Lease, LeaseLost
from icecream.payments.order_transitions import (
    OrderRow,
    OrderTransition,
    apply_transitions,
    begin_transition,
    count_refund,
    lock_orders,
    start_refund,
)
from icecream.payments.providers import Answer, Charge, Declined, Refund, Succeeded
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import Payment

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
    await attempts.delete_jobs([result.lease.payment for result in results])
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
    staged = await apply_transitions(transitions)
    reach_failpoint("payments.settling")
    return staged


async def _await_review(results: Sequence[SettlementResult]) -> bool:
    """Return whether a provider's result is about a refund that failed later and awaits review."""
    answers = [result for result in results if result.by is None]
    refunds = [
        result.lease.payment for result in answers if isinstance(result.lease.request, Refund)
    ]
    return bool(refunds) and await Payment.exists().where(
        database.is_any(Payment.id, refunds),
        Payment.state == "parked",
        Payment.moved == corrections.REVERSED,
    )


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
        await Payment.update({Payment.failure: code}).where(database.is_any(Payment.id, payments))
