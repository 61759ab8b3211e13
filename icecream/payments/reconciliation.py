"""Our payments beside the provider's own list of them: who knows what the other does not."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from piccolo.columns import Column
from piccolo.columns.combination import And, Where

from icecream import database
from icecream.gateway import NO_ANSWER, Gateway, Later, Record
from icecream.payments import remedies
from icecream.payments.differences import Row, difference
from icecream.payments.remedies import Finding
from icecream.tables import Job, Payment

log = logging.getLogger(__name__)
# What is younger may still be under way; what is older was compared before, or is asked for.
YOUNG, PERIOD = timedelta(minutes=10), timedelta(days=3)
# Lines of a list that are compared at once.
CHUNK = 500
# One of all workers compares, once a day; one that dies meanwhile leaves it to the next, and a
# provider that does not answer is asked again soon.
KIND, EVERY, LEASE = "reconcile", timedelta(days=1), timedelta(hours=1)
RETRY = timedelta(minutes=5)
# The first comparison is due at once, whatever the database's clock says.
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def compare(gateway: Gateway, since: datetime, until: datetime) -> AsyncIterator[Finding]:
    """Every difference between our payments first sent in that time and the provider's list.

    Raises:
        gateway.NO_ANSWER, gateway.Later: the provider does not say its list.
    """
    seen: set[int] = set()
    # Charges may have been given back at the provider: their refunds come later in the list.
    for_nothing: list[Finding] = []
    went_back: Counter[str] = Counter()
    # For them a payment begins a little later than for us.
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
    """How much these refunds gave back, by the reference of the charge."""
    sums: Counter[str] = Counter()
    for record in records:
        if record.kind == "refund" and record.charge and record.state == "succeeded":
            sums[record.charge] += record.amount
    return sums


async def _lacking(since: datetime, until: datetime, seen: set[int]) -> AsyncIterator[Finding]:
    """Our payments of that time that succeeded, and that were not seen in the list."""
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
    """Our payments by their keys; for refunds that we have none of, also by references.

    Such a refund may be of a charge of ours, or be booked already under the provider's reference.
    """
    rows = await _by(Payment.provider_key, {record.key for record in records})
    strange = [one for one in records if one.kind == "refund" and one.key not in rows]
    for named in ({one.reference for one in strange}, {one.charge for one in strange}):
        rows |= await _by(Payment.provider_ref, named)
    return rows


async def _by(column: Column, names: Iterable[str | None]) -> dict[str, Row]:
    """Our payments that have one of these, by it."""
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
    """The finding, unless its money was given back: there, or because an operator said so here."""
    assert finding.record is not None
    if went_back[finding.record.reference] >= finding.record.amount:
        return None
    try:
        return None if await remedies.given_back(gateway, finding) else finding
    except NO_ANSWER as error:
        why = f"{finding.why}; whether it was given back before is not known: {error!r}"
        return Finding("look", why, finding.order, finding.payment, finding.record)


async def run_due(gateway: Gateway) -> bool:
    """Compare if it is time: adopt what can be adopted, and tell of the rest in the log."""
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
