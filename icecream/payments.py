"""The money rule: commit the intent, ask the provider, settle once; unknown is not failed.

Every change of a payment is one UPDATE guarded by the states it may come from; who finds no row
came late, and stops. Locks are taken in one order: jobs, flavors, payments, orders, totals.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct
from piccolo.columns import Column

from icecream import batches, books, database, events, states
from icecream.gateway import Charge, Charged, Declined, Gateway, Unknown
from icecream.tables import Job, Order, OrderLine, Payment

log = logging.getLogger(__name__)
# After the n-th try without a definite answer: 5 s * 2^n, at most an hour, and never two at once.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
# Payments settled in one transaction.
SETTLED = 100
NO_ANSWER = (Unknown, OSError, TimeoutError)


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
    await _enter("succeeded", Payment.provider_ref, paid)
    await _enter("declined", Payment.last_error, failed)
    moves, history = [], []
    for status, group in (("paid", paid), ("failed", failed)):
        placed = await _move_orders([one.claim.order for one in group], status)
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


async def _enter(state: str, column: Column, verdicts: Sequence[Verdict]) -> None:
    entered = await database.enter(
        Payment.state,
        state,
        among=states.before(states.PAYMENT, state),
        column=column,
        rows=[(one.claim.payment, _words(one.answer)) for one in verdicts],
    )
    if entered < len(verdicts):
        raise Late


def _words(answer: Charged | Declined) -> str:
    return answer.reference if isinstance(answer, Charged) else answer.reason


async def _move_orders(orders: Sequence[int], status: str) -> dict[int, datetime]:
    """The moments at which these orders were placed."""
    if not orders:
        return {}
    moved = (
        await Order.update({Order.status: status})
        .where(Order.id.is_in(sorted(orders)), Order.status == "pending")
        .returning(Order.id)
    )
    if len(moved) < len(orders):
        raise RuntimeError(
            f"Among {orders} are orders that are not pending, but are being settled."
        )
    rows = await Order.select(Order.id, Order.created_at).where(Order.id.is_in(sorted(orders)))
    return {row["id"]: row["created_at"] for row in rows}


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


class Desk:
    """Charges at most `places` payments at a time, in this process.

    Args:
        lease: seconds that a claimed payment is ours; longer than `timeout`.
        timeout: seconds to wait for the provider.
    """

    def __init__(self, gateway: Gateway, *, places: int, lease: float, timeout: float) -> None:
        self.gateway, self.places, self.lease, self.timeout = gateway, places, lease, timeout
        self._settling = batches.Batches(settle, most=SETTLED, room=places)
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
        await self._settling.close()

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
            await self._settling.ask(Verdict(claim, answer))
