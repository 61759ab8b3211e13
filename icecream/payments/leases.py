"""Claims: the right to carry a payment out for the length of a lease, and retries after that."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from piccolo.columns import Column
from piccolo.columns.combination import And, Or, Where
from piccolo.query import Select

from icecream import database, states
from icecream.payments.providers import Charge, Refund, Request
from icecream.runtime.failpoints import reach
from icecream.tables import JOB_KINDS, KINDS, Job, Order, Payment

# The pause after the first try without a definite answer. Each next pause is twice as long, up to
# the longest. The longest pause is short: the breaker protects a provider that is down, and bad
# luck with one payment must not make its customer wait. Pauses are shortened at random by up to
# half, so that payments do not come in waves.
FIRST_RETRY_DELAY_SECONDS, MAX_RETRY_DELAY_SECONDS = 5.0, 12.0
# The longest pause after a refusal that a person has to fix, or after an internal error.
MAX_RETRY_DELAY_AFTER_ERROR_SECONDS = 120.0
PAYMENT_COLUMNS = (
    Payment.id,
    Payment.order,
    Payment.kind,
    Payment.state,
    Payment.provider_key,
    Payment.provider_ref,
    Payment.amount,
    Payment.moved,
    Payment.method,
    Payment.tries,
    Payment.first_sent_at,
    Payment.faults,
)
# The charge reference of a refund whose order has no charge.
NO_CHARGE_REFERENCE = ""
_SET_FIRST_SENT_AT = database.put(Payment.first_sent_at)


class Lease(Struct, frozen=True):
    """A payment that this process may carry out for the length of a lease.

    `tries` is the fencing token. `reference` is the provider's, if known. `sent_at` is the time of
    the first send, as far as we know: a restored backup may have lost it, but it still has the time
    of the order. So the provider may know our key since `known_since`. `faults` counts the tries
    that ended in an internal error. `moved` is the amount that the provider moved, if known and
    different from the requested amount.
    """

    payment: int
    tries: int
    customer: int
    request: Request
    sent_at: datetime
    known_since: datetime
    reference: str | None = None
    faults: int = 0
    moved: int | None = None

    @property
    def order(self) -> int:
        """The id of the order."""
        return self.request.order

    @property
    def kind(self) -> str:
        """`charge` or `refund`."""
        return "charge" if isinstance(self.request, Charge) else "refund"

    @property
    def lacks_charge(self) -> bool:
        """Whether this is a refund of an order that was never charged; no rule creates one."""
        return isinstance(self.request, Refund) and self.request.charge == NO_CHARGE_REFERENCE


class JobFilter(Struct, frozen=True):
    """A filter: which due jobs may be claimed."""

    kinds: Sequence[str] = KINDS
    without: Sequence[int] = ()
    """Customers whose jobs are excluded."""
    only_fresh: bool = False
    """Exclude jobs that were tried before."""

    def jobs(self, *, listed: bool) -> list[And | Or | Where]:
        """Return the filter as conditions on the job's own row, so that skipped jobs cost little.

        Listed jobs are found by kind and subject. Other jobs are read in order of time: with a
        condition that names their kinds, SQLite would read and sort all due jobs.
        """
        other_kinds = [kind for kind in JOB_KINDS if kind not in self.kinds]
        asked: list[And | Or | Where] = [
            Job.kind.is_in(list(self.kinds)) if listed else Job.kind.not_in(other_kinds),
            Job.run_at <= database.seconds_from_now(0),
        ]
        if self.without:
            others = Job.customer.not_in(list(self.without))
            asked.append(Or(Job.customer.is_null(), others))
        if self.only_fresh:
            asked.append(Job.tries == 0)
        return asked


ANY_JOB = JobFilter()
PickJobs = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


class LeaseLost(Exception):
    """Another worker already did this."""


async def acquire_leases(
    ids: Collection[int] | None,
    *,
    limit: int,
    lease: float,
    among: JobFilter = ANY_JOB,
    pick: PickJobs = list,
    sent: Mapping[int, datetime] | None = None,
) -> list[Lease]:
    """Claim due payments, those of `ids` or any, and commit the intent to carry them out.

    Args:
        limit: the maximum number of claims.
        lease: seconds until other workers may claim these payments again.
        among: which jobs may be claimed.
        pick: chooses from the jobs that were found. It may be called again, which must change
            nothing more.
        sent: when a payment was first sent, if not now.
    """
    return await database.transaction(
        lambda: _acquire_leases(ids, among, pick, limit, lease, sent or {})
    )


def _select_due_jobs(ids: Collection[int] | None, among: JobFilter) -> Select[Any]:
    """Return the query for the due jobs, those of `ids` or any."""
    due = Job.select(Job.subject, Job.kind, Job.customer, Job.tries)
    if ids is None:
        return due.where(*among.jobs(listed=False)).order_by(Job.run_at)
    return due.where(*among.jobs(listed=True), Job.subject.is_in(list(ids)))


async def _acquire_leases(
    ids: Collection[int] | None,
    among: JobFilter,
    pick: PickJobs,
    limit: int,
    lease: float,
    sent: Mapping[int, datetime],
) -> list[Lease]:
    now, ours = datetime.now(UTC), Job.kind.is_in(list(KINDS))
    found = pick(await database.unlocked(_select_due_jobs(ids, among).limit(limit)))
    subjects = sorted(row["subject"] for row in found)
    if not subjects:
        return []
    over = database.seconds_from_now(lease)
    await Job.update({Job.run_at: over, Job.tries: Job.tries + 1}).where(
        ours, Job.subject.is_in(subjects)
    )
    rows = await _mark_sent(subjects, now, sent)
    taken = await _leases_for(rows, now)
    reach("payments.claiming")
    if ended := set(subjects) - {row["id"] for row in rows}:
        await Job.delete().where(ours, Job.subject.is_in(sorted(ended)))
    return taken


async def _mark_sent(
    subjects: list[int], now: datetime, sent: Mapping[int, datetime]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        await Payment.update({Payment.state: "sent", Payment.tries: Payment.tries + 1})
        .where(
            Payment.id.is_in(subjects),
            Payment.state.is_in(list(states.sources_of(states.PAYMENT, "sent"))),
        )
        .returning(*PAYMENT_COLUMNS)
    )
    first = [row["id"] for row in rows if row["first_sent_at"] is None]
    # Set only once: from this time on the provider may know the key.
    await _SET_FIRST_SENT_AT([(payment, sent.get(payment, now)) for payment in first])
    return rows


async def _leases_for(rows: Sequence[dict[str, Any]], now: datetime) -> list[Lease]:
    if not rows:
        return []
    orders = sorted({row["order"] for row in rows})
    columns = (Order.id, Order.user, Order.currency, Order.created_at)
    found = await Order.select(*columns).where(Order.id.is_in(orders))
    order_of = {order["id"]: order for order in found}
    charges = await _charge_references([row["order"] for row in rows if row["kind"] == "refund"])
    return [_to_lease(row, order_of[row["order"]], charges, now) for row in rows]


def _to_lease(
    row: dict[str, Any], order: dict[str, Any], charges: dict[int, str], now: datetime
) -> Lease:
    sent_at = row["first_sent_at"] or now
    return Lease(
        payment=row["id"],
        tries=row["tries"],
        customer=order["user"],
        request=_request(row, order["currency"], charges),
        sent_at=sent_at,
        known_since=min(sent_at, order["created_at"]),
        reference=row["provider_ref"],
        faults=row["faults"] or 0,
        moved=row["moved"],
    )


async def _charge_references(orders: Sequence[int]) -> dict[int, str]:
    """Return the provider's references of these orders' charges, by order."""
    if not orders:
        return {}
    charges = await Payment.select(Payment.order, Payment.provider_ref).where(
        Payment.order.is_in(sorted(orders)), Payment.kind == "charge", Payment.state == "succeeded"
    )
    return {row["order"]: row["provider_ref"] for row in charges}


def _request(row: dict[str, Any], currency: str, charges: dict[int, str]) -> Request:
    key, amount, order = row["provider_key"], row["amount"], row["order"]
    if row["kind"] == "charge":
        return Charge(key, amount, currency, order, row["method"])
    return Refund(key, amount, currency, order, charges.get(order, NO_CHARGE_REFERENCE))


async def read_unleased(payment: int, among: Sequence[str] | None = None) -> Lease | None:
    """Return a payment as a claim, without claiming it, to look it up; None if it has ended.

    Args:
        among: the allowed states. The default is the states of a payment that was sent and has not
            ended.
    """
    among = among or states.open_states(states.PAYMENT)
    rows = await Payment.select(*PAYMENT_COLUMNS).where(
        Payment.id == payment, Payment.state.is_in(list(among)), Payment.state != "new"
    )
    return next(iter(await _leases_for(rows, datetime.now(UTC))), None)


def retry_delay(tries: int, longest: float | None = None) -> float:
    """Return the seconds until the next try, after `tries` tries without a definite answer."""
    grown = FIRST_RETRY_DELAY_SECONDS * 2.0 ** min(tries - 1, 20)
    return random.uniform(0.5, 1.0) * min(longest or MAX_RETRY_DELAY_SECONDS, grown)


async def postpone_payment(
    claim: Lease,
    why: str,
    *,
    state: str = "unknown",
    reference: str | None = None,
    longest: float | None = None,
    fault: bool = False,
) -> bool:
    """Schedule a retry with the same key; return False if this is not the newest claim.

    Args:
        state: `unknown` when money may have moved, `sent` when this try did nothing.
        reference: the provider's reference, if it sent one.
        longest: the longest pause in seconds, if not the default.
        fault: whether the cause was an internal error.
    """
    change: dict[Column | str, Any] = {
        Payment.state: state,
        Payment.last_error: why,
        Payment.provider_ref: reference or claim.reference,
        Payment.faults: claim.faults + fault or None,
    }
    seconds = retry_delay(claim.tries, longest)
    try:
        await database.transaction(lambda: _postpone_payment(claim, change, seconds))
    except LeaseLost:
        return False
    return True


async def _postpone_payment(claim: Lease, change: dict[Column | str, Any], seconds: float) -> None:
    later = database.seconds_from_now(seconds)
    await Job.update({Job.run_at: later}).where(
        Job.kind.is_in(list(KINDS)), Job.subject == claim.payment
    )
    # The state must still be the one that the claim set. A payment that was parked since then is
    # for an operator.
    states.check_transition(states.PAYMENT, "sent", str(change[Payment.state]))
    newest = (
        await Payment.update(change)
        .where(
            Payment.id == claim.payment,
            Payment.state == "sent",
            Payment.tries == claim.tries,
        )
        .returning(Payment.id)
    )
    if not newest:
        raise LeaseLost
