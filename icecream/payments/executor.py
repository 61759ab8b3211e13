"""The executor: carries payments out, a limited number at a time in this process."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence

from icecream import database, states
from icecream.payments.circuit_breaker import CircuitBreaker
from icecream.payments.concurrency_limits import ConcurrencyLimits
from icecream.payments.leases import JobFilter, Lease, acquire_leases
from icecream.payments.provider_calls import OutcomeWriter, call_provider, was_answered
from icecream.payments.providers import PaymentProvider
from icecream.runtime import background, logs
from icecream.runtime.failpoints import reach_failpoint

log = logging.getLogger(__name__)
# A slot is free as soon as the provider has answered. So from lease to commit, more payments than
# slots may be in progress: at most this many for each slot.
UNSETTLED_PER_SLOT = 4
# Answers that arrive together free their slots in the next turns of the event loop. A lease waits
# for them, because a lease of few payments costs almost as much as one of many.
MAX_TURNS_FOR_SLOTS = 2


class Executor:
    """The executor of payments: at most `slots` at a time in this process.

    Args:
        slots: the maximum number of calls to the provider at a time.
        lease_seconds: the length of a lease; longer than `timeout`.
        timeout: seconds to wait for the provider.
    """

    def __init__(
        self, provider: PaymentProvider, *, slots: int, lease_seconds: float, timeout: float
    ) -> None:
        self.provider, self.slots = provider, slots
        self.lease_seconds, self.timeout = lease_seconds, timeout
        self._outcomes = OutcomeWriter(max_unsettled=UNSETTLED_PER_SLOT * slots)
        self._breakers = {kind: CircuitBreaker() for kind in states.PAYMENT_KINDS}
        self._limits = ConcurrencyLimits(slots)
        self._follow_up_task: asyncio.Task[None] | None = None
        # A slot is free again as soon as the answer arrives: the next calls do not wait for the
        # commit.
        self._free_slots = asyncio.Semaphore(slots)
        self._unsettled = asyncio.Semaphore(UNSETTLED_PER_SLOT * slots)
        # Leases are acquired by one task at a time. Slots that become free meanwhile are all used
        # by the next task.
        self._acquiring = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        # While it closes, running payments may end; then they are canceled.
        self._closing = self._closed = False

    async def execute(self, ids: Sequence[int], customers: Sequence[int] = ()) -> None:
        """Carry out those of these payments that are due, and wait until they are done.

        `customers` are their customers, if known, in the same order. With them, payments without a
        free slot cost no query; a follow-up finds them.
        """
        known = dict(zip(ids, customers, strict=True)) if customers else {}
        left, started = list(ids), set[asyncio.Task[None]]()
        while (left := self._limits.with_capacity(left, known)) and not self._closing:
            async with self._acquiring:
                room = await self._take_slots(len(left))
                # Other tasks may have taken the slots while this one waited.
                left = self._limits.with_capacity(left, known)
                # If a limit is reached, most of these payments may have to wait. One query for all
                # of them finds the few that do not.
                queried = len(left) if self._limits.any_is_full else room
                now, left = left[:queried], left[queried:]
                started |= await self._start(now, room)
            if not room:
                break  # Calls to the provider are paused; a sweep finds what is due later.
        if started:
            await asyncio.wait(started)

    async def sweep(self) -> bool:
        """Start due payments, as many as there are slots; return True if there may be more.

        Every worker calls this periodically. It is the only recovery mechanism for payments whose
        notification was lost, whose worker died, or whose retry is due.
        """
        return await self._sweep(resuming=False)

    async def _sweep(self, *, resuming: bool) -> bool:
        async with self._acquiring:
            room = await self._take_slots(self.slots)
            # Other tasks may have taken the slots while this one waited.
            is_needless = not self._limits.take_skipped() and resuming
            started = await self._start([] if is_needless else None, room)
        if started:
            # There may be more payments than slots.
            self._limits.mark_skipped()
        return len(started) > 0

    async def close(self, grace: float) -> None:
        """Acquire no more leases, and wait `grace` seconds for running payments.

        The intents of the payments that are still running then are committed.
        """
        self._closing = True
        if self._follow_up_task is not None:
            self._follow_up_task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._wait_for_running()
        self._closed = True
        await background.cancel_tasks(set(self._running))
        await self._outcomes.close()

    async def _wait_for_running(self) -> None:
        async with self._acquiring:
            pass  # The payments whose leases are being acquired now are running after that.
        if self._running:
            await asyncio.wait(self._running)

    async def _start(self, ids: Sequence[int] | None, room: int) -> set[asyncio.Task[None]]:
        """Start as many due payments as slots were taken; free the other slots."""
        acquired: list[Lease] = []
        try:
            if room and ids != [] and not self._closing:
                await self._acquire(ids, room, acquired)
        finally:
            # Also if a later query fails: this process holds the leases that it acquired before.
            started = set() if self._closed else {self._begin(lease) for lease in acquired}
            for _ in range(room - len(started)):
                self._free_slots.release()
                self._unsettled.release()
        return started

    async def _acquire(self, ids: Sequence[int] | None, room: int, acquired: list[Lease]) -> None:
        """Add due payments that may be sent; for a kind with an open breaker add only a trial."""
        self._limits.mark_skipped()
        calm = [kind for kind in self._limits.kinds if not self._breakers[kind].is_open]
        if calm:
            self._add(await self._acquire_within_limits(ids, calm, room), acquired)
        for kind, breaker in self._breakers.items():
            if breaker.allows_trial and len(acquired) < room:
                self._add(await self._acquire_trial(ids, kind, breaker), acquired)
        if acquired:
            reach_failpoint("payments.leased")

    def _add(self, new: Sequence[Lease], acquired: list[Lease]) -> None:
        for one in new:
            self._limits.acquire(one)
        acquired += new

    async def _acquire_within_limits(
        self, ids: Sequence[int] | None, kinds: Sequence[str], room: int
    ) -> list[Lease]:
        limits = self._limits
        job_filter = JobFilter(kinds, limits.full_customers, limits.retries_are_full)
        return await acquire_leases(
            ids,
            job_filter=job_filter,
            select=limits.select,
            limit=room,
            lease_seconds=self.lease_seconds,
        )

    async def _acquire_trial(
        self, ids: Sequence[int] | None, kind: str, breaker: CircuitBreaker
    ) -> list[Lease]:
        """Lease one payment, if possible of a customer whose calls were answered."""
        for excluded in (sorted(breaker.failed_customers), ()):
            job_filter = JobFilter([kind], excluded)
            trial = await acquire_leases(
                ids, job_filter=job_filter, limit=1, lease_seconds=self.lease_seconds
            )
            if trial:
                breaker.record_trial()
                return trial
        return []

    def _allowed_count(self, wanted: int) -> int:
        """Return how many of these may be sent now; 0 while calls to the provider are paused."""
        if not all(breaker.is_open for breaker in self._breakers.values()):
            return wanted
        return min(wanted, sum(breaker.allows_trial for breaker in self._breakers.values()))

    async def _take_slots(self, most: int) -> int:
        """Wait for one free slot, and take more slots if they are free now or in a few turns."""
        await self._take_slot()
        taken, turns, most = 1, 0, self._allowed_count(most)
        while taken < most and turns < MAX_TURNS_FOR_SLOTS:
            if self._free_slots.locked() or self._unsettled.locked():
                turns += 1
                await asyncio.sleep(0)
            else:
                await self._take_slot()
                taken += 1
        if not most:
            self._free_slots.release()
            self._unsettled.release()
        return min(taken, most)

    async def _take_slot(self) -> None:
        await self._unsettled.acquire()
        await self._free_slots.acquire()

    def _follow_up(self) -> None:
        """Search for payments that were skipped, now that there may be slots for them."""
        idle = self._follow_up_task is None or self._follow_up_task.done()
        if self._limits.has_capacity_again and idle and not self._closing:
            self._follow_up_task = background.start_task("follow-up of payments", self._sweep_again)

    async def _sweep_again(self) -> None:
        while self._limits.has_capacity_again and not self._closing:
            try:
                # While a limit is reached, leave the rest to the regular sweep: a query for the
                # payments of other customers would have to read all due jobs.
                if await self._sweep(resuming=True) and not self._limits.any_is_full:
                    # There may be more payments than slots.
                    self._limits.mark_skipped(*states.PAYMENT_KINDS)
            except database.DatabaseUnavailable as error:
                logs.DATABASE_OUTAGE.record_failure(error)
                break

    def _begin(self, lease: Lease) -> asyncio.Task[None]:
        task = asyncio.create_task(self._carry_out(lease), name=f"payment {lease.payment}")
        self._running.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._unsettled.release()
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The lease expires, and then the same key is sent again.
            if isinstance(error, database.DatabaseUnavailable):
                logs.DATABASE_OUTAGE.record_failure(error)
            else:
                message = f"{task.get_name()} was interrupted; it is retried after its lease"
                logs.log_bug(log, message, error, log_repetitions=True)

    async def _carry_out(self, lease: Lease) -> None:
        logs.add_to_context(payment=lease.payment, order=lease.order)
        started_at = time.perf_counter()
        try:
            outcome = await call_provider(self.provider, lease, self.timeout)
        finally:
            self._free_slots.release()
            self._limits.release(lease)
            self._follow_up()
        # An internal error says nothing about the provider.
        if (answered := was_answered(outcome)) is not None:
            self._record_call(lease, answered=answered)
        await self._outcomes.write(lease, outcome, started_at)

    def _record_call(self, lease: Lease, *, answered: bool) -> None:
        breaker = self._breakers[lease.kind]
        was_open = breaker.is_open
        breaker.record_call(lease.customer, answered=answered)
        self._limits.record_call(lease.customer, answered=answered)
        if was_open and not breaker.is_open:
            self._limits.mark_skipped(lease.kind)
            self._follow_up()
