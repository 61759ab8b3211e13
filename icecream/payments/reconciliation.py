"""Our payments beside the provider's own list of them: who knows what the other does not."""

import logging
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct
from piccolo.columns import Column
from piccolo.columns.combination import And, Where

from icecream import database, money, states
from icecream.gateway import Gateway, Later, Record
from icecream.payments import corrections, remedies
from icecream.payments.desk import NO_ANSWER
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


class _Row(Struct):
    """A payment of ours, as far as it is compared."""

    id: int
    order: int
    kind: Literal["charge", "refund"]
    state: str
    provider_key: str
    provider_ref: str | None
    amount: int
    moved: int | None
    currency: str


async def compare(gateway: Gateway, since: datetime, until: datetime) -> AsyncIterator[Finding]:
    """Every difference between our payments first sent in that time and the provider's list.

    Raises:
        gateway.Unknown, gateway.Later, OSError, TimeoutError: the provider does not say its list.
    """
    seen: set[int] = set()
    # For them a payment begins a little later than for us.
    async for records in _chunks(gateway, since, until + YOUNG):
        rows = await _matching(records)
        seen.update(row.id for row in rows.values())
        for record in records:
            if finding := await _open(gateway, _finding(record, rows)):
                yield finding
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


async def _matching(records: list[Record]) -> dict[str, _Row]:
    """Our payments by their keys; for refunds that we have none of, also by references.

    Such a refund may be of a charge of ours, or be booked already under the provider's reference.
    """
    rows = await _by(Payment.provider_key, {record.key for record in records})
    strange = [one for one in records if one.kind == "refund" and one.key not in rows]
    for named in ({one.reference for one in strange}, {one.charge for one in strange}):
        rows |= await _by(Payment.provider_ref, named)
    return rows


async def _by(column: Column, names: Iterable[str | None]) -> dict[str, _Row]:
    """Our payments that have one of these, by it."""
    given = sorted(filter(None, names))
    found = await _ours(column.is_in(given)) if given else []
    return {getattr(row, column._meta.name): row for row in found}


async def _ours(which: And | Where) -> list[_Row]:
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
    return [_Row(**row) for row in rows]


async def _open(gateway: Gateway, finding: Finding | None) -> Finding | None:
    """The finding, unless an operator decided on it before and its money was given back."""
    if finding is None or finding.what != "refund":
        return finding
    try:
        return None if await remedies.given_back(gateway, finding) else finding
    except NO_ANSWER as error:
        why = f"{finding.why}; whether it was given back before is not known: {error!r}"
        return Finding("look", why, finding.order, finding.payment, finding.record)


def _finding(record: Record, rows: dict[str, _Row]) -> Finding | None:
    row = rows.get(record.key or "")
    if row is None and record.kind == "refund":
        row = rows.get(record.reference)
    if row is not None:
        return _difference(record, row)
    if record.state != "succeeded":
        return None
    charge = rows.get(record.charge or "")
    if charge is not None and charge.state == "succeeded":
        amount = money.text(record.amount, record.currency)
        return Finding("book", f"{amount} went back, not by us", charge.order, charge.id, record)
    return _of_nobody(record) if record.key is not None else None


def _difference(record: Record, row: _Row) -> Finding | None:
    moved = record.state == "succeeded"
    if row.state == "parked" and row.moved == corrections.MOVED_BACK and not moved:
        return None
    if row.state == "parked" and moved and _amounts(record, row, row.amount):
        return Finding("look", _amounts(record, row, row.amount), row.order, row.id, record)
    if row.state == "succeeded" and row.kind == "refund" and _failed(record, row):
        why = "the refund failed after it had succeeded"
        return Finding("adopt", why, row.order, row.id, record)
    if row.state == "succeeded":
        why = _differs(record, row)
        return Finding("look", why, row.order, row.id, record) if why else None
    if row.state in states.unfinished(states.PAYMENT) and row.state != "new":
        if record.state != "processing":
            return Finding("adopt", f"it {record.state}", row.order, row.id, record)
    elif moved:
        what: Literal["refund", "look"] = "refund" if record.kind == "charge" else "look"
        why = f"{money.text(record.amount, record.currency)}, but ours is {row.state}"
        return Finding(what, why, row.order, row.id, record)
    return None


def _failed(record: Record, row: _Row) -> bool:
    return record.state == "declined" and record.reference == row.provider_ref


def _of_nobody(record: Record) -> Finding:
    """Its order's number says nothing: after a restored backup another order may have it."""
    what: Literal["refund", "look"] = "refund" if record.kind == "charge" else "look"
    amount = money.text(record.amount, record.currency)
    why = f"{amount} under the key {record.key}, which is none of ours"
    if record.order is not None:
        why += f"; it was for an order {record.order}, which may be another one today"
    return Finding(what, why, None, None, record)


def _differs(record: Record, row: _Row) -> str:
    """What the list says otherwise of a payment that succeeded."""
    said = []
    if record.state != "succeeded":
        said.append(f"they have it as {record.state}, we have it as succeeded")
    if record.reference != row.provider_ref:
        second = f"a second {record.kind} under one key: " * (record.state == "succeeded")
        said.append(f"{second}theirs is {record.reference}, ours is {row.provider_ref}")
    amount = row.amount if row.moved is None else row.moved
    if amounts := _amounts(record, row, amount):
        said.append(amounts)
    return "; ".join(said)


def _amounts(record: Record, row: _Row, amount: int) -> str:
    """How amount or currency differ."""
    if (record.amount, record.currency) == (amount, row.currency):
        return ""
    theirs, ours = money.text(record.amount, record.currency), money.text(amount, row.currency)
    return f"they have {theirs}; we asked for {ours}"


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
