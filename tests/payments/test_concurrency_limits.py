"""Test how many places the payments of one customer, of one kind, and retries may hold."""

from typing import Any

import pytest

from icecream.payments.concurrency_limits import ConcurrencyLimits
from icecream.payments.leases import Lease
from icecream.payments.providers import Charge, Refund

# The database makes no difference here.
pytestmark = pytest.mark.only("sqlite")


def jobs(count: int, customer: int | None, kind: str = "charge", tries: int = 0) -> list[Any]:
    return [{"customer": customer, "kind": kind, "tries": tries}] * count


def claims(count: int, customer: int, *, refund: bool = False, tries: int = 1) -> list[Lease]:
    charge, give_back = Charge("key", 1, "EUR", 1), Refund("key", 1, "EUR", 1, "pi_1")
    return [Lease(1, tries, customer, give_back if refund else charge, Any, Any)] * count


def holding(*held: Lease) -> ConcurrencyLimits:
    shares = ConcurrencyLimits(50)
    for one in held:
        shares.take(one)
    return shares


def test_one_customer_leaves_room_for_others() -> None:
    shares = holding()
    assert len(shares.pick(jobs(60, 1) + jobs(60, 2))) == 45
    assert len(shares.pick(jobs(60, 1))) == 40
    shares = holding(*claims(39, 1))
    assert shares.full_customers == []
    assert len(shares.pick(jobs(5, 1) + jobs(5, 2))) == 6
    shares.take(*claims(1, 1))
    assert shares.full_customers == [1]
    assert shares.any_is_full
    shares.give_back(*claims(1, 1))
    assert shares.full_customers == []


def test_a_customer_in_trouble_gets_few_places_until_the_provider_answers() -> None:
    shares = holding()
    shares.note(1, answered=False)
    assert len(shares.pick(jobs(60, 1))) == 5
    shares.note(1, answered=True)
    assert len(shares.pick(jobs(60, 1))) == 40


def test_refunds_leave_room_for_charges_and_charges_for_refunds() -> None:
    many = [job for customer in range(60) for job in jobs(1, customer, "refund")]
    shares = holding()
    assert len(shares.pick(many)) == 45
    assert shares.kinds == ["charge", "refund"]
    shares = holding(*[one for n in range(45) for one in claims(1, n, refund=True)])
    assert shares.kinds == ["charge"]
    assert shares.pick([*many, *jobs(1, 100)]) == jobs(1, 100)


def test_what_is_tried_again_leaves_room_for_what_is_fresh() -> None:
    many = [job for customer in range(60) for job in jobs(1, customer, tries=1)]
    assert len(holding().pick(many)) == 25
    shares = holding(*[one for n in range(25) for one in claims(1, n, tries=2)])
    assert shares.only_fresh
    assert shares.pick([*many, *jobs(1, 1)]) == jobs(1, 1)


def test_what_was_passed_over_is_looked_for_once_there_is_room() -> None:
    shares = holding(*claims(40, 1), *claims(1, 2))
    assert not shares.has_room_again
    assert shares.pick(jobs(1, 1)) == []
    shares.give_back(*claims(1, 2))
    assert not shares.resume()
    shares.give_back(*claims(1, 1))
    assert shares.has_room_again
    # Other payments took the place first.
    shares.take(*claims(1, 1))
    assert not shares.resume()
    shares.give_back(*claims(1, 1))
    assert shares.resume()
    assert not shares.resume()


def test_what_is_full_when_something_is_looked_for_may_be_passed_over() -> None:
    shares = holding(*claims(40, 1))
    shares.pass_over()
    shares.give_back(*claims(1, 1))
    assert shares.has_room_again


def test_payments_of_customers_without_room_are_not_looked_for() -> None:
    shares = holding(*claims(40, 1))
    assert shares.with_room([7, 8, 9], {7: 1, 8: 2}) == [8, 9]
    shares.give_back(*claims(1, 1))
    assert shares.has_room_again
    assert shares.with_room([7, 8, 9], {7: 1, 8: 2}) == [7, 8, 9]


def test_few_places_are_not_divided() -> None:
    for places in (1, 2, 3, 4):
        assert len(ConcurrencyLimits(places).pick(jobs(9, 1))) == places


def test_a_job_that_does_not_say_whose_it_is_counts_for_its_kind() -> None:
    assert len(holding().pick(jobs(60, None))) == 45
