"""How a payment ends: by a definite answer of the provider, or void before it was asked."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from piccolo.columns import Column

from icecream import books, database, errors, events, states
from icecream.gateway import Charged, Declined
from icecream.payments.claims import Claim, Late
from icecream.tables import Job, Order, OrderLine, Payment


class Verdict(Struct, frozen=True):
    """A definite answer of the provider."""

    claim: Claim
    answer: Charged | Declined


async def settle(verdicts: Sequence[Verdict]) -> list[bool]:
    """Write definite answers: payment, order, history, totals, and stock back on a no.

    A definite answer counts whoever brings it; False means that somebody brought it before.

    Raises:
        Late: some of several were brought before, and nothing was written.
    """
    try:
        await database.transaction(lambda: _settle(verdicts))
    except Late:
        if len(verdicts) > 1:
            raise
        return [False]
    return [True] * len(verdicts)


async def _settle(verdicts: Sequence[Verdict]) -> None:
    subjects = sorted(verdict.claim.payment for verdict in verdicts)
    await Job.delete().where(Job.kind == "charge", Job.subject.is_in(subjects))
    lines = await _lines([verdict.claim.order for verdict in verdicts])
    paid, failed = (
        [one for one in verdicts if isinstance(one.answer, kind)] for kind in (Charged, Declined)
    )
    await books.give_back([line for one in failed for line in lines[one.claim.order]])
    await _enter(_SUCCEEDED, paid)
    await _enter(_DECLINED, failed)
    moves, history = [], []
    for status, group in (("paid", paid), ("failed", failed)):
        placed = await _move_orders([one.claim.order for one in group], "pending", status)
        for one in group:
            order, about = one.claim.order, {"payment": one.claim.payment}
            about |= msgspec.structs.asdict(one.answer)
            history.append(events.Happened(order, status, about))
            moves.append(books.Move(lines[order], placed[order], {"pending": -1, status: 1}))
    await events.record(history, at=datetime.now(UTC))
    await books.count(moves)


async def _lines(orders: Sequence[int]) -> dict[int, list[books.Line]]:
    lines: dict[int, list[books.Line]] = {order: [] for order in orders}
    line = OrderLine
    for row in await line.select(line.order, line.flavor, line.quantity, line.unit_price).where(
        line.order.is_in(sorted(lines))
    ):
        lines[row.pop("order")].append(books.Line(**row))
    return lines


def _entering(state: str, column: Column) -> database.Statement:
    among = states.before(states.PAYMENT, state)
    return database.enter(Payment.state, state, among=among, column=column)


_SUCCEEDED = _entering("succeeded", Payment.provider_ref)
_DECLINED = _entering("declined", Payment.last_error)


async def _enter(entering: database.Statement, verdicts: Sequence[Verdict]) -> None:
    entered = await entering([(one.claim.payment, _words(one.answer)) for one in verdicts])
    if len(entered) < len(verdicts):
        raise Late


def _words(answer: Charged | Declined) -> str:
    return answer.reference if isinstance(answer, Charged) else answer.reason


async def _move_orders(orders: Sequence[int], source: str, status: str) -> dict[int, datetime]:
    """The moments at which these orders were placed."""
    if not orders:
        return {}
    states.check(states.ORDER, source, status)
    moved = (
        await Order.update({Order.status: status})
        .where(Order.id.is_in(sorted(orders)), Order.status == source)
        .returning(Order.id)
    )
    if len(moved) < len(orders):
        raise RuntimeError(
            f"Among {orders} are orders that are not {source}, but are to be {status}."
        )
    rows = await Order.select(Order.id, Order.created_at).where(Order.id.is_in(sorted(orders)))
    return {row["id"]: row["created_at"] for row in rows}


async def cancel(order: int, *, by: int) -> None:
    """Give an order up before its payment is asked for, and its stock back; twice is once.

    Raises:
        errors.InvalidTransition: it is not pending any more, or its payment is under way.
    """
    try:
        await database.transaction(lambda: _cancel(order, by))
    except Late:
        await _explain(order)


async def _cancel(order: int, by: int) -> None:
    rows = await Payment.select(Payment.id).where(Payment.order == order, Payment.state == "new")
    if not rows:
        raise Late
    payment: int = rows[0]["id"]
    source, status = states.ACTIONS["cancel"]
    # A claim holds the job before it takes the payment: who comes second finds the other's work.
    await Job.delete().where(Job.kind == "charge", Job.subject == payment)
    lines = (await _lines([order]))[order]
    await books.give_back(lines)
    voided = (
        await Payment.update({Payment.state: "void"})
        .where(
            Payment.id == payment, Payment.state.is_in(list(states.before(states.PAYMENT, "void")))
        )
        .returning(Payment.id)
    )
    if not voided:
        raise Late
    placed = await _move_orders([order], source, status)
    now = datetime.now(UTC)
    await events.record([events.Happened(order, status, {"payment": payment}, by=by)], at=now)
    await books.count([books.Move(lines, placed[order], {source: -1, status: 1})])


async def _explain(order: int) -> None:
    row = await Order.select(Order.status).where(Order.id == order).first()
    source, target = row["status"] if row else "", states.ACTIONS["cancel"][1]
    if source != target:
        detail = "Its payment is under way." if source == states.ACTIONS["cancel"][0] else ""
        raise errors.InvalidTransition(source, target, states.ORDER[source], detail)
