"""Whose turn it is to ask the provider: a claim for the length of a lease, or later again."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from icecream import database, states
from icecream.gateway import Charge
from icecream.tables import Job, Order, Payment

# After the n-th try without a definite answer: 5 s * 2^n, at most an hour, and never two at once.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0


class Claim(Struct, frozen=True):
    """A payment that is ours to charge for the length of a lease. `tries` is the fence."""

    payment: int
    order: int
    tries: int
    charge: Charge


class Late(Exception):
    """Somebody else already did it."""


async def claim(ids: Iterable[int] | None, *, limit: int, lease: float) -> list[Claim]:
    """Take due payments, those of `ids` or any, and commit the intent to charge them.

    Args:
        limit: the most to take.
        lease: seconds until others may take them again.
    """
    return await database.transaction(lambda: _claim(ids, limit, lease))


async def _claim(ids: Iterable[int] | None, limit: int, lease: float) -> list[Claim]:
    now = datetime.now(UTC)
    due = Job.select(Job.subject).where(Job.kind == "charge", Job.run_at <= now).limit(limit)
    # Those of a list are found by their numbers; in order of time, all that are due would be read.
    due = due.order_by(Job.run_at) if ids is None else due.where(Job.subject.is_in(list(ids)))
    subjects = sorted(row["subject"] for row in await database.unlocked(due))
    if not subjects:
        return []
    await Job.update({Job.run_at: now + timedelta(seconds=lease), Job.tries: Job.tries + 1}).where(
        Job.kind == "charge", Job.subject.is_in(subjects)
    )
    taken = await _mark_sent(subjects, now)
    if ended := set(subjects) - {claim.payment for claim in taken}:
        await Job.delete().where(Job.kind == "charge", Job.subject.is_in(sorted(ended)))
    return taken


async def _mark_sent(subjects: list[int], now: datetime) -> list[Claim]:
    rows = (
        await Payment.update({Payment.state: "sent", Payment.tries: Payment.tries + 1})
        .where(
            Payment.id.is_in(subjects),
            Payment.state.is_in(list(states.before(states.PAYMENT, "sent"))),
        )
        .returning(Payment.id, Payment.order, Payment.provider_key, Payment.amount, Payment.tries)
    )
    if not rows:
        return []
    # Kept from the first time on: from then the provider may know the key.
    await Payment.update({Payment.first_sent_at: now}).where(
        Payment.id.is_in([row["id"] for row in rows]), Payment.first_sent_at.is_null()
    )
    orders = await Order.select(Order.id, Order.currency).where(
        Order.id.is_in([row["order"] for row in rows])
    )
    currency = {order["id"]: order["currency"] for order in orders}
    return [
        Claim(
            payment=row["id"],
            order=row["order"],
            tries=row["tries"],
            charge=Charge(row["provider_key"], row["amount"], currency[row["order"]]),
        )
        for row in rows
    ]


async def postpone(claim: Claim, why: str) -> bool:
    """Note that nobody knows, and ask again later with the same key; False if we are not newest."""
    try:
        await database.transaction(lambda: _postpone(claim, why))
    except Late:
        return False
    return True


async def _postpone(claim: Claim, why: str) -> None:
    pause = random.uniform(0.5, 1.5) * min(LONGEST_PAUSE, FIRST_PAUSE * 2**claim.tries)
    await Job.update({Job.run_at: datetime.now(UTC) + timedelta(seconds=pause)}).where(
        Job.kind == "charge", Job.subject == claim.payment
    )
    newest = (
        await Payment.update({Payment.state: "unknown", Payment.last_error: why})
        .where(
            Payment.id == claim.payment,
            Payment.state.is_in(list(states.before(states.PAYMENT, "unknown"))),
            Payment.tries == claim.tries,
        )
        .returning(Payment.id)
    )
    if not newest:
        raise Late
