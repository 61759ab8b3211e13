"""Test leases of payments: when they are due, how long they last, and the pauses between tries."""

import asyncio
import re
import sys
from contextvars import Context
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from icecream import database
from icecream.orders import actions, placing
from icecream.payments import (
    leases,
    settlement,
)
from icecream.payments.providers import (
    Declined,
    OutcomeUnknown,
)
from icecream.tables import Job, Payment
from tests import ledger
from tests.conftest import Caller, Provider, make_executor, payment_id, place, until
from tests.payments.conftest import due_now, make_due, settled, state

pytestmark = pytest.mark.anyio


async def test_a_lease_counts_as_a_try_of_the_payment_and_of_its_job(
    placed: placing.PlacedOrder,
) -> None:
    (lease,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    job = Job.select(Job.tries).where(Job.kind == "charge", Job.subject == payment_id(placed))
    assert (lease.tries, await job) == (1, [{"tries": 1}])


async def test_a_leased_payment_is_not_leased_again_until_its_lease_expires(
    placed: placing.PlacedOrder,
) -> None:
    (lease,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    assert await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30) == []
    await due_now(placed)
    (again,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    assert again.request == lease.request
    assert (lease.tries, again.tries) == (1, 2)


async def test_a_payment_parked_during_a_call_stays_parked_without_an_answer(
    placed: placing.PlacedOrder,
) -> None:
    (lease,) = await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
    assert await settled(lease, settlement.Parked("another amount"))
    for later in ("unknown", "sent"):
        assert not await leases.postpone_payment(lease, "no answer", state=later)
    assert await state(placed) == ("pending", "parked")
    await ledger.check()


async def test_first_sent_at_is_set_only_once(placed: placing.PlacedOrder) -> None:
    times = []
    for _ in range(2):
        await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30)
        row = await Payment.select(Payment.first_sent_at).where(Payment.id == placed.payment)
        times.append(row[0]["first_sent_at"])
        await due_now(placed)
    assert times[0] is not None
    assert times[0] == times[1]


async def test_the_job_of_an_ended_payment_is_deleted(placed: placing.PlacedOrder) -> None:
    await make_executor(Provider()).execute([payment_id(placed)])
    past = datetime.now(UTC) - timedelta(seconds=1)
    await Job.insert(Job(kind="charge", subject=placed.payment, run_at=past))
    provider = Provider()
    await make_executor(provider).execute([payment_id(placed)])
    assert provider.asked == []
    assert not await Job.exists().where(Job.subject == placed.payment)


@pytest.mark.parametrize("listed", [True, False])
async def test_a_filter_excludes_due_jobs(
    customer: Caller, stranger: Caller, flavor: int, listed: bool
) -> None:
    tried, other = [await place(one.user.id, {flavor: 1}) for one in (customer, stranger)]
    payments = [payment_id(tried), payment_id(other)]

    async def leased(job_filter: leases.JobFilter, limit: int = 9) -> list[int]:
        ids = payments if listed else None
        found = await leases.acquire_leases(
            ids, limit=limit, lease_seconds=0, job_filter=job_filter
        )
        return sorted(lease.payment for lease in found)

    await leases.acquire_leases(payments[:1], limit=1, lease_seconds=0)
    assert await leased(leases.JobFilter(only_new=True)) == payments[1:]
    assert await leased(leases.JobFilter(["refund"])) == []
    assert await leased(leases.JobFilter(excluded_customers=[stranger.user.id])) == payments[:1]
    assert len(await leased(leases.ANY_JOB, limit=1)) == 1
    assert await leased(leases.ANY_JOB) == payments


async def test_due_jobs_are_read_in_order_of_time_and_not_sorted(opened: None) -> None:
    job_filter = leases.JobFilter(excluded_customers=[1], only_new=True)
    query = (await leases._query_due_jobs(job_filter)).limit(10)
    explain = "EXPLAIN QUERY PLAN {}" if query.engine_type == "sqlite" else "EXPLAIN {}"
    plan = str(await Job.raw(explain, query.querystrings[0]))
    assert "job_run_at" in plan, plan
    assert not re.search("sort|b-tree", plan, re.IGNORECASE), plan


class Ahead(datetime):
    """The clock of a machine that is 40 s ahead of the database's clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Ahead":
        return super().now(tz) + timedelta(seconds=40)


@pytest.mark.only("postgres")
async def test_jobs_are_due_by_the_clock_of_the_database(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def due(payment: int) -> bool:
        is_due = Job.run_at <= database.seconds_from_now(0)
        return await Job.exists().where(Job.subject == payment, is_due)

    for name, module in list(sys.modules.items()):
        if name.startswith("icecream.") and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", Ahead)
    placed = await place(customer.user.id, {flavor: 1})
    assert await due(payment_id(placed))
    await make_executor(Provider(Declined("no"))).execute([payment_id(placed)])
    (again,) = await actions.pay_order(placed.order, by=customer.user.id, needs_method=False)
    assert await due(again)
    await make_executor(Provider()).execute([again])
    (refund,) = await actions.cancel_order(placed.order, by=customer.user.id)
    assert await due(refund)
    await make_executor(Provider(OutcomeUnknown)).execute([refund])
    # Not due yet, but due within the longest pause.
    assert not await due(refund)
    soon = database.seconds_from_now(leases.MAX_RETRY_DELAY_SECONDS)
    assert await Job.exists().where(Job.subject == refund, Job.run_at <= soon)
    # The same holds for a lease: it lasts no longer than the lease.
    await make_due(refund)
    await leases.acquire_leases([refund], limit=1, lease_seconds=30)
    over = database.seconds_from_now(30)
    assert await Job.exists().where(Job.subject == refund, Job.run_at <= over)
    await make_executor(Provider()).execute([refund])


def test_pauses_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases.random, "uniform", lambda _, most: most)
    assert [leases.retry_delay(tries) for tries in (1, 2, 3, 1000)] == [5, 10, 12, 12]
    assert [leases.retry_delay(tries, 120) for tries in (1, 4, 5, 6)] == [5, 40, 80, 120]


async def is_waiting() -> bool:
    """Return whether a transaction waits for another one to end."""
    query = "SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
    return bool(await Job.raw(query))


@pytest.mark.only("postgres")
async def test_one_of_two_workers_leases_a_payment(placed: placing.PlacedOrder) -> None:
    """The other one has found the job too, and waits for the first one's statement."""
    payment, first_leased = payment_id(placed), asyncio.Event()

    async def lease() -> list[leases.Lease]:
        return await leases.acquire_leases([payment], limit=1, lease_seconds=30)

    async def first() -> list[leases.Lease]:
        acquired = await lease()
        first_leased.set()
        await until(is_waiting)
        return acquired

    async def second() -> list[leases.Lease]:
        await first_leased.wait()
        return await lease()

    other = asyncio.create_task(second(), context=Context())
    (acquired,) = await database.transaction(first)
    # It got nothing, and did not delete the job of a payment that goes on.
    assert await other == []
    assert acquired.tries == 1
    assert (await Payment.select(Payment.tries).where(Payment.id == payment))[0]["tries"] == 1
    assert await Job.exists().where(Job.subject == payment, Job.tries == 1)


@pytest.mark.only("postgres")
async def test_a_payment_that_another_transaction_changes_is_leased_after_it(
    placed: placing.PlacedOrder,
) -> None:
    payment = payment_id(placed)

    async def change() -> "asyncio.Task[list[leases.Lease]]":
        await Payment.update({Payment.last_error: "read again"}).where(Payment.id == payment)
        work = leases.acquire_leases([payment], limit=1, lease_seconds=30)
        leasing = asyncio.create_task(work, context=Context())
        await until(is_waiting)
        return leasing

    (acquired,) = await (await database.transaction(change))
    assert (acquired.payment, acquired.tries) == (payment, 1)
    assert await Job.exists().where(Job.subject == payment, Job.tries == 1)
