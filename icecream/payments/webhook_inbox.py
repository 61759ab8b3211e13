"""The webhook inbox: each event of the provider is stored once, and then its payment is looked up.

An event alone changes nothing. The provider is queried, and its answer is settled like any other
answer. So events may arrive in any order, any number of times, and at several workers at once.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from icecream import database, errors, states
from icecream.payments import corrections, leases, providers
from icecream.payments.settlement import SettlementResult, settle
from icecream.runtime import instrumentation
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import JOB_QUEUE_START, NOTICE_RETRY_PERIOD, Job, Notice, Payment

log = logging.getLogger(__name__)
# The answer to our own call arrives at about the same time as the event about it. After this delay,
# the answer is usually settled, which saves one query to the provider per payment.
LOOKUP_DELAY = timedelta(seconds=5)
# These calls to the provider are in addition to those of the executor.
MAX_EVENTS_PER_SWEEP = 10
# Applied events are kept for a while, so that staff can read them.
RETENTION = timedelta(days=30)
# A small number keeps the transaction short.
MAX_EVENTS_PER_PRUNE = 1000
# The longest delay between two tries of an event. The payment itself is retried separately, and
# more often.
MAX_RETRY_DELAY_SECONDS = 3600.0
# The width of the columns.
MAX_COLUMN_LENGTH = 255
EVENT_JOBS = Job.kind == "notice"
_INSERT_EVENTS = database.insert(
    Notice,
    (
        Notice.provider,
        Notice.event,
        Notice.key,
        Notice.reference,
        Notice.received_at,
        Notice.applied_at,
    ),
    returning=(Notice.id,),
    skip_existing=True,
)


class DueEvent(Struct, frozen=True):
    """A stored event that is due, for the `tries`-th time."""

    id: int
    key: str
    reference: str
    received_at: datetime
    tries: int

    @property
    def is_old(self) -> bool:
        """Whether it is too old for another retry."""
        return self.received_at < datetime.now(UTC) - NOTICE_RETRY_PERIOD


async def store_event(provider: str, event: providers.WebhookEvent) -> bool:
    """Store a verified event and the job to look its payment up, in one transaction.

    Returns:
        Whether it is new. A repeated event is already stored. An event that cannot be about our
        payments is not stored.
    """
    if not all(_fits_column(text) for text in (event.id, event.key, event.reference)):
        log.warning("A webhook event from %s was ignored: it has no key of ours.", provider)
        return False
    return await database.transaction(lambda: _store_event(provider, event))


def _fits_column(text: str) -> bool:
    """Return whether a text fits its column.

    Our keys do. Others can write their own texts into the provider's records too.
    """
    return len(text) <= MAX_COLUMN_LENGTH and text.isprintable()


async def _store_event(provider: str, event: providers.WebhookEvent) -> bool:
    now, open_states = datetime.now(UTC), list(states.open_states(states.PAYMENT))
    # A refund that succeeded may fail days later, so an event about it always leads to a look-up.
    is_final = (Payment.kind == "charge") | (Payment.state != "succeeded")
    ended = await Payment.exists().where(
        Payment.provider_key == event.key, Payment.state.not_in(open_states), is_final
    )
    applied_at = now if ended else None
    row = (provider, event.id, event.key, event.reference, now, applied_at)
    inserted = await _INSERT_EVENTS([row])
    if inserted and not ended:
        due = database.seconds_from_now(LOOKUP_DELAY.total_seconds())
        await Job.insert(Job(kind="notice", subject=inserted[0]["id"], run_at=due, tries=0))
    reach_failpoint("webhooks.receiving")
    return bool(inserted)


class WebhookInbox:
    """The processor of stored webhook events.

    Args:
        lease_seconds: the length of a lease of a payment or an event; longer than `timeout`.
        timeout: seconds to wait for the provider.
    """

    def __init__(
        self, provider: providers.PaymentProvider, *, lease_seconds: float, timeout: float
    ) -> None:
        self.provider, self.lease_seconds, self.timeout = provider, lease_seconds, timeout

    async def sweep(self) -> bool:
        """Apply some due events; return True if there may be more."""
        events = await database.transaction(self._postpone_due)
        reach_failpoint("webhooks.postponed")
        outcomes = await asyncio.gather(*map(self._apply, events), return_exceptions=True)
        for event, outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, database.DATABASE_UNAVAILABLE):
                raise outcome
            if outcome is not None:
                await _log_failure(event, outcome)
        return len(events) == MAX_EVENTS_PER_SWEEP

    async def _postpone_due(self) -> list[DueEvent]:
        """Postpone due events and return them, so that they are retried after any failure."""
        due = Job.select(Job.subject, Job.tries).where(
            EVENT_JOBS,
            Job.run_at <= database.seconds_from_now(0),
            *await JOB_QUEUE_START.conditions(),
        )
        jobs = await database.for_update_skip_locked(
            due.order_by(Job.run_at).limit(MAX_EVENTS_PER_SWEEP)
        )
        for job in jobs:
            tries = job["tries"] + 1
            later = database.seconds_from_now(
                max(self.lease_seconds, leases.retry_delay(tries, MAX_RETRY_DELAY_SECONDS))
            )
            await Job.update({Job.run_at: later, Job.tries: tries}).where(
                EVENT_JOBS, Job.subject == job["subject"]
            )
        return (
            await _read_events({job["subject"]: job["tries"] + 1 for job in jobs}) if jobs else []
        )

    async def _apply(self, event: DueEvent) -> None:
        if await self._is_done(event):
            await database.transaction(lambda: _mark_applied(event))
        elif event.is_old:
            log.warning(
                "Webhook event %s is not retried any more; its payment has not ended.", event.id
            )
            await _delete_jobs([event.id])

    async def _is_done(self, event: DueEvent) -> bool:
        """Look the payment up and settle it, unless it has ended; return False to retry later."""
        payment = (
            await Payment.select(Payment.id, Payment.kind, Payment.state, Payment.moved)
            .where(Payment.provider_key == event.key)
            .first()
        )
        if payment is None or payment["state"] == "new":
            return False
        if self._is_being_executed(payment["state"], event):
            return False
        if corrections.is_parked_failed_refund(payment["state"], payment["moved"]):
            return True
        if (payment["kind"], payment["state"]) == ("refund", "succeeded"):
            return await self._check_refund(payment["id"], event)
        lease = await leases.read_payment_as_lease(payment["id"])
        if lease is None:
            return True
        answer = await self._look_up(lease.request, event.reference, event)
        if answer is None:
            return False
        await settle([SettlementResult(lease, answer)])
        reach_failpoint("webhooks.settled")
        return True

    async def _check_refund(self, refund: int, event: DueEvent) -> bool:
        """Return whether a succeeded refund is confirmed, or its later failure is written."""
        lease = await leases.read_payment_as_lease(refund, ("succeeded",))
        if lease is None:
            return False
        answer = await self._look_up(lease.request, lease.reference, event)
        if isinstance(answer, providers.Declined):
            try:
                await corrections.park_failed_refund(refund, answer.reason)
            except errors.RefundInProgress:
                log.warning(
                    "Webhook event %s: the failed refund waits until another refund of the order "
                    "has ended.",
                    event.id,
                )
                return False
        return answer is not None

    def _is_being_executed(self, state: str, event: DueEvent) -> bool:
        """Return whether another worker probably waits for the provider's answer now.

        A lease that is older than the event expires within `lease_seconds`. A worker that leased
        the payment later queries the provider too. Then our query is redundant, but harmless.
        """
        age = datetime.now(UTC) - event.received_at
        return state == "sent" and age < timedelta(seconds=self.lease_seconds)

    async def _look_up(
        self, request: providers.Request, reference: str | None, event: DueEvent
    ) -> providers.Answer | None:
        try:
            async with asyncio.timeout(self.timeout):
                return await self.provider.look_up(request, reference)
        except (providers.RetryLater, *providers.NO_ANSWER) as error:
            log.warning("Webhook event %s: the provider did not answer: %r", event.id, error)
            return None


async def _read_events(tries: dict[int, int]) -> list[DueEvent]:
    """Read these events, and delete the jobs of events that were deleted."""
    columns = (Notice.id, Notice.key, Notice.reference, Notice.received_at)
    rows = await Notice.select(*columns).where(database.is_any(Notice.id, sorted(tries)))
    if deleted := tries.keys() - {row["id"] for row in rows}:
        await _delete_jobs(sorted(deleted))
    return [DueEvent(**row, tries=tries[row["id"]]) for row in rows]


async def _log_failure(event: DueEvent, error: BaseException) -> None:
    """Log an event that failed, with the traceback once; it is retried, but not forever."""
    traceback = error if event.tries == 1 else None
    log.error("Webhook event %s could not be applied: %r", event.id, error, exc_info=traceback)
    instrumentation.count_failure("notice")
    if event.is_old:
        await _delete_jobs([event.id])


async def _delete_jobs(events: list[int]) -> None:
    await Job.delete().where(EVENT_JOBS, database.is_any(Job.subject, events))


async def _mark_applied(event: DueEvent) -> None:
    await _delete_jobs([event.id])
    await Notice.update({Notice.applied_at: datetime.now(UTC)}).where(
        Notice.id == event.id, Notice.applied_at.is_null()
    )


async def prune_events() -> bool:
    """Delete some events that were applied long ago; return True if there may be more.

    An event that was not applied is kept for manual review.
    """
    old = (
        Notice.select(Notice.id)
        .where(Notice.applied_at < datetime.now(UTC) - RETENTION)
        .limit(MAX_EVENTS_PER_PRUNE)
    )
    ids = [row["id"] for row in await old]
    if ids:
        await Notice.delete().where(database.is_any(Notice.id, ids))
    return len(ids) == MAX_EVENTS_PER_PRUNE
