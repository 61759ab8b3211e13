"""Test how many slots the payments of one customer, of one kind, and retries may hold."""

from typing import Any

import pytest

from icecream.payments.concurrency_limits import ConcurrencyLimits
from icecream.payments.leases import DueJob, Lease
from icecream.payments.providers import Charge, Refund

# The database makes no difference here.
pytestmark = pytest.mark.only("sqlite")


def jobs(count: int, customer: int | None, kind: str = "charge", tries: int = 0) -> list[DueJob]:
    return [DueJob(1, 1, kind, customer, tries)] * count


def acquired(count: int, customer: int, *, refund: bool = False, tries: int = 1) -> list[Lease]:
    charge, give_back = Charge("key", 1, "EUR", 1), Refund("key", 1, "EUR", 1, "pi_1")
    return [Lease(1, tries, customer, give_back if refund else charge, Any, Any)] * count


def holding(*held: Lease) -> ConcurrencyLimits:
    limits = ConcurrencyLimits(50)
    for one in held:
        limits.acquire(one)
    return limits


def test_one_customer_leaves_slots_for_others() -> None:
    limits = holding()
    assert len(limits.select(jobs(60, 1) + jobs(60, 2))) == 45
    assert len(limits.select(jobs(60, 1))) == 40
    limits = holding(*acquired(39, 1))
    assert limits.full_customers == []
    assert len(limits.select(jobs(5, 1) + jobs(5, 2))) == 6
    limits.acquire(*acquired(1, 1))
    assert limits.full_customers == [1]
    assert limits.any_is_full
    limits.release(*acquired(1, 1))
    assert limits.full_customers == []


def test_a_customer_in_trouble_gets_few_slots_until_the_provider_answers() -> None:
    limits = holding()
    limits.record_call(1, answered=False)
    assert len(limits.select(jobs(60, 1))) == 5
    limits.record_call(1, answered=True)
    assert len(limits.select(jobs(60, 1))) == 40


def test_refunds_leave_room_for_charges_and_charges_for_refunds() -> None:
    many = [job for customer in range(60) for job in jobs(1, customer, "refund")]
    limits = holding()
    assert len(limits.select(many)) == 45
    assert limits.kinds == ["charge", "refund"]
    limits = holding(*[one for n in range(45) for one in acquired(1, n, refund=True)])
    assert limits.kinds == ["charge"]
    assert limits.select([*many, *jobs(1, 100)]) == jobs(1, 100)


def test_retries_leave_slots_for_new_payments() -> None:
    many = [job for customer in range(60) for job in jobs(1, customer, tries=1)]
    assert len(holding().select(many)) == 25
    limits = holding(*[one for n in range(25) for one in acquired(1, n, tries=2)])
    assert limits.retries_are_full
    assert limits.select([*many, *jobs(1, 1)]) == jobs(1, 1)


def test_skipped_payments_are_searched_for_when_slots_are_free() -> None:
    limits = holding(*acquired(40, 1), *acquired(1, 2))
    assert not limits.has_capacity_again
    assert limits.select(jobs(1, 1)) == []
    limits.release(*acquired(1, 2))
    assert not limits.take_skipped()
    limits.release(*acquired(1, 1))
    assert limits.has_capacity_again
    # Other payments took the place first.
    limits.acquire(*acquired(1, 1))
    assert not limits.take_skipped()
    limits.release(*acquired(1, 1))
    assert limits.take_skipped()
    assert not limits.take_skipped()


def test_full_groups_count_as_skipped_by_a_search() -> None:
    limits = holding(*acquired(40, 1))
    limits.mark_skipped()
    limits.release(*acquired(1, 1))
    assert limits.has_capacity_again


def test_payments_of_customers_without_room_are_not_looked_for() -> None:
    limits = holding(*acquired(40, 1))
    assert limits.with_capacity([7, 8, 9], {7: 1, 8: 2}) == [8, 9]
    limits.release(*acquired(1, 1))
    assert limits.has_capacity_again
    assert limits.with_capacity([7, 8, 9], {7: 1, 8: 2}) == [7, 8, 9]


def test_few_places_are_not_divided() -> None:
    for slots in (1, 2, 3, 4):
        assert len(ConcurrencyLimits(slots).select(jobs(9, 1))) == slots


def test_a_job_without_a_customer_counts_for_its_kind() -> None:
    assert len(holding().select(jobs(60, None))) == 45
