"""Reconciliation: compares our payments with the provider's own list of them."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta

from piccolo.columns import Column
from piccolo.columns.combination import And, Where, WhereRaw

from icecream import database
from icecream.payments import remedies
from icecream.payments.differences import OurPayment, find_difference
from icecream.payments.providers import NO_ANSWER, PaymentProvider, ProviderRecord, RetryLater
from icecream.payments.remedies import Finding
from icecream.tables import Job, Payment

log = logging.getLogger(__name__)
# Younger payments may still be in progress.
MIN_PAYMENT_AGE = timedelta(minutes=10)
# Older payments were compared before, or are compared on request.
COMPARED_PERIOD = timedelta(days=3)
# The number of list lines that are compared at once.
MAX_RECORDS_PER_CHUNK = 500
JOB_KIND = "reconcile"
JOB_SUBJECT = 0
# One worker of the installation compares the payments, once a day.
INTERVAL = timedelta(days=1)
# If that worker dies, another worker takes over after this time.
LEASE_DURATION = timedelta(hours=1)
# If the provider does not answer, the comparison is repeated after this time.
RETRY_DELAY = timedelta(minutes=5)
# The run time of the first comparison. It is due at once, even if the database's clock is wrong.
FIRST_RUN_AT = datetime(2000, 1, 1, tzinfo=UTC)


async def find_differences(
    provider: PaymentProvider, since: datetime, until: datetime
) -> AsyncIterator[Finding]:
    """Yield every difference between the provider's list and our payments first sent in that time.

    Raises:
        providers.NO_ANSWER, providers.RetryLater: the provider does not return its list.
    """
    # The caller may book refunds of the list meanwhile; they get later ids.
    newest = await Payment.select(Payment.id).order_by(Payment.id, ascending=False).first()
    seen: set[int] = set()
    # A charge may have been refunded at the provider. Its refunds come later in the list.
    unmatched: list[Finding] = []
    refunded: Counter[str] = Counter()
    # At the provider a payment begins a little later than here.
    async for records in _read_chunks(provider, since, until + MIN_PAYMENT_AGE):
        rows = await _matching_payments(records)
        seen.update(row.id for row in rows.values())
        refunded.update(_refunded_amounts(records))
        for finding in filter(None, (find_difference(record, rows) for record in records)):
            if finding.action == "refund":
                unmatched.append(finding)
            else:
                yield finding
    for finding in unmatched:
        if open_finding := await _unless_refunded(provider, finding, refunded):
            yield open_finding
    if newest is not None:
        async for finding in _missing_at_provider(since, until, newest["id"], seen):
            yield finding


def _refunded_amounts(records: Iterable[ProviderRecord]) -> Counter[str]:
    """Return the amounts that these refunds returned, by the reference of the charge."""
    sums: Counter[str] = Counter()
    for record in records:
        if record.kind == "refund" and record.charge and record.state == "succeeded":
            sums[record.charge] += record.amount
    return sums


async def _missing_at_provider(
    since: datetime, until: datetime, newest: int, seen: set[int]
) -> AsyncIterator[Finding]:
    """Yield our payments of that time that succeeded, but are missing from the list."""
    sent = (Payment.first_sent_at >= since) & (Payment.first_sent_at < until)
    sent &= Payment.id <= newest
    known, last = sent & (Payment.state == "succeeded"), 0
    while rows := await _read_payments(known & (Payment.id > last)):
        for row in rows:
            if row.id not in seen:
                yield Finding("look", "missing from the provider's list", row.order, row.id)
        last = rows[-1].id


async def _read_chunks(
    provider: PaymentProvider, since: datetime, until: datetime
) -> AsyncIterator[list[ProviderRecord]]:
    records: list[ProviderRecord] = []
    async for record in provider.records(since, until):
        if not (record.key or "").startswith(remedies.RECONCILED_KEY_PREFIX):
            records.append(record)
        if len(records) == MAX_RECORDS_PER_CHUNK:
            yield records
            records = []
    if records:
        yield records


async def _matching_payments(records: list[ProviderRecord]) -> dict[str, OurPayment]:
    """Return our payments by their keys; for unknown refunds, also by provider references.

    An unknown refund may belong to a charge of ours, or may already be booked under the provider's
    reference.
    """
    rows = await _payments_by(Payment.provider_key, {record.key for record in records})
    unknown = [one for one in records if one.kind == "refund" and one.key not in rows]
    for references in ({one.reference for one in unknown}, {one.charge for one in unknown}):
        rows |= await _payments_by(Payment.provider_ref, references)
    return rows


async def _payments_by(column: Column, names: Iterable[str | None]) -> dict[str, OurPayment]:
    """Return our payments that have one of these values in the column, by that value."""
    values = sorted(filter(None, names))
    found = await _read_payments(database.is_any(column, values)) if values else []
    return {getattr(row, column._meta.name): row for row in found}


async def _read_payments(condition: And | Where | WhereRaw) -> list[OurPayment]:
    rows = (
        await Payment.select(
            Payment.id,
            Payment.order,
            Payment.kind,
            Payment.state,
            Payment.provider_key,
            Payment.provider_ref,
            Payment.amount,
            Payment.moved,
            Payment.order.currency.as_alias("currency"),
        )
        .where(condition)
        .order_by(Payment.id)
        .limit(MAX_RECORDS_PER_CHUNK)
    )
    return [OurPayment(**row) for row in rows]


async def _unless_refunded(
    provider: PaymentProvider, finding: Finding, refunded: Counter[str]
) -> Finding | None:
    """Return the finding, unless its money was refunded at the provider or by an operator here."""
    assert finding.record is not None
    if refunded[finding.record.reference] >= finding.record.amount:
        return None
    try:
        return None if await remedies.was_refunded(provider, finding) else finding
    except NO_ANSWER as error:
        reason = f"{finding.reason}; it is unknown whether it was refunded before: {error!r}"
        return Finding("look", reason, finding.order, finding.payment, finding.record)


async def reconcile_if_due(provider: PaymentProvider) -> bool:
    """Compare if it is due: adopt outcomes where possible, and log the other differences."""
    if not provider.keeps_list or not await database.transaction(_acquire_job):
        return False
    delay = INTERVAL
    try:
        await _reconcile(provider)
    except (RetryLater, *NO_ANSWER) as error:
        log.warning("The reconciliation is repeated in %s: %r", RETRY_DELAY, error)
        delay = RETRY_DELAY
    due = database.seconds_from_now(delay.total_seconds())
    await Job.update({Job.run_at: due}).where(*_IS_OUR_JOB)
    return False


async def _reconcile(provider: PaymentProvider) -> None:
    found = open_count = 0
    until = datetime.now(UTC) - MIN_PAYMENT_AGE
    async for finding in find_differences(provider, until - COMPARED_PERIOD, until):
        outcome = remedies.NOT_DONE
        if finding.action == "adopt":
            outcome = await remedies.apply_remedy(provider, finding)
        found, open_count = found + 1, open_count + (not outcome.is_done)
        level = logging.INFO if outcome.is_done else logging.ERROR
        log.log(level, "Reconciliation: %s%s", finding, outcome.text)
    log.info("Reconciliation ended: %s differences, %s of them open.", found, open_count)


_IS_OUR_JOB = Job.subject == JOB_SUBJECT, Job.kind == JOB_KIND
_INSERT_JOB_ONCE = database.insert(
    Job, (Job.kind, Job.subject, Job.run_at, Job.tries), skip_existing=True
)


async def _acquire_job() -> bool:
    due = *_IS_OUR_JOB, Job.run_at <= database.seconds_from_now(0)
    if not await Job.exists().where(*_IS_OUR_JOB):
        await _INSERT_JOB_ONCE([(JOB_KIND, JOB_SUBJECT, FIRST_RUN_AT, 0)])
    if not await database.for_update_skip_locked(Job.select(Job.id).where(*due)):
        return False
    expiry = database.seconds_from_now(LEASE_DURATION.total_seconds())
    await Job.update({Job.run_at: expiry, Job.tries: Job.tries + 1}).where(*due)
    return True
