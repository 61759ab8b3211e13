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
from icecream.payments.differences import Row, difference
from icecream.payments.providers import NO_ANSWER, Gateway, Later, Record
from icecream.payments.remedies import Finding
from icecream.tables import Job, Payment

log = logging.getLogger(__name__)
# Payments younger than YOUNG may still be under way. Payments older than PERIOD were compared
# before, or are compared on request.
YOUNG, PERIOD = timedelta(minutes=10), timedelta(days=3)
# The number of list lines that are compared at once.
CHUNK = 500
# One of all workers compares once a day (EVERY). If it dies, another worker takes over after LEASE.
# If the provider does not answer, the comparison is repeated after RETRY.
KIND, EVERY, LEASE = "reconcile", timedelta(days=1), timedelta(hours=1)
RETRY = timedelta(minutes=5)
# The run time of the first comparison. It is due at once, even if the database's clock is wrong.
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def compare(gateway: Gateway, since: datetime, until: datetime) -> AsyncIterator[Finding]:
    """Yield every difference between the provider's list and our payments first sent in that time.

    Raises:
        providers.NO_ANSWER, providers.Later: the provider does not return its list.
    """
    seen: set[int] = set()
    # A charge may have been refunded at the provider. Its refunds come later in the list.
    for_nothing: list[Finding] = []
    went_back: Counter[str] = Counter()
    # At the provider a payment begins a little later than here.
    async for records in _chunks(gateway, since, until + YOUNG):
        rows = await _matching(records)
        seen.update(row.id for row in rows.values())
        went_back.update(_went_back(records))
        for finding in filter(None, (difference(record, rows) for record in records)):
            if finding.what == "refund":
                for_nothing.append(finding)
            else:
                yield finding
    for finding in for_nothing:
        if left := await _undecided(gateway, finding, went_back):
            yield left
    async for finding in _lacking(since, until, seen):
        yield finding


def _went_back(records: Iterable[Record]) -> Counter[str]:
    """Return the amounts that these refunds returned, by the reference of the charge."""
    sums: Counter[str] = Counter()
    for record in records:
        if record.kind == "refund" and record.charge and record.state == "succeeded":
            sums[record.charge] += record.amount
    return sums


async def _lacking(since: datetime, until: datetime, seen: set[int]) -> AsyncIterator[Finding]:
    """Yield our payments of that time that succeeded, but are missing in the list."""
    sent = (Payment.first_sent_at >= since) & (Payment.first_sent_at < until)
    known, last = sent & (Payment.state == "succeeded"), 0
    while rows_left := await _ours(known & (Payment.id > last)):
        for row in rows_left:
            if row.id not in seen:
                yield Finding("look", "their list lacks it", row.order, row.id)
        last = rows_left[-1].id


async def _chunks(
    gateway: Gateway, since: datetime, until: datetime
) -> AsyncIterator[list[Record]]:
    records: list[Record] = []
    async for record in gateway.records(since, until):
        if not (record.key or "").startswith(remedies.BY_US):
            records.append(record)
        if len(records) == CHUNK:
            yield records
            records = []
    if records:
        yield records


async def _matching(records: list[Record]) -> dict[str, Row]:
    """Return our payments by their keys; for unknown refunds, also by provider references.

    An unknown refund may belong to a charge of ours, or may already be booked under the provider's
    reference.
    """
    rows = await _by(Payment.provider_key, {record.key for record in records})
    strange = [one for one in records if one.kind == "refund" and one.key not in rows]
    for named in ({one.reference for one in strange}, {one.charge for one in strange}):
        rows |= await _by(Payment.provider_ref, named)
    return rows


async def _by(column: Column, names: Iterable[str | None]) -> dict[str, Row]:
    """Return our payments that have one of these values in the column, by that value."""
    given = sorted(filter(None, names))
    found = await _ours(column.is_in(given)) if given else []
    return {getattr(row, column._meta.name): row for row in found}


async def _ours(which: And | Where) -> list[Row]:
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
        .limit(CHUNK)
    )
    return [Row(**row) for row in rows]


async def _undecided(gateway: Gateway, finding: Finding, went_back: Counter[str]) -> Finding | None:
    """Return the finding, unless its money was refunded at the provider or by an operator here."""
    assert finding.record is not None
    if went_back[finding.record.reference] >= finding.record.amount:
        return None
    try:
        return None if await remedies.given_back(gateway, finding) else finding
    except NO_ANSWER as error:
        why = f"{finding.why}; whether it was given back before is not known: {error!r}"
        return Finding("look", why, finding.order, finding.payment, finding.record)


async def run_due(gateway: Gateway) -> bool:
    """Compare if it is due: adopt outcomes where possible, and log the other differences."""
    if not gateway.keeps_list or not await database.transaction(_claim):
        return False
    again = EVERY
    try:
        await _run(gateway)
    except (Later, *NO_ANSWER) as error:
        log.warning("The provider's list is compared again in %s: %r", RETRY, error)
        again = RETRY
    due = database.seconds_from_now(again.total_seconds())
    await Job.update({Job.run_at: due}).where(Job.kind == KIND)
    return False


async def _run(gateway: Gateway) -> None:
    found = left = 0
    until = datetime.now(UTC) - YOUNG
    async for finding in compare(gateway, until - PERIOD, until):
        outcome = remedies.LEFT
        if finding.what == "adopt":
            outcome = await remedies.carry_out(gateway, finding)
        found, left = found + 1, left + (not outcome.done)
        level = logging.INFO if outcome.done else logging.ERROR
        log.log(level, "Compared: %s%s", finding, outcome.said)
    log.info("Compared with the provider's list: %s differences, %s left to be done.", found, left)


_ONCE = database.insert(Job, (Job.kind, Job.subject, Job.run_at, Job.tries), anew=True)


async def _claim() -> bool:
    due = Job.kind == KIND, Job.run_at <= database.seconds_from_now(0)
    if not await Job.exists().where(Job.kind == KIND):
        await _ONCE([(KIND, 0, LONG_AGO, 0)])
    if not await database.unlocked(Job.select(Job.id).where(*due)):
        return False
    over = database.seconds_from_now(LEASE.total_seconds())
    await Job.update({Job.run_at: over, Job.tries: Job.tries + 1}).where(*due)
    return True
