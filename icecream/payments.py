"""The money rule: commit the intent, ask the provider, settle once; unknown is not failed.

Every change of a payment is one UPDATE guarded by the states it may come from; who finds no row
came late, and stops. Locks are taken in one order: jobs, flavors, payments, orders, totals.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from icecream import books, database, events, states
from icecream.gateway import Charge, Charged, Declined, Gateway, Unknown
from icecream.tables import Job, Order, OrderLine, Payment

log = logging.getLogger(__name__)
# After the n-th try without a definite answer: 5 s * 2^n, at most an hour, and never two at once.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
NO_ANSWER = (Unknown, OSError, TimeoutError)


class Claim(Struct, frozen=True):
    """A payment that is ours to charge for the length of a lease. `tries` is the fence."""

    payment: int
    order: int
    tries: int
    charge: Charge


class _Late(Exception):
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
    due = Job.select(Job.subject).where(Job.kind == "charge", Job.run_at <= now)
    due = due.order_by(Job.run_at).limit(limit)
    if ids is not None:
        due = due.where(Job.subject.is_in(list(ids)))
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


async def settle(claim: Claim, answer: Charged | Declined) -> bool:
    """Write a definite answer: payment, order, history, totals, and stock back on a no.

    A definite answer counts whoever brings it; False means that somebody brought it before.
    """
    try:
        await database.transaction(lambda: _settle(claim, answer))
    except _Late:
        return False
    return True


async def _settle(claim: Claim, answer: Charged | Declined) -> None:
    await Job.delete().where(Job.kind == "charge", Job.subject == claim.payment)
    lines = await _lines(claim.order)
    if isinstance(answer, Charged):
        await _enter(claim, "succeeded", {Payment.provider_ref: answer.reference})
        status = "paid"
    else:
        await books.give_back(lines)
        await _enter(claim, "declined", {Payment.last_error: answer.reason})
        status = "failed"
    placed = await _move_order(claim.order, status)
    about = {"payment": claim.payment} | msgspec.structs.asdict(answer)
    await events.record(claim.order, status, about, at=datetime.now(UTC))
    await books.count([books.Move(lines, placed, {"pending": -1, status: 1})])


async def _lines(order: int) -> list[books.Line]:
    rows = await OrderLine.select(OrderLine.flavor, OrderLine.quantity, OrderLine.unit_price).where(
        OrderLine.order == order
    )
    return [books.Line(**row) for row in rows]


async def _enter(claim: Claim, state: str, values: dict[Any, Any]) -> None:
    entered = (
        await Payment.update({Payment.state: state} | values)
        .where(
            Payment.id == claim.payment,
            Payment.state.is_in(list(states.before(states.PAYMENT, state))),
        )
        .returning(Payment.id)
    )
    if not entered:
        raise _Late


async def _move_order(order: int, status: str) -> datetime:
    moved = (
        await Order.update({Order.status: status})
        .where(Order.id == order, Order.status == "pending")
        .returning(Order.id)
    )
    if not moved:
        raise RuntimeError(f"Order {order} is not pending, but its payment is being settled.")
    row = await Order.select(Order.created_at).where(Order.id == order).first()
    assert row is not None
    placed: datetime = row["created_at"]
    return placed


async def postpone(claim: Claim, why: str) -> bool:
    """Note that nobody knows, and ask again later with the same key; False if we are not newest."""
    try:
        await database.transaction(lambda: _postpone(claim, why))
    except _Late:
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
        raise _Late


class Desk:
    """Charges at most `places` payments at a time, in this process.

    Args:
        lease: seconds that a claimed payment is ours; longer than `timeout`.
        timeout: seconds to wait for the provider.
    """

    def __init__(self, gateway: Gateway, *, places: int, lease: float, timeout: float) -> None:
        self.gateway, self.places, self.lease, self.timeout = gateway, places, lease, timeout
        self._free = asyncio.Semaphore(places)
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False

    async def charge(self, ids: Sequence[int]) -> None:
        """Charge those of these payments that are due, and wait until they are done."""
        left, started = list(ids), set[asyncio.Task[None]]()
        while left and not self._closing:
            room = await self._take_places(len(left))
            now, left = left[:room], left[room:]
            started |= await self._start(now, room)
        if started:
            await asyncio.wait(started)

    async def sweep(self) -> bool:
        """Start on what is due, as much as there is room for; True if there may be more."""
        room = await self._take_places(self.places)
        return len(await self._start(None, room)) > 0

    async def close(self, grace: float) -> None:
        """Claim no more, and give what is under way so many seconds; the intents are committed."""
        self._closing = True
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _start(self, ids: Sequence[int] | None, room: int) -> set[asyncio.Task[None]]:
        """Claim and begin as many as there are places taken for it; free the other places."""
        claims: list[Claim] = []
        try:
            if not self._closing:
                claims = await claim(ids, limit=room, lease=self.lease)
        finally:
            for _ in range(room - len(claims)):
                self._free.release()
        return {self._begin(claim) for claim in claims}

    async def _take_places(self, most: int) -> int:
        """Wait for one free place, and take as many more as are free right now."""
        taken = 0
        while taken == 0 or (taken < most and not self._free.locked()):
            await self._free.acquire()
            taken += 1
        return taken

    def _begin(self, claim: Claim) -> asyncio.Task[None]:
        task = asyncio.create_task(self._carry_out(claim), name=f"payment {claim.payment}")
        self._running.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._free.release()
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The lease runs out, and the same key is sent again.
            log.error("%s was left as it is: %r", task.get_name(), error, exc_info=error)

    async def _carry_out(self, claim: Claim) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                answer = await self.gateway.charge(claim.charge)
        except NO_ANSWER as error:
            log.warning("Payment %s has no definite answer: %r", claim.payment, error)
            await postpone(claim, repr(error))
        else:
            await settle(claim, answer)
