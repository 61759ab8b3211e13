"""Placing an order: everything that follows from it is written in one transaction."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from icecream import books, database, events, settings
from icecream.tables import Job, Order, OrderLine, Payment


class Placed(Struct, frozen=True):
    """The new order, and the payment that is to be charged, if it costs anything."""

    order: int
    payment: int | None


async def place(user: int, wanted: dict[int, int]) -> Placed:
    """Order these quantities by flavor id, for a user.

    Once this returns, the order is on the disk with its lines, its payment, the job that will
    charge it, its history and its part of the totals. An order of no cost is paid at once.

    Raises:
        errors.ValidationFailed: a flavor does not exist, or is no longer sold.
        errors.InsufficientStock: there is less left than wanted.
    """
    return await database.transaction(lambda: _place(user, wanted))


async def _place(user: int, wanted: dict[int, int]) -> Placed:
    lines = await books.take(wanted)
    now = datetime.now(UTC)
    total = sum(line.total for line in lines)
    status = "pending" if total else "paid"
    order = await _insert(user, lines, total=total, status=status, now=now)
    payment = await _stage(order, total, now) if total else None
    await events.record(order, "placed", {"total": total}, at=now, by=user)
    if not total:
        await events.record(order, "paid", {"amount": 0}, at=now)
    await books.count(lines, now, {status: 1})
    return Placed(order, payment)


async def _insert(
    user: int, lines: Sequence[books.Line], *, total: int, status: str, now: datetime
) -> int:
    row = Order(
        user=user,
        status=status,
        total=total,
        currency=settings.load().currency,
        created_at=now,
    )
    order: int = (await Order.insert(row))[0]["id"]
    await OrderLine.insert(
        *(
            OrderLine(
                order=order,
                flavor=line.flavor,
                quantity=line.quantity,
                unit_price=line.unit_price,
            )
            for line in lines
        )
    )
    return order


async def _stage(order: int, amount: int, now: datetime) -> int:
    # A random key, stored before anybody can use it: keys made from ids would come again after a
    # restored backup, and be taken by the provider for the older payment.
    row = Payment(
        order=order,
        kind="charge",
        state="new",
        provider_key=secrets.token_hex(16),
        amount=amount,
    )
    payment: int = (await Payment.insert(row))[0]["id"]
    await Job.insert(Job(kind="charge", subject=payment, run_at=now))
    return payment
