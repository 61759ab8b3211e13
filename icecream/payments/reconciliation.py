"""Reconciliation: compares our payments with the provider's own list of them."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from piccolo.columns import Column
from piccolo.columns.combination import And, Where

from icecream import database
from icecream.payments import remedies
from icecream.payments.differences import OurPayment, find_difference
from icecream.payments.providers import NO_ANSWER, Gateway, ProviderRecord, RetryLater
from icecream.payments.remedies import Finding
from icecream.tables import Job, Payment

log = logging.getLogger(__name__)
# Payments younger than YOUNG may still be under way. Payments older than PERIOD were compared
# before, or are compared on request.
MIN_PAYMENT_AGE, COMPARED_PERIOD = timedelta(minutes=10), timedelta(days=3)
# The number of list lines that are compared at once.
MAX_RECORDS_PER_CHUNK = 500
# One of all workers compares once a day (EVERY). If it dies, another worker takes over after LEASE.
# If the provider does not answer, the comparison is repeated after RETRY.
JOB_KIND, INTERVAL, LEASE_DURATION = "reconcile", timedelta(days=1), timedelta(hours=1)
RETRY_DELAY = timedelta(minutes=5)
# The run time of the first comparison. It is due at once, even if the database's clock is wrong.
FIRST_RUN_AT = datetime(2000, 1, 1, tzinfo=UTC)


async def find_differences(
    gateway: Gateway, since: datetime, until: datetime
) -> AsyncIterator[Finding]:
    """Yield every difference between the provider's list and our payments first sent in that time.

    Raises:
        providers.NO_ANSWER, providers.Later: the provider does not return its list.
    """
    seen: set[int] = set()
    # A charge may have been refunded at the provider. Its refunds come later in the list.
    for_nothing: list[Finding] = []
    went_back: Counter[str] = Counter()
    # At the provider a payment begins a little later than here.
    async for records in _read_chunks(gateway, since, until + MIN_PAYMENT_AGE):
        rows = await _matching_payments(records)
        seen.update(row.id for row in rows.values())
        went_back.update(_refunded_amounts(records))
        for finding in filter(None, (find_difference(record, rows) for record in records)):
            if finding.action == "refund":
                for_nothing.append(finding)
            else:
                yield finding
    for finding in for_nothing:
        if left := await _unless_refunded(gateway, finding, went_back):
            yield left
    async for finding in _missing_at_provider(since, until, seen):
        yield finding


def _refunded_amounts(records: Iterable[ProviderRecord]) -> Counter[str]:
    """Return the amounts that these refunds returned, by the reference of the charge."""
    sums: Counter[str] = Counter()
    for record in records:
        if record.kind == "refund" and record.charge and record.state == "succeeded":
            sums[record.charge] += record.amount
    return sums


async def _missing_at_provider(
    since: datetime, until: datetime, seen: set[int]
) -> AsyncIterator[Finding]:
    """Yield our payments of that time that succeeded, but are missing in the list."""
    sent = (Payment.first_sent_at >= since) & (Payment.first_sent_at < until)
    known, last = sent & (Payment.state == "succeeded"), 0
    while rows_left := await _read_payments(known & (Payment.id > last)):
        for row in rows_left:
            if row.id not in seen:
                yield Finding("look", "their list lacks it", row.order, row.id)
        last = rows_left[-1].id


async def _read_chunks(
    gateway: Gateway, since: datetime, until: datetime
) -> AsyncIterator[list[ProviderRecord]]:
    records: list[ProviderRecord] = []
    async for record in gateway.records(since, until):
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
    strange = [one for one in records if one.kind == "refund" and one.key not in rows]
    for named in ({one.reference for one in strange}, {one.charge for one in strange}):
        rows |= await _payments_by(Payment.provider_ref, named)
    return rows


async def _payments_by(column: Column, names: Iterable[str | None]) -> dict[str, OurPayment]:
    """Return our payments that have one of these values in the column, by that value."""
    given = sorted(filter(None, names))
    found = await _read_payments(column.is_in(given)) if given else []
    return {getattr(row, column._meta.name): row for row in found}


async def _read_payments(which: And | Where) -> list[OurPayment]:
    rows: list[dict[str, Any]] = (
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
        .where(which)
        .order_by(Payment.id)
        .limit(MAX_RECORDS_PER_CHUNK)
    )
    return [OurPayment(**row) for row in rows]


async def _unless_refunded(
    gateway: Gateway, finding: Finding, went_back: Counter[str]
) -> Finding | None:
    """Return the finding, unless its money was refunded at the provider or by an operator here."""
    assert finding.record is not None
    if went_back[finding.record.reference] >= finding.record.amount:
        return None
    try:
        return None if await remedies.was_refunded(gateway, finding) else finding
    except NO_ANSWER as error:
        why = f"{finding.reason}; whether it was given back before is not known: {error!r}"
        return Finding("look", why, finding.order, finding.payment, finding.record)


async def reconcile_if_due(gateway: Gateway) -> bool:
    """Compare if it is due: adopt outcomes where possible, and log the other differences."""
    if not gateway.keeps_list or not await database.transaction(_acquire_job):
        return False
    again = INTERVAL
    try:
        await _reconcile(gateway)
    except (RetryLater, *NO_ANSWER) as error:
        log.warning("The provider's list is compared again in %s: %r", RETRY_DELAY, error)
        again = RETRY_DELAY
    due = database.seconds_from_now(again.total_seconds())
    await Job.update({Job.run_at: due}).where(Job.kind == JOB_KIND)
    return False


async def _reconcile(gateway: Gateway) -> None:
    found = left = 0
    until = datetime.now(UTC) - MIN_PAYMENT_AGE
    async for finding in find_differences(gateway, until - COMPARED_PERIOD, until):
        outcome = remedies.NOT_DONE
        if finding.action == "adopt":
            outcome = await remedies.apply_remedy(gateway, finding)
        found, left = found + 1, left + (not outcome.is_done)
        level = logging.INFO if outcome.is_done else logging.ERROR
        log.log(level, "Compared: %s%s", finding, outcome.text)
    log.info("Compared with the provider's list: %s differences, %s left to be done.", found, left)


_INSERT_JOB_ONCE = database.insert(Job, (Job.kind, Job.subject, Job.run_at, Job.tries), anew=True)


async def _acquire_job() -> bool:
    due = Job.kind == JOB_KIND, Job.run_at <= database.seconds_from_now(0)
    if not await Job.exists().where(Job.kind == JOB_KIND):
        await _INSERT_JOB_ONCE([(JOB_KIND, 0, FIRST_RUN_AT, 0)])
    if not await database.unlocked(Job.select(Job.id).where(*due)):
        return False
    over = database.seconds_from_now(LEASE_DURATION.total_seconds())
    await Job.update({Job.run_at: over, Job.tries: Job.tries + 1}).where(*due)
    return True
