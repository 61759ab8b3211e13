"""Our payments beside the provider's own list of them: who knows what the other does not."""

import hashlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct
from piccolo.columns.combination import And, Where

from icecream import database, events, states
from icecream.gateway import Answer, Declined, Gateway, Record, Refund, Succeeded
from icecream.payments.claims import standing
from icecream.payments.settlement import Verdict, hold, settle
from icecream.tables import Job, Payment

log = logging.getLogger(__name__)
# What is younger may still be under way; what is older was compared before, or is asked for.
YOUNG, PERIOD = timedelta(minutes=10), timedelta(days=3)
# Lines of a list that are compared at once.
CHUNK = 500
# The key of a refund that no payment of ours stands for begins so; the rest is made from the
# charge's reference, so that it is one refund however often somebody decides on it.
BY_US = "reconciled-"
# One of all workers compares, once a day; one that dies meanwhile leaves it to the next.
KIND, EVERY, LEASE = "reconcile", timedelta(days=1), timedelta(hours=1)


class Finding(Struct, frozen=True):
    """A difference, and what is to be done about it.

    `adopt`: they know how a payment of ours ended. `refund`: they took money for nothing that we
    know of, or for a payment that came to nothing. `look`: only a person can say what is true.
    """

    what: Literal["adopt", "refund", "look"]
    why: str
    order: int | None
    payment: int | None
    record: Record | None = None

    def __str__(self) -> str:
        both = [f"payment {self.payment}"] if self.payment else []
        both += [f"{self.record.kind} {self.record.reference}"] if self.record else []
        return f"{self.what}: {' and '.join(both)}: {self.why}"


async def compare(gateway: Gateway, since: datetime, until: datetime) -> AsyncIterator[Finding]:
    """Every difference between our payments first sent in that time and the provider's list."""
    seen: set[str] = set()
    # For them a payment begins a little later than for us.
    async for records in _chunks(gateway, since, until + YOUNG):
        keys = sorted({record.key for record in records})
        rows = {row["provider_key"]: row for row in await _ours(Payment.provider_key.is_in(keys))}
        seen.update(keys)
        for record in records:
            finding = _difference(record, rows.get(record.key))
            if finding and not await _given_back(gateway, finding):
                yield finding
    sent = (Payment.first_sent_at >= since) & (Payment.first_sent_at < until)
    known, last = sent & (Payment.state == "succeeded"), 0
    while rows_left := await _ours(known & (Payment.id > last)):
        for row in rows_left:
            if row["provider_key"] not in seen:
                yield Finding("look", "their list lacks it", row["order"], row["id"])
        last = rows_left[-1]["id"]


async def _chunks(
    gateway: Gateway, since: datetime, until: datetime
) -> AsyncIterator[list[Record]]:
    records: list[Record] = []
    async for record in gateway.records(since, until):
        if not record.key.startswith(BY_US):
            records.append(record)
        if len(records) == CHUNK:
            yield records
            records = []
    if records:
        yield records


async def _ours(which: And | Where) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        await Payment.select(
            Payment.id,
            Payment.order,
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
    return rows


def _difference(record: Record, row: dict[str, Any] | None) -> Finding | None:
    moved = record.state == "succeeded"
    if row is None:
        what: Literal["refund", "look"] = "refund" if record.kind == "charge" else "look"
        why = f"{_money(record)} under the key {record.key}, which is none of ours"
        return Finding(what, why, record.order, None, record) if moved else None
    order, payment, state = row["order"], row["id"], row["state"]
    asked = (row["amount"], row["currency"])
    if state == "parked" and moved and (record.amount, record.currency) != asked:
        why = f"they have {_money(record)}; we asked for {asked[0]} {asked[1]}"
        return Finding("look", why, order, payment, record)
    if state == "succeeded":
        theirs = (record.state, record.reference, record.amount, record.currency)
        amount = row["amount"] if row["moved"] is None else row["moved"]
        if theirs != ("succeeded", row["provider_ref"], amount, row["currency"]):
            why = f"they have {_money(record)}, {record.state}; we have {amount} {row['currency']}"
            return Finding("look", why, order, payment, record)
    elif state in states.unfinished(states.PAYMENT) and state != "new":
        if record.state != "processing":
            return Finding("adopt", f"it {record.state}", order, payment, record)
    elif moved:
        what = "refund" if record.kind == "charge" else "look"
        return Finding(what, f"{_money(record)}, but ours is {state}", order, payment, record)
    return None


def _money(record: Record) -> str:
    return f"{record.amount} {record.currency}"


async def _given_back(gateway: Gateway, finding: Finding) -> bool:
    """Whether somebody decided on this before."""
    if finding.what != "refund":
        return False
    assert finding.record is not None
    known = await gateway.look_up(_refund(finding.record), None)
    return isinstance(known, Succeeded)


def _refund(record: Record) -> Refund:
    key = BY_US + hashlib.sha256(record.reference.encode()).hexdigest()[:32]
    return Refund(key, record.amount, record.currency, record.order or 0, record.reference)


async def adopt(finding: Finding) -> None:
    """Believe the list about a payment whose outcome we do not know, as if it was their answer."""
    record = finding.record
    assert record is not None
    assert finding.payment is not None
    answer: Answer = (
        Succeeded(record.reference, record.amount, record.currency)
        if record.state == "succeeded"
        else Declined("The provider's list has it as declined.")
    )
    if claim := await standing(finding.payment):
        await settle([Verdict(claim, answer)])


async def give_back(gateway: Gateway, finding: Finding) -> Answer:
    """Give all of a charge back that stands for nothing; the order's history tells, if it has one.

    Raises:
        gateway.Unknown, gateway.Later, OSError, TimeoutError: do it again; it is one refund.
    """
    assert finding.record is not None
    request = _refund(finding.record)
    answer = await gateway.refund(request)

    async def tell() -> None:
        about = {"charge": request.charge, "amount": request.amount, "key": request.key}
        if request.order in await hold([request.order]):
            happened = events.Happened(request.order, "reconciled", about)
            await events.record([happened], at=datetime.now(UTC))

    if isinstance(answer, Succeeded):
        await database.transaction(tell)
    return answer


async def run_due(gateway: Gateway) -> bool:
    """Compare if it is time: adopt what can be adopted, and tell of the rest in the log."""
    if not gateway.keeps_list or not await database.transaction(_claim):
        return False
    until = datetime.now(UTC) - YOUNG
    async for finding in compare(gateway, until - PERIOD, until):
        if finding.what == "adopt":
            await adopt(finding)
        log.log(logging.INFO if finding.what == "adopt" else logging.ERROR, "Compared: %s", finding)
    again = database.seconds_from_now(EVERY.total_seconds())
    await Job.update({Job.run_at: again}).where(Job.kind == KIND)
    return False


_ONCE = database.insert(
    Job, (Job.kind, Job.subject, Job.tries), at=(Job.run_at, database.NOW), anew=True
)


async def _claim() -> bool:
    due = Job.kind == KIND, Job.run_at <= database.seconds_from_now(0)
    if not await Job.exists().where(Job.kind == KIND):
        await _ONCE([(KIND, 0, 0)])
    if not await database.unlocked(Job.select(Job.id).where(*due)):
        return False
    over = database.seconds_from_now(LEASE.total_seconds())
    await Job.update({Job.run_at: over, Job.tries: Job.tries + 1}).where(*due)
    return True
