"""The desk: carries payments out, a limited number at a time in this process."""

import asyncio
import logging
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime

from icecream import database, errors
from icecream.database import batching
from icecream.payments.circuit_breaker import CircuitBreaker
from icecream.payments.concurrency_limits import ConcurrencyLimits
from icecream.payments.leases import (
    MAX_RETRY_DELAY_AFTER_ERROR_SECONDS,
    JobFilter,
    Lease,
    acquire_leases,
    postpone_payment,
)
from icecream.payments.providers import (
    NO_ANSWER,
    Answer,
    Charge,
    Declined,
    Gateway,
    OutcomeUndecided,
    OutcomeUnknown,
    Request,
    RequestRefused,
    RetryLater,
    Succeeded,
)
from icecream.payments.settlement import MISSING_CHARGE, Parked, SettlementResult, settle
from icecream.runtime import background, instrumentation, logs
from icecream.runtime.failpoints import reach
from icecream.tables import KINDS

log = logging.getLogger(__name__)
# The maximum number of payments settled in one transaction.
MAX_SETTLEMENTS_PER_BATCH = 100
# From claim to commit, this many times as many payments as places may be under way.
UNSETTLED_PER_SLOT = 4
RESULT_NAMES: dict[type, str] = {Succeeded: "succeeded", Declined: "declined", Parked: "parked"}
# From this try on, look the payment up before sending it. It follows the second unknown answer.
FIRST_TRY_WITH_LOOKUP = 3
# A payment is parked after this many tries that ended in an internal error.
MAX_INTERNAL_ERRORS = 5


class Executor:
    """The executor of payments: at most `places` at a time in this process.

    Args:
        lease: seconds for which a claimed payment belongs to this process; longer than `timeout`.
        timeout: seconds to wait for the provider.
    """

    def __init__(self, gateway: Gateway, *, places: int, lease: float, timeout: float) -> None:
        self.gateway, self.places, self.lease, self.timeout = gateway, places, lease, timeout
        self._settling = batching.Batches(
            settle,
            of="settlements",
            most=MAX_SETTLEMENTS_PER_BATCH,
            room=UNSETTLED_PER_SLOT * places,
        )
        self._breakers = {kind: CircuitBreaker() for kind in KINDS}
        self._shares = ConcurrencyLimits(places)
        # The internal errors whose traceback was already logged.
        self._told: set[str] = set()
        self._following: asyncio.Task[None] | None = None
        # A place is free again as soon as the answer arrives: the next calls do not wait for the
        # commit.
        self._free, self._unwritten = (
            asyncio.Semaphore(places),
            asyncio.Semaphore(UNSETTLED_PER_SLOT * places),
        )
        # One claim at a time. Places that become free during a claim are all used by the next one.
        self._claiming = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False

    async def serve(self, ids: Sequence[int], customers: Sequence[int] = ()) -> None:
        """Carry out those of these payments that are due, and wait until they are done.

        `customers` are their customers, if known, in the same order. Payments without room then
        cost no query; a follow-up finds them.
        """
        known = dict(zip(ids, customers, strict=True)) if customers else {}
        left, started = list(ids), set[asyncio.Task[None]]()
        while (left := self._shares.with_room(left, known)) and not self._closing:
            async with self._claiming:
                room = await self._take_places(len(left))
                # Other tasks may have taken the room while this one waited.
                left = self._shares.with_room(left, known)
                # If a share is full, most of these payments may have to wait. One query for all of
                # them finds the few that do not.
                looked_at = len(left) if self._shares.any_is_full else room
                now, left = left[:looked_at], left[looked_at:]
                started |= await self._start(now, room)
            if not room:
                break  # Calls to the provider are paused; a sweep finds what is due later.
        if started:
            await asyncio.wait(started)

    async def sweep(self) -> bool:
        """Start due payments, as many as there is room for; return True if there may be more."""
        return await self._sweep(resuming=False)

    async def _sweep(self, *, resuming: bool) -> bool:
        async with self._claiming:
            room = await self._take_places(self.places)
            # Other tasks may have taken the room while this one waited.
            in_vain = not self._shares.resume() and resuming
            started = await self._start([] if in_vain else None, room)
        if started:
            # There may be more than there was room for.
            self._shares.pass_over()
        return len(started) > 0

    async def close(self, grace: float) -> None:
        """Stop claiming, and give running payments `grace` seconds; their intents are committed."""
        self._closing = True
        if self._following is not None:
            self._following.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        await background.cancel(set(self._running))
        await self._settling.close()

    async def _start(self, ids: Sequence[int] | None, room: int) -> set[asyncio.Task[None]]:
        """Claim and start as many payments as places were taken; free the other places."""
        claims: list[Lease] = []
        try:
            if room and ids != [] and not self._closing:
                await self._claim(ids, room, claims)
        finally:
            # Also when a later claim of this round fails: the earlier claims are already ours.
            started = {self._begin(claim) for claim in claims}
            for _ in range(room - len(claims)):
                self._free.release()
                self._unwritten.release()
        return started

    async def _claim(self, ids: Sequence[int] | None, room: int, claims: list[Lease]) -> None:
        """Add due payments that may be sent; for a kind with an open breaker add only a trial."""
        self._shares.pass_over()
        calm = [kind for kind in self._shares.kinds if not self._breakers[kind].is_open]
        if calm:
            self._take(await self._claim_fairly(ids, calm, room), claims)
        for kind, breaker in self._breakers.items():
            if breaker.may_try and len(claims) < room:
                self._take(await self._claim_trial(ids, kind, breaker), claims)
        if claims:
            reach("payments.claimed")

    def _take(self, new: Sequence[Lease], claims: list[Lease]) -> None:
        for one in new:
            self._shares.take(one)
        claims += new

    async def _claim_fairly(
        self, ids: Sequence[int] | None, kinds: Sequence[str], room: int
    ) -> list[Lease]:
        shares = self._shares
        among = JobFilter(kinds, shares.full_customers, shares.only_fresh)
        return await acquire_leases(
            ids, among=among, pick=shares.pick, limit=room, lease=self.lease
        )

    async def _claim_trial(
        self, ids: Sequence[int] | None, kind: str, breaker: CircuitBreaker
    ) -> list[Lease]:
        """Claim one payment, if possible of a customer whose calls were answered."""
        for without in (sorted(breaker.failed), ()):
            among = JobFilter([kind], without)
            trial = await acquire_leases(ids, among=among, limit=1, lease=self.lease)
            if trial:
                breaker.tried()
                return trial
        return []

    def _most(self, wanted: int) -> int:
        """Return how many of these may be sent now; 0 while calls to the provider are paused."""
        if not all(breaker.is_open for breaker in self._breakers.values()):
            return wanted
        return min(wanted, sum(breaker.may_try for breaker in self._breakers.values()))

    async def _take_places(self, most: int) -> int:
        """Wait for one free place, and take more if they are free right now."""
        await self._take_one()
        taken, most = 1, self._most(most)
        while taken < most and not (self._free.locked() or self._unwritten.locked()):
            await self._take_one()
            taken += 1
        if not most:
            self._free.release()
            self._unwritten.release()
        return min(taken, most)

    async def _take_one(self) -> None:
        await self._unwritten.acquire()
        await self._free.acquire()

    def _follow_up(self) -> None:
        """Search for payments that were passed over, now that there may be room for them."""
        idle = self._following is None or self._following.done()
        if self._shares.has_room_again and idle and not self._closing:
            self._following = background.start("follow-up of payments", self._sweep_again)

    async def _sweep_again(self) -> None:
        while self._shares.has_room_again and not self._closing:
            try:
                # While a share is full, leave the rest to the regular sweep: a query for the
                # payments of other customers would have to read all due jobs.
                if await self._sweep(resuming=True) and not self._shares.any_is_full:
                    # There may be more than there were places for.
                    self._shares.pass_over(*KINDS)
            except database.Unavailable as error:
                logs.DATABASE.failed(error)
                break

    def _begin(self, claim: Lease) -> asyncio.Task[None]:
        task = asyncio.create_task(self._carry_out(claim), name=f"payment {claim.payment}")
        self._running.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._unwritten.release()
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The lease expires, and then the same key is sent again.
            if isinstance(error, database.Unavailable):
                logs.DATABASE.failed(error)
            else:
                logs.fault(log, f"{task.get_name()} was left as it is", error, every=True)

    async def _carry_out(self, claim: Lease) -> None:
        logs.about(payment=claim.payment, order=claim.order)
        began = time.perf_counter()
        try:
            answer = await self._in_time(claim)
        except RetryLater as error:
            await self._put_off(claim, error, began)
        except NO_ANSWER as error:
            self._note(claim, "unknown", began, answered=isinstance(error, OutcomeUndecided))
            log.warning("Payment %s has no definite answer: %r", claim.payment, error)
            reference = error.reference if isinstance(error, OutcomeUnknown) else None
            await postpone_payment(claim, repr(error), reference=reference)
        except Exception as error:
            # Any other error of an adapter is a bug. The payment must end, and the bug must be
            # visible.
            await self._fail(claim, error, began)
        else:
            await self._settle(SettlementResult(claim, answer), began)

    async def _settle(self, verdict: SettlementResult, began: float) -> None:
        self._note(verdict.claim, RESULT_NAMES[type(verdict.believed)], began)
        reach("payments.answered")
        try:
            await self._settling.ask(verdict)
        except (errors.Unavailable, database.Unavailable):
            raise
        except Exception as error:
            # The answer cannot be written, which is a bug too.
            await self._fail(verdict.claim, error, began, verdict.believed)
        else:
            reach("payments.settled")

    async def _put_off(self, claim: Lease, error: RetryLater, began: float) -> None:
        refused = isinstance(error, RequestRefused)
        self._note(claim, "refused" if refused else "later", began)
        if refused:
            log.warning("The provider refused payment %s: %s", claim.payment, error)
        longest = MAX_RETRY_DELAY_AFTER_ERROR_SECONDS if refused else None
        await postpone_payment(claim, str(error), state="sent", longest=longest)

    async def _fail(
        self, claim: Lease, error: Exception, began: float, answer: Answer | Parked | None = None
    ) -> None:
        """Handle an internal error: retry the payment a few times, then park it for review."""
        instrumentation.attempted(claim.kind, "error", time.perf_counter() - began)
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {where.filename}:{where.lineno}"
        known = place in self._told
        self._told.add(place)
        log.error("Payment %s: %r", claim.payment, error, exc_info=None if known else error)
        parked = _park_after_error(
            f"Our part failed {MAX_INTERNAL_ERRORS} times: {type(error).__name__}.", answer
        )
        if claim.faults + 1 < MAX_INTERNAL_ERRORS:
            longest, reference = MAX_RETRY_DELAY_AFTER_ERROR_SECONDS, parked.reference
            await postpone_payment(
                claim, repr(error), reference=reference, longest=longest, fault=True
            )
        else:
            await self._settling.ask(SettlementResult(claim, parked))

    def _note(self, claim: Lease, result: str, began: float, *, answered: bool = True) -> None:
        breaker = self._breakers[claim.kind]
        was_open = breaker.is_open
        breaker.note(claim.customer, answered=answered)
        self._shares.note(claim.customer, answered=answered)
        if was_open and not breaker.is_open:
            self._shares.pass_over(claim.kind)
            self._follow_up()
        instrumentation.attempted(claim.kind, result, time.perf_counter() - began)

    async def _in_time(self, claim: Lease) -> Answer | Parked:
        try:
            async with asyncio.timeout(self.timeout):
                return await self._ask(claim)
        finally:
            self._free.release()
            self._shares.give_back(claim)
            self._follow_up()

    async def _ask(self, claim: Lease) -> Answer | Parked:
        if claim.lacks_charge:
            return Parked(MISSING_CHARGE)
        now, life = datetime.now(UTC), self.gateway.key_life
        # The provider may have carried it out and forgotten the key. After a restore we may have
        # forgotten it too.
        old = now - claim.known_since > life
        if claim.reference or old or claim.tries >= FIRST_TRY_WITH_LOOKUP:
            known = await self.gateway.look_up(claim.request, claim.reference)
            if known is not None:
                return known
        if now - claim.sent_at > life:
            return Parked("The provider knows nothing of it, and would charge it anew.")
        reach("payments.before_call")
        return await self._send(claim.request)

    async def _send(self, request: Request) -> Answer:
        if isinstance(request, Charge):
            return await self.gateway.charge(request)
        return await self.gateway.refund(request)


def _park_after_error(why: str, answer: Answer | Parked | None) -> Parked:
    """Park for manual review, with the provider's answer if there is one."""
    if isinstance(answer, Succeeded):
        return Parked(why, answer.reference, answer.amount)
    if isinstance(answer, Parked):
        return Parked(why, answer.reference, answer.moved)
    return Parked(why)
