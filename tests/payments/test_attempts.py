"""Test that each payment attempt has its own key and a job."""

import time

import pytest

from icecream import database
from icecream.payments import attempts
from icecream.tables import Job, Payment
from tests.conftest import Caller, place

pytestmark = pytest.mark.anyio


class Undo(Exception):
    """Rolls back the transaction of the test."""


async def test_an_attempt_has_a_random_key_and_a_due_job(customer: Caller, flavor: int) -> None:
    orders = sorted([(await place(customer.user.id, {flavor: n})).order for n in (1, 2)])

    async def work() -> None:
        (ids,) = await database.read_together((attempts.PAYMENT_IDS, [(2,)]))
        staged = dict(zip(orders, [row["id"] for row in ids], strict=True))
        wanted = [
            attempts.Attempt(payment, order, customer.user.id, 7, "refund", 3, "pm_1")
            for order, payment in staged.items()
        ]
        await database.run_together(*attempts.attempt_inserts(wanted))
        rows = await Payment.select().where(Payment.id.is_in(list(staged.values())))
        assert len({row["provider_key"] for row in rows} | {""}) == 3
        assert {len(row["provider_key"]) for row in rows} == {32}
        for row in rows:
            assert staged[row["order"]] == row["id"]
            assert (row["kind"], row["n"], row["amount"]) == ("refund", 3, 7)
            assert (row["method"], row["state"], row["tries"]) == ("pm_1", "new", 0)
            due = Job.run_at <= database.seconds_from_now(0)
            job = await Job.select().where(Job.kind == "refund", Job.subject == row["id"], due)
            assert [one["tries"] for one in job] == [0]
        raise Undo

    with pytest.raises(Undo):
        await database.transaction(work)


def test_keys_are_random_and_begin_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    keys = [key for _ in range(100) for key in attempts.new_keys(10)]
    assert len({key[12:] for key in keys}) == 1000
    times = [int(key[:12], 16) for key in keys]
    assert before <= times[0]
    assert times == sorted(times)
    assert times[-1] <= time.time_ns() // 1_000_000


async def test_attempts_are_numbered_by_their_kind(customer: Caller, flavor: int) -> None:
    order = (await place(customer.user.id, {flavor: 1})).order
    assert await attempts.next_number(order, "charge") == 2
    assert await attempts.next_number(order, "refund") == 1
