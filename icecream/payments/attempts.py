"""Attempts to move money: each has a payment row with its own key, and a job to carry it out."""

import secrets
from collections.abc import Collection, Sequence
from typing import Literal

from msgspec import Struct

from icecream import database, states
from icecream.tables import Job, Payment

_INSERT_PAYMENTS = database.insert(
    Payment,
    (
        Payment.order,
        Payment.kind,
        Payment.n,
        Payment.state,
        Payment.provider_key,
        Payment.amount,
        Payment.method,
        Payment.tries,
    ),
    returning=(Payment.id, Payment.order),
)
_INSERT_JOBS = database.insert(
    Job, (Job.kind, Job.subject, Job.customer, Job.tries), computed=(Job.run_at, database.NOW_SQL)
)


class Attempt(Struct, frozen=True):
    """An amount to be moved for an order, in minor units, for the `n`-th time.

    `customer` is the user who placed the order. `method` is the provider's reference of the payment
    method.
    """

    order: int
    customer: int
    amount: int
    kind: Literal["charge", "refund"] = "charge"
    n: int = 1
    method: str | None = None


def payment_insert(attempts: Sequence[Attempt]) -> database.BoundStatement:
    """Return the insert of the attempts' payments; it returns their ids and order ids."""
    # A random key, stored before it is used. Keys made from ids would repeat after a restored
    # backup, and the provider would take them for the older payments.
    return _INSERT_PAYMENTS, [
        (
            attempt.order,
            attempt.kind,
            attempt.n,
            "new",
            secrets.token_hex(16),
            attempt.amount,
            attempt.method,
            0,
        )
        for attempt in attempts
    ]


def job_insert(attempts: Sequence[Attempt], payments: dict[int, int]) -> database.BoundStatement:
    """Return the insert of the jobs, due at once; `payments` are the payments' ids by order."""
    return _INSERT_JOBS, [
        (attempt.kind, payments[attempt.order], attempt.customer, 0) for attempt in attempts
    ]


async def stage_attempts(attempts: Sequence[Attempt]) -> dict[int, int]:
    """Write the attempts, due at once, within a transaction; return their ids by order."""
    rows = await database.run_together(payment_insert(attempts))
    payments: dict[int, int] = {row["order"]: row["id"] for row in rows}
    await database.run_together(job_insert(attempts, payments))
    return payments


async def next_number(order: int, kind: str) -> int:
    """Return the number of the next attempt; the caller must hold the order."""
    before: int = await Payment.count().where(Payment.order == order, Payment.kind == kind)
    return before + 1


async def delete_jobs(payments: Collection[int]) -> None:
    """Delete the jobs of these payments: nothing is left to do for them."""
    ours = Job.kind.is_in(list(states.PAYMENT_KINDS))
    await Job.delete().where(ours, database.is_any(Job.subject, sorted(payments)))
