"""Attempts to move money: each has a payment row with its own key, and a job to carry it out."""

import secrets
import time
from collections.abc import Collection, Sequence
from typing import Literal

from msgspec import Struct

from icecream import database, states
from icecream.tables import Job, Payment

_INSERT_PAYMENTS = database.insert(
    Payment,
    (
        Payment.id,
        Payment.order,
        Payment.kind,
        Payment.n,
        Payment.provider_key,
        Payment.amount,
        Payment.method,
    ),
    computed=((Payment.state, "'new'"), (Payment.tries, "0")),
)
_INSERT_JOBS = database.insert(
    Job,
    (Job.kind, Job.subject, Job.customer),
    computed=((Job.tries, "0"), (Job.run_at, database.NOW_SQL)),
)
_DELETE_JOBS = database.delete_by(Job.subject, where=f"kind IN {states.PAYMENT_KINDS}")
# The number of the last refund of each order.
LAST_REFUNDS = database.select_max(Payment.order, Payment.n, where="kind = 'refund'")
PAYMENT_IDS = database.new_ids(Payment)


Kind = Literal["charge", "refund"]


class Attempt(Struct, frozen=True):
    """An amount to be moved for an order, in minor units, for the `n`-th time.

    `payment` is the id of its payment. `customer` is the user who placed the order. `method` is the
    provider's reference of the payment method.
    """

    payment: int
    order: int
    customer: int
    amount: int
    kind: Kind = "charge"
    n: int = 1
    method: str | None = None


def new_keys(count: int) -> list[str]:
    """Return the provider's keys for so many attempts, which are stored before they are used.

    They are random: keys made from ids would repeat after a restored backup, and the provider would
    take them for the older payments. They begin with the time, like a UUID of version 7, so that
    the index has new keys side by side: else each payment reads and writes a page of its own.
    """
    start, random = f"{time.time_ns() // 1_000_000:012x}", secrets.token_hex(10 * count)
    return [start + random[n : n + 20] for n in range(0, 20 * count, 20)]


def attempt_inserts(attempts: Sequence[Attempt]) -> list[database.BoundStatement]:
    """Return the inserts of the attempts' payments, and of their jobs, which are due at once."""
    payments = [
        (
            attempt.payment,
            attempt.order,
            attempt.kind,
            attempt.n,
            key,
            attempt.amount,
            attempt.method,
        )
        for attempt, key in zip(attempts, new_keys(len(attempts)), strict=True)
    ]
    jobs = [(attempt.kind, attempt.payment, attempt.customer) for attempt in attempts]
    return [(_INSERT_PAYMENTS, payments), (_INSERT_JOBS, jobs)]


async def stage_attempt(
    order: int, customer: int, amount: int, kind: Kind, *, method: str | None = None
) -> int:
    """Write one more attempt, due at once, within a transaction that holds the order.

    Returns:
        The id of its payment.
    """
    (new,) = await PAYMENT_IDS([(1,)])
    n = await next_number(order, kind)
    attempt = Attempt(new["id"], order, customer, amount, kind, n, method)
    await database.run_together(*attempt_inserts([attempt]))
    return attempt.payment


async def next_number(order: int, kind: str) -> int:
    """Return the number of the next attempt; the caller must hold the order."""
    before: int = await Payment.count().where(Payment.order == order, Payment.kind == kind)
    return before + 1


async def delete_jobs(payments: Collection[int]) -> None:
    """Delete the jobs of these payments: nothing is left to do for them."""
    await database.run_together(job_deletion(payments))


def job_deletion(payments: Collection[int]) -> database.BoundStatement:
    """Return the statement of `delete_jobs`."""
    return _DELETE_JOBS, [(payment,) for payment in sorted(payments)]
