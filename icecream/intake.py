"""Placing orders: those that arrive together are written together, in one transaction."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from icecream import batches, books, database, errors, events, settings
from icecream.tables import Job, Order, OrderLine, Payment

# Orders in one transaction, and orders that may wait for the next ones.
MOST, ROOM = 100, 2000
Ring = Callable[[list[int]], Coroutine[Any, Any, None]]


class Wanted(Struct, frozen=True):
    """An order to be placed: quantities by flavor id."""

    user: int
    lines: dict[int, int]


class Placed(Struct, frozen=True):
    """The new order, and the payment that is to be charged, if it costs anything."""

    order: int
    payment: int | None


class Intake:
    """Where orders are placed.

    Args:
        ring: tells the workers of payments to be charged; called after the commit.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._line = batches.Batches(self._place, most=MOST, room=ROOM)
        self._ringing: set[asyncio.Task[None]] = set()

    async def place(self, user: int, lines: dict[int, int]) -> Placed:
        """Order these quantities, by flavor id, for a user.

        Once this returns, the order is on the disk with its lines, its payment, the job that will
        charge it, its history and its part of the totals. An order of no cost is paid at once.

        Raises:
            errors.ValidationFailed: a flavor does not exist, or is no longer sold.
            errors.InsufficientStock: there is less left than wanted.
            errors.Unavailable: too many are waiting.
            database.Unsettled: nobody knows whether it was placed.
        """
        return await self._line.ask(Wanted(user, lines))

    async def _place(self, calls: list[Wanted]) -> list[Placed | Exception]:
        outcomes = await database.transaction(lambda: _place(calls))
        if staged := [one.payment for one in outcomes if isinstance(one, Placed) and one.payment]:
            # Nobody waits for it: the bell makes it sooner, the jobs in the database make it sure.
            ringing = asyncio.create_task(self._ring(staged))
            self._ringing.add(ringing)
            ringing.add_done_callback(self._ringing.discard)
        return outcomes

    async def close(self) -> None:
        """Take no more orders, and finish those that were taken."""
        await self._line.close()
        await asyncio.gather(*self._ringing)


class _New(Struct):
    """An order that is being placed."""

    user: int
    lines: list[books.Line]
    total: int
    id: int = 0
    payment: int | None = None

    @property
    def status(self) -> str:
        return "pending" if self.total else "paid"


async def _place(calls: Sequence[Wanted]) -> list[Placed | Exception]:
    now = datetime.now(UTC)
    shelf = await books.shelf({flavor for call in calls for flavor in call.lines})
    outcomes = [_decide(call, shelf) for call in calls]
    new = [one for one in outcomes if isinstance(one, _New)]
    if new:
        await shelf.save()
        await _write(new, now)
        await books.count([books.Move(one.lines, now, {one.status: 1}) for one in new])
    return [Placed(one.id, one.payment) if isinstance(one, _New) else one for one in outcomes]


def _decide(call: Wanted, shelf: books.Shelf) -> _New | errors.Refusal:
    try:
        lines = shelf.take(call.lines)
    except errors.Refusal as refusal:
        return refusal
    return _New(call.user, lines, total=sum(line.total for line in lines))


async def _write(new: Sequence[_New], now: datetime) -> None:
    currency = settings.load().currency
    rows = await database.insert(
        Order,
        (
            Order.user,
            Order.status,
            Order.total,
            Order.refunded,
            Order.currency,
            Order.cancel_requested,
            Order.created_at,
        ),
        [(one.user, one.status, one.total, 0, currency, False, now) for one in new],
        returning=(Order.id, Order.user, Order.total),
    )
    # In whatever order they come back: rows of one user and one total are the same.
    ids: dict[tuple[int, int], list[int]] = {}
    for row in sorted(rows, key=lambda row: row["id"], reverse=True):
        ids.setdefault((row["user"], row["total"]), []).append(row["id"])
    for one in new:
        one.id = ids[one.user, one.total].pop()
    await database.insert(
        OrderLine,
        (OrderLine.order, OrderLine.flavor, OrderLine.quantity, OrderLine.unit_price),
        [
            (one.id, line.flavor, line.quantity, line.unit_price)
            for one in new
            for line in one.lines
        ],
    )
    await _stage([one for one in new if one.total], now)
    await events.record([line for one in new for line in _history(one)], at=now)


async def _stage(new: Sequence[_New], now: datetime) -> None:
    # A random key, stored before anybody can use it: keys made from ids would come again after a
    # restored backup, and be taken by the provider for the older payment.
    rows = await database.insert(
        Payment,
        (
            Payment.order,
            Payment.kind,
            Payment.n,
            Payment.state,
            Payment.provider_key,
            Payment.amount,
            Payment.tries,
        ),
        [(one.id, "charge", 1, "new", secrets.token_hex(16), one.total, 0) for one in new],
        returning=(Payment.id, Payment.order),
    )
    payments = {row["order"]: row["id"] for row in rows}
    for one in new:
        one.payment = payments[one.id]
    await database.insert(
        Job,
        (Job.kind, Job.subject, Job.run_at, Job.tries),
        [("charge", one.payment, now, 0) for one in new],
    )


def _history(one: _New) -> list[events.Happened]:
    placed = events.Happened(one.id, "placed", {"total": one.total}, by=one.user)
    return [placed] if one.total else [placed, events.Happened(one.id, "paid", {"amount": 0})]
