"""Attempts to move money: each a row with a key of its own, and a job that will carry it out."""

import secrets
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from icecream import database
from icecream.tables import Job, Payment

_PAYMENTS = database.insert(
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
_JOBS = database.insert(
    Job, (Job.kind, Job.subject, Job.customer, Job.tries), at=(Job.run_at, database.NOW)
)


class Attempt(Struct, frozen=True):
    """Money to be moved for an order, in minor units; the `n`-th time that this is tried.

    `customer` placed the order, `method` is the provider's reference of what it is paid with.
    """

    order: int
    customer: int
    amount: int
    kind: Literal["charge", "refund"] = "charge"
    n: int = 1
    method: str | None = None


def beginning(attempts: Sequence[Attempt]) -> database.Asked:
    """The attempts' own rows; returned are their ids, each with its order's."""
    # A random key, stored before anybody can use it: keys made from ids would come again after a
    # restored backup, and be taken by the provider for the older payment.
    return _PAYMENTS, [
        (one.order, one.kind, one.n, "new", secrets.token_hex(16), one.amount, one.method, 0)
        for one in attempts
    ]


def due(attempts: Sequence[Attempt], payments: dict[int, int]) -> database.Asked:
    """The jobs that will carry them out, due at once; the payments' ids by order."""
    return _JOBS, [(one.kind, payments[one.order], one.customer, 0) for one in attempts]


async def stage(attempts: Sequence[Attempt]) -> dict[int, int]:
    """Write them, due at once, within the transaction that wants them; their ids by order."""
    rows = await database.together(beginning(attempts))
    payments: dict[int, int] = {row["order"]: row["id"] for row in rows}
    await database.together(due(attempts, payments))
    return payments


async def next_n(order: int, kind: str) -> int:
    """How many there were, and one more; for whoever holds the order."""
    before: int = await Payment.count().where(Payment.order == order, Payment.kind == kind)
    return before + 1
