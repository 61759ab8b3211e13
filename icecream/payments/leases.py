"""Leases: the right to carry a payment out for a limited time, and the retries after it."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from piccolo.columns import Column
from piccolo.columns.combination import And, Or, Where, WhereRaw
from piccolo.query import Select

from icecream import database, states
from icecream.payments.providers import Charge, Refund, Request
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import JOB_KINDS, JOB_QUEUE_START, Job, Payment

# The delay after the first try without a definite answer. Each next delay is twice as long, up to
# the maximum. Delays are shortened at random by up to half, so that retries do not come in waves.
FIRST_RETRY_DELAY_SECONDS = 5.0
# It is short: the circuit breaker protects a provider that is down, and one failed call must not
# make a customer wait.
MAX_RETRY_DELAY_SECONDS = 12.0
# The longest delay after a refusal that an operator has to fix, or after an internal error.
MAX_RETRY_DELAY_AFTER_ERROR_SECONDS = 120.0
# The charge reference of a refund whose order has no charge.
NO_CHARGE_REFERENCE = ""
Change = dict[Column | str, int | str | None]
_IS_POSTGRES = isinstance(database.DB, database.Postgres)
# For jobs that are found by an id. PostgreSQL may not use the index on `run_at` for them: with
# misleading statistics it would read all earlier jobs, with the deleted ones.
_DUE_TIME = "run_at + interval '0'" if _IS_POSTGRES else "run_at"
_IS_DUE = f"{_DUE_TIME} <= {database.NOW_SQL}"


class Lease(Struct, frozen=True):
    """The right of this process to carry out one payment for a limited time.

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
    """A filter for the due jobs that may be leased."""

    kinds: Sequence[str] = states.PAYMENT_KINDS
    excluded_customers: Sequence[int] = ()
    """Customers whose jobs are excluded."""
    only_new: bool = False
    """Exclude jobs that were tried before."""

    def conditions(self) -> list[And | Or | Where | WhereRaw]:
        """Return the filter as conditions on the job's own row, so that skipped jobs cost little.

        Jobs are read in order of time: with a condition that names their kinds, SQLite would read
        and sort all due jobs.
        """
        conditions: list[And | Or | Where | WhereRaw] = [
            Job.kind.not_in([kind for kind in JOB_KINDS if kind not in self.kinds]),
            Job.run_at <= database.seconds_from_now(0),
        ]
        if self.excluded_customers:
            others = database.is_none(Job.customer, self.excluded_customers)
            conditions.append(Or(Job.customer.is_null(), others))
        if self.only_new:
            conditions.append(Job.tries == 0)
        return conditions

    def allows(self, job: "DueJob") -> bool:
        """Return whether a due job may be leased; the same rules as `conditions`."""
        return (
            job.kind in self.kinds
            and job.customer not in self.excluded_customers
            and not (self.only_new and job.tries)
        )


class DueJob(Struct):
    """The job of a payment that is due; a job that was inserted manually has no customer."""

    id: int
    subject: int
    kind: str
    customer: int | None
    tries: int


class _PaymentRow(Struct):
    """A payment to be leased, with its customer, currency and the time of its order.

    `charge_reference` is the provider's reference of the charge that is to be refunded.
    """

    id: int
    order: int
    kind: str
    state: str
    provider_key: str
    provider_ref: str | None
    amount: int
    moved: int | None
    method: str | None
    tries: int
    first_sent_at: datetime | None
    faults: int | None
    customer: int
    currency: str
    ordered_at: datetime
    charge_reference: str | None


_SENDABLE = states.sources_of(states.PAYMENT, "sent")
_OF_ORDER = 'FROM orders WHERE orders.id = payment."order"'
# The last fields of `_PaymentRow`, which are not columns of the payment.
_FURTHER_VALUES = (
    f'(SELECT "user" {_OF_ORDER}) AS customer',
    f"(SELECT currency {_OF_ORDER}) AS currency",
    f"(SELECT created_at {_OF_ORDER}) AS ordered_at",
    "CASE kind WHEN 'refund' THEN (SELECT charge.provider_ref FROM payment AS charge WHERE "
    'charge."order" = payment."order" AND charge.kind = \'charge\' '
    "AND charge.state = 'succeeded') END AS charge_reference",
)
_COLUMNS = [
    Payment._meta.get_column_by_name(name)
    for name in _PaymentRow.__struct_fields__[: -len(_FURTHER_VALUES)]
]
_SELECT_SENT = database.select_by(
    Payment.id, _COLUMNS, where="state <> 'new'", further=_FURTHER_VALUES
)
# On PostgreSQL, only the payments whose jobs `_LEASE_JOBS` leases in the same statement.
_IS_LEASED = " AND id = ANY(ARRAY(SELECT subject FROM leased_jobs))"
_MARK_SENT = database.update_rows(
    {"sent_at": Payment.first_sent_at},
    {
        Payment.state: "'sent'",
        Payment.tries: "tries + 1",
        # Set only once: from this time on the provider may know the key.
        Payment.first_sent_at: "COALESCE(first_sent_at, {sent_at})",
    },
    where=f"(state IN {_SENDABLE}) IS TRUE{_IS_LEASED if _IS_POSTGRES else ''}",
    returning=(*(f'"{column._meta.name}"' for column in _COLUMNS), *_FURTHER_VALUES),
)
_LEASE_JOBS = database.update_rows(
    {"milliseconds": Job.subject},
    {Job.run_at: database.LATER_SQL, Job.tries: "tries + 1"},
    # Another worker may have leased the job since it was found; then it is not due any more.
    where=_IS_DUE,
    returning=("subject",),
    name="leased_jobs",
)
_DELETE_USELESS_JOBS = database.delete_by(
    Job.subject,
    where=f"kind IN {states.PAYMENT_KINDS} AND NOT EXISTS (SELECT 1 FROM payment "
    f"WHERE payment.id = job.subject AND (state IN {_SENDABLE}) IS TRUE)",
)
ANY_JOB = JobFilter()
_JOB_COLUMNS = database.columns_of(Job, DueJob)
_SELECT_DUE_JOBS = database.select_by(
    Job.subject, _JOB_COLUMNS, where=f"kind IN {states.PAYMENT_KINDS} AND {_IS_DUE}"
)
SelectJobs = Callable[[list[DueJob]], list[DueJob]]


class LeaseLost(Exception):
    """Another worker has leased the payment since, or has ended it."""


async def acquire_leases(
    ids: Collection[int] | None,
    *,
    limit: int,
    lease_seconds: float,
    job_filter: JobFilter = ANY_JOB,
    select: SelectJobs = list,
    first_sent: Mapping[int, datetime] | None = None,
) -> list[Lease]:
    """Lease due payments, those of `ids` or any, and commit the intent to carry them out.

    Args:
        limit: the maximum number of leases.
        lease_seconds: seconds until other workers may lease these payments again.
        job_filter: the jobs that may be leased.
        select: selects from the jobs that were found. It may be called again, and must then change
            nothing more.
        first_sent: the times when payments were first sent, if not now.
    """
    any_due = (await _query_due_jobs(job_filter)).limit(limit) if ids is None else None

    async def acquire() -> list[Lease]:
        if any_due is None:
            rows = await _SELECT_DUE_JOBS([(one,) for one in ids or ()])
        else:
            # Several workers search the whole queue, so each of them skips what another one leases.
            rows = await database.for_update_skip_locked(any_due)
        found = [job for job in (DueJob(**row) for row in rows) if job_filter.allows(job)]
        return await _acquire_leases(found[:limit], select, lease_seconds, first_sent or {})

    if _IS_POSTGRES and any_due is None:
        # One statement leases, so it needs no transaction of several round trips.
        return await acquire()
    return await database.transaction(acquire)


async def _query_due_jobs(job_filter: JobFilter) -> Select[Job]:
    """Return the query for any due jobs, in the order of their times."""
    due = Job.select(*_JOB_COLUMNS).where(*await JOB_QUEUE_START.conditions())
    return due.where(*job_filter.conditions()).order_by(Job.run_at)


async def _acquire_leases(
    found: list[DueJob],
    select: SelectJobs,
    lease_seconds: float,
    first_sent: Mapping[int, datetime],
) -> list[Lease]:
    now = datetime.now(UTC)
    jobs = sorted(select(found), key=lambda job: job.id)
    if not jobs:
        return []
    subjects = sorted(job.subject for job in jobs)
    milliseconds = round(1000 * lease_seconds)
    reach_failpoint("payments.leasing")
    rows = await database.run_together(
        (_MARK_SENT, [(payment, first_sent.get(payment, now)) for payment in subjects]),
        (_LEASE_JOBS, [(job.id, milliseconds) for job in jobs]),
    )
    acquired = [_to_lease(row, now) for row in rows]
    if others := set(subjects) - {lease.payment for lease in acquired}:
        await _DELETE_USELESS_JOBS([(payment,) for payment in sorted(others)])
    return acquired


def _to_lease(values: Mapping[str, Any], now: datetime) -> Lease:
    row = msgspec.convert(dict(values), _PaymentRow)
    sent_at = row.first_sent_at or now
    return Lease(
        payment=row.id,
        tries=row.tries,
        customer=row.customer,
        request=_to_request(row),
        sent_at=sent_at,
        known_since=min(sent_at, row.ordered_at),
        reference=row.provider_ref,
        faults=row.faults or 0,
        moved=row.moved,
    )


def _to_request(row: _PaymentRow) -> Request:
    key, amount, currency, order = row.provider_key, row.amount, row.currency, row.order
    if row.kind == "charge":
        return Charge(key, amount, currency, order, row.method)
    return Refund(key, amount, currency, order, row.charge_reference or NO_CHARGE_REFERENCE)


async def read_payment_as_lease(payment: int, among: Sequence[str] | None = None) -> Lease | None:
    """Return a payment in the form of a lease that no worker holds; None if it has ended.

    A look-up moves no money, and a definite answer counts from any source. So looking a payment up,
    and settling what the provider or an operator says about it, need its data but no lease.

    Args:
        among: the allowed states. The default is the states of a payment that was sent and has not
            ended.
    """
    among = among or states.open_states(states.PAYMENT)
    for values in await _SELECT_SENT([(payment,)]):
        if values["state"] in among:
            return _to_lease(values, datetime.now(UTC))
    return None


def retry_delay(tries: int, max_seconds: float | None = None) -> float:
    """Return the seconds until the next try, after `tries` tries without a definite answer."""
    delay = FIRST_RETRY_DELAY_SECONDS * 2.0 ** min(tries - 1, 20)
    return random.uniform(0.5, 1.0) * min(max_seconds or MAX_RETRY_DELAY_SECONDS, delay)


async def postpone_payment(
    lease: Lease,
    reason: str,
    *,
    state: str = "unknown",
    reference: str | None = None,
    max_seconds: float | None = None,
    is_internal_error: bool = False,
) -> bool:
    """Schedule a retry with the same key; return False if this is not the newest lease.

    Args:
        state: `unknown` when money may have moved, `sent` when this try did nothing.
        reference: the provider's reference, if it sent one.
        max_seconds: the longest pause in seconds, if not the default.
        is_internal_error: whether the cause was an internal error.
    """
    change: Change = {
        Payment.state: state,
        Payment.last_error: reason,
        Payment.provider_ref: reference or lease.reference,
        Payment.faults: lease.faults + is_internal_error or None,
    }
    seconds = retry_delay(lease.tries, max_seconds)
    try:
        await database.transaction(lambda: _postpone_payment(lease, change, seconds))
    except LeaseLost:
        return False
    return True


async def _postpone_payment(lease: Lease, change: Change, seconds: float) -> None:
    later = database.seconds_from_now(seconds)
    await Job.update({Job.run_at: later}).where(
        Job.kind.is_in(list(states.PAYMENT_KINDS)), Job.subject == lease.payment
    )
    # The state must still be `sent`, as the lease set it. If the payment was parked since then, an
    # operator decides about it.
    states.check_transition(states.PAYMENT, "sent", str(change[Payment.state]))
    newest = (
        await Payment.update(change)
        .where(
            Payment.id == lease.payment,
            Payment.state == "sent",
            Payment.tries == lease.tries,
        )
        .returning(Payment.id)
    )
    if not newest:
        raise LeaseLost
