"""Test that a payment is charged once, also with repeated, late or missing answers."""

import asyncio
import random
import re
import socket
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from icecream import database, settings
from icecream.orders import actions, placing
from icecream.payments import (
    circuit_breaker,
    executor,
    leases,
    manual_review,
    provider_calls,
    settlement,
)
from icecream.payments.providers import (
    Answer,
    Charge,
    Declined,
    OutcomeUndecided,
    OutcomeUnknown,
    Refund,
    Request,
    RequestRefused,
    RetryLater,
    Succeeded,
)
from icecream.runtime import instrumentation
from icecream.tables import Event, Flavor, Job, Order, Payment
from tests import ledger
from tests.conftest import Caller, Provider, new_flavor, new_user, place, settlement_result, until

pytestmark = pytest.mark.anyio
# So many slots that no share is used up: all payments are sent at once.
MANY = 100


def make_executor(provider: Provider, slots: int = 10, timeout: float = 5) -> executor.Executor:
    return executor.Executor(provider, slots=slots, lease_seconds=30, timeout=timeout)


@pytest.fixture
async def customers(hashed: str) -> list[int]:
    """Three customers, because fewer do not open the breaker; jobs of earlier tests are not due."""
    await Job.update({Job.run_at: datetime(2099, 1, 1, tzinfo=UTC)}, force=True)
    return [(await new_user(hashed)).id for _ in range(circuit_breaker.CUSTOMERS_TO_OPEN)]


@pytest.fixture
async def placed(customer: Caller, flavor: int) -> placing.PlacedOrder:
    return await place(customer.user.id, {flavor: 2})


async def state(placed: placing.PlacedOrder) -> tuple[str, str]:
    order = await Order.select(Order.status).where(Order.id == placed.order).first()
    payment = await Payment.select(Payment.state).where(Payment.id == placed.payment).first()
    assert order is not None
    assert payment is not None
    return order["status"], payment["state"]


async def due_now(placed: placing.PlacedOrder) -> None:
    """Make a payment due: end its lease or its pause."""
    await make_due(number(placed))


async def make_due(payment: int) -> None:
    past = database.seconds_from_now(-1)
    await Job.update({Job.run_at: past}).where(Job.subject == payment)


async def settled(lease: leases.Lease, answer: str | Declined | settlement.Parked) -> bool:
    (settled,) = await settlement.settle([settlement_result(lease, answer)])
    return settled


def number(placed: placing.PlacedOrder) -> int:
    assert placed.payment is not None
    return placed.payment


async def test_a_yes_pays_the_order(placed: placing.PlacedOrder) -> None:
    provider = Provider()
    await make_executor(provider).execute([number(placed)])
    assert await state(placed) == ("paid", "succeeded")
    (asked,) = provider.asked
    assert (asked.amount, asked.currency) == (500, "EUR")
    payment = await Payment.select().where(Payment.id == placed.payment).first()
    assert payment is not None
    assert payment["provider_ref"] == f"ref {asked.key}"
    assert payment["tries"] == 1
    assert not await Job.exists().where(Job.subject == placed.payment)
    history = await Event.select(Event.type).where(Event.order == placed.order).order_by(Event.seq)
    assert [event["type"] for event in history] == ["placed", "paid"]
    await ledger.check()


async def test_a_no_fails_the_order_and_gives_the_stock_back(customer: Caller) -> None:
    flavor = await new_flavor(stock=10)
    placed = await place(customer.user.id, {flavor: 4})
    await make_executor(Provider(Declined("no funds"))).execute([number(placed)])
    assert await state(placed) == ("failed", "declined")
    row = await Flavor.select(Flavor.stock).where(Flavor.id == flavor).first()
    assert row == {"stock": 10}
    await ledger.check()


async def test_the_intent_is_committed_before_the_provider_is_called(
    placed: placing.PlacedOrder,
) -> None:
    seen = []

    class Looks(Provider):
        async def charge(self, charge: Charge) -> Answer:
            assert not database.DB.transaction_exists()
            seen.append(await state(placed))
            return await super().charge(charge)

    await make_executor(Looks()).execute([number(placed)])
    assert seen == [("pending", "sent")]


async def test_a_second_delivery_changes_nothing(placed: placing.PlacedOrder) -> None:
    provider = Provider("first", Declined("second"))
    one, other = make_executor(provider), make_executor(provider)
    await asyncio.gather(*(each.execute([number(placed)] * 3) for each in (one, other)))
    await one.execute([number(placed)])
    assert len(provider.asked) == 1
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


@pytest.mark.parametrize(
    "lost", [OutcomeUnknown, TimeoutError, ConnectionResetError, socket.gaierror]
)
async def test_no_answer_is_not_a_decline_and_is_retried_with_the_same_key(
    placed: placing.PlacedOrder, lost: type[Exception]
) -> None:
    provider = Provider(lost, lost)
    for _ in range(2):
        await make_executor(provider).execute([number(placed)])
        assert await state(placed) == ("pending", "unknown")
        job = await Job.select(Job.run_at).where(Job.subject == placed.payment).first()
        assert job is not None
        assert job["run_at"] > datetime.now(UTC) + timedelta(seconds=2)
        await ledger.check()
        await due_now(placed)
    await make_executor(provider).execute([number(placed)])
    assert await state(placed) == ("paid", "succeeded")
    assert len({charge.key for charge in provider.asked}) == 1
    assert len(provider.asked) == 3
    # The lost answers are not counted as faults of our code.
    assert await Payment.exists().where(Payment.id == placed.payment, Payment.faults.is_null())
    await ledger.check()


async def test_a_provider_that_is_too_slow_has_given_no_answer(placed: placing.PlacedOrder) -> None:
    class Slow(Provider):
        async def charge(self, charge: Charge) -> Answer:
            await asyncio.sleep(60)
            return await super().charge(charge)

    await make_executor(Slow(), timeout=0.01).execute([number(placed)])
    assert await state(placed) == ("pending", "unknown")


async def test_a_lease_counts_as_a_try_of_the_payment_and_of_its_job(
    placed: placing.PlacedOrder,
) -> None:
    (lease,) = await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30)
    job = Job.select(Job.tries).where(Job.kind == "charge", Job.subject == number(placed))
    assert (lease.tries, await job) == (1, [{"tries": 1}])


async def test_a_leased_payment_is_not_leased_again_until_its_lease_expires(
    placed: placing.PlacedOrder,
) -> None:
    (lease,) = await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30)
    assert await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30) == []
    await due_now(placed)
    (again,) = await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30)
    assert again.request == lease.request
    assert (lease.tries, again.tries) == (1, 2)


async def test_a_definite_answer_counts_even_from_an_older_try(placed: placing.PlacedOrder) -> None:
    (older,) = await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30)
    await due_now(placed)
    (newer,) = await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30)
    assert not await leases.postpone_payment(older, "late word of an older try")
    assert await settled(older, "older")
    assert not await settled(newer, "newer")
    assert not await settled(newer, Declined("newer"))
    assert not await settled(newer, settlement.Parked("another amount"))
    assert not await leases.postpone_payment(newer, "too late")
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_a_payment_parked_during_a_call_stays_parked_without_an_answer(
    placed: placing.PlacedOrder,
) -> None:
    (lease,) = await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30)
    assert await settled(lease, settlement.Parked("another amount"))
    for later in ("unknown", "sent"):
        assert not await leases.postpone_payment(lease, "no answer", state=later)
    assert await state(placed) == ("pending", "parked")
    await ledger.check()


async def test_first_sent_at_is_set_only_once(placed: placing.PlacedOrder) -> None:
    times = []
    for _ in range(2):
        await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30)
        row = await Payment.select(Payment.first_sent_at).where(Payment.id == placed.payment)
        times.append(row[0]["first_sent_at"])
        await due_now(placed)
    assert times[0] is not None
    assert times[0] == times[1]


async def test_an_answer_by_many_at_once_is_settled_once(placed: placing.PlacedOrder) -> None:
    (lease,) = await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30)
    outcomes = await asyncio.gather(*(settled(lease, "the one") for _ in range(20)))
    assert Counter(outcomes) == {True: 1, False: 19}
    await ledger.check()


async def test_several_answers_are_settled_together_or_not_at_all(
    customer: Caller, flavor: int
) -> None:
    counted = await new_flavor(stock=9)
    placed = [await place(customer.user.id, {counted: n, flavor: 1}) for n in (1, 2, 3)]
    acquired = await leases.acquire_leases(
        [number(one) for one in placed], limit=3, lease_seconds=30
    )
    # They come in any order.
    acquired.sort(key=lambda lease: lease.payment)
    first, *others = (
        settlement_result(lease, answer)
        for lease, answer in zip(
            acquired, (f"a {flavor}", Declined("no"), f"b {flavor}"), strict=True
        )
    )
    assert await settlement.settle([first]) == [True]
    with pytest.raises(leases.LeaseLost):
        await settlement.settle([first, *others])
    assert [await state(one) for one in placed[1:]] == [("pending", "sent")] * 2
    assert await settlement.settle(others) == [True, True]
    statuses = [(await state(one))[0] for one in placed]
    assert sorted(statuses) == ["failed", "paid", "paid"]
    await ledger.check()


async def test_the_sweep_finds_payments_without_a_notification(
    customer: Caller, flavor: int
) -> None:
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(12)]
    provider = Provider()
    sweeper = make_executor(provider, slots=5)
    await until(lambda: swept(sweeper, placed))
    await sweeper.close(5)
    for one in placed:
        assert await state(one) == ("paid", "succeeded")
    assert provider.most_at_once <= 5
    await ledger.check()


async def test_never_more_payments_are_in_flight_than_there_are_slots(
    customer: Caller, flavor: int
) -> None:
    """The first calls are answered only once as many calls as slots are waiting."""
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(30)]
    all_in_use = asyncio.Event()

    class Full(Provider):
        async def charge(self, charge: Charge) -> Answer:
            self.waiting += 1
            if self.waiting == 4:
                all_in_use.set()
            await all_in_use.wait()
            return await super().charge(charge)

        waiting = 0

    provider = Full()
    one_executor = make_executor(provider, slots=4)
    await asyncio.gather(
        *(one_executor.execute([number(one)]) for one in placed), one_executor.sweep()
    )
    await one_executor.close(5)
    assert provider.most_at_once == 4
    assert len(provider.asked) == len({charge.key for charge in provider.asked})
    for one in placed:
        assert await state(one) == ("paid", "succeeded")


async def test_a_busy_executor_forgets_none_of_the_payments_in_its_notifications(
    customer: Caller, flavor: int
) -> None:
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(12)]
    provider = Provider()
    busy = make_executor(provider, slots=4)
    await asyncio.gather(
        busy.execute([number(placed[0])]), busy.execute([number(one) for one in placed[1:]])
    )
    for one in placed:
        assert await state(one) == ("paid", "succeeded")


async def test_two_executors_share_the_payments_and_charge_nothing_twice(
    customer: Caller, flavor: int
) -> None:
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(40)]
    provider = Provider()
    executors = [make_executor(provider, slots=8), make_executor(provider, slots=8)]

    async def work(one: executor.Executor) -> None:
        await one.execute([number(order) for order in placed])
        await until(lambda: swept(one, placed))
        await one.close(5)

    await asyncio.gather(*(work(one) for one in executors))
    asked = Counter(charge.key for charge in provider.asked)
    assert max(asked.values()) == 1
    for one in placed:
        assert await state(one) == ("paid", "succeeded")
    await ledger.check()


async def test_a_refund_without_a_charge_is_parked_and_does_not_stop_the_others(
    placed: placing.PlacedOrder, customer: Caller, staff: Caller, flavor: int
) -> None:
    failed = await place(customer.user.id, {flavor: 1})
    await make_executor(Provider(Declined("no"))).execute([number(failed)])
    # Create a refund of an order that was never charged. No rule of the service creates one.
    refund = Payment(
        order=failed.order, kind="refund", n=1, state="sent", provider_key="of nothing", amount=1
    )
    await refund.save()
    await Job.insert(
        Job(kind="refund", subject=refund.id, run_at=datetime(2000, 1, 1, tzinfo=UTC), tries=0)
    )
    provider = Provider()
    await make_executor(provider).execute([refund.id, number(placed)])
    assert [request.order for request in provider.asked] == [placed.order]
    assert await state(placed) == ("paid", "succeeded")
    columns = (Payment.state, Payment.last_error)
    row = await Payment.select(*columns).where(Payment.id == refund.id).first()
    assert row == {"state": "parked", "last_error": settlement.MISSING_CHARGE}
    assert not await Job.exists().where(Job.kind == "refund", Job.subject == refund.id)
    # If the provider moved money for it anyway, staff have to review it too.
    lease = await leases.read_payment_as_lease(refund.id)
    assert lease is not None
    await manual_review.retry_payment(refund.id, reason="to be sure", by=staff.user.id)
    assert await settled(lease, f"of nothing {refund.id}")
    assert await Payment.exists().where(
        Payment.id == refund.id, Payment.state == "parked", Payment.moved == 1
    )
    await manual_review.release_payment(refund.id, reason="nothing was moved", by=staff.user.id)
    assert await Payment.exists().where(Payment.id == refund.id, Payment.state == "declined")
    await Payment.delete().where(Payment.id == refund.id)
    await ledger.check()


async def test_a_closing_executor_leases_no_more_payments_and_leaves_the_intent(
    placed: placing.PlacedOrder, customer: Caller, flavor: int
) -> None:
    class Endless(Provider):
        async def charge(self, charge: Charge) -> Answer:
            self.asked.append(charge)
            self.is_called.set()
            await asyncio.sleep(60)
            raise AssertionError

    provider = Endless()
    closing = make_executor(provider, slots=1)
    under_way = asyncio.create_task(closing.execute([number(placed)]))
    await provider.is_called.wait()
    # This payment waits for the only slot, which becomes free once the executor closes.
    other = await place(customer.user.id, {flavor: 1})
    waiting = asyncio.create_task(closing.execute([number(other)]))
    await closing.close(0.01)
    await asyncio.gather(under_way, waiting)
    assert await state(placed) == ("pending", "sent")
    await closing.execute([number(placed), number(other)])
    assert await closing.sweep() is False
    assert await state(other) == ("pending", "new")
    assert len(provider.asked) == 1
    await due_now(placed)
    await make_executor(Provider()).execute([number(placed), number(other)])
    assert {await state(one) for one in (placed, other)} == {("paid", "succeeded")}


async def test_the_job_of_an_ended_payment_is_deleted(placed: placing.PlacedOrder) -> None:
    await make_executor(Provider()).execute([number(placed)])
    past = datetime.now(UTC) - timedelta(seconds=1)
    await Job.insert(Job(kind="charge", subject=placed.payment, run_at=past))
    provider = Provider()
    await make_executor(provider).execute([number(placed)])
    assert provider.asked == []
    assert not await Job.exists().where(Job.subject == placed.payment)


# A missing file on our side says nothing about the provider.
@pytest.mark.parametrize("bug", [KeyError("gone"), FileNotFoundError("gone")])
async def test_a_bug_in_a_provider_costs_a_pause_and_not_the_payment(
    placed: placing.PlacedOrder, caplog: pytest.LogCaptureFixture, bug: Exception
) -> None:
    one_executor = make_executor(Provider(bug, bug))
    for faults in (1, 2):
        await one_executor.execute([number(placed)])
        assert await state(placed) == ("pending", "unknown")
        row = await Payment.select().where(Payment.id == placed.payment).first()
        assert row is not None
        assert (row["last_error"], row["faults"]) == (repr(bug), faults)
        # The payment is not sent again at once.
        assert await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30) == []
        await due_now(placed)
    assert caplog.text.count("Traceback") == 1
    assert caplog.text.count(repr(bug)) == 2
    await one_executor.execute([number(placed)])
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_a_bug_that_stays_ends_in_a_manual_review(placed: placing.PlacedOrder) -> None:
    before = attempts_counted("error")
    for _ in range(provider_calls.MAX_INTERNAL_ERRORS):
        await due_now(placed)
        await make_executor(Provider(KeyError("gone"))).execute([number(placed)])
    assert await state(placed) == ("pending", "parked")
    row = await Payment.select(Payment.last_error).where(Payment.id == placed.payment).first()
    assert row == {"last_error": "Internal error in 5 tries: KeyError."}
    assert not await Job.exists().where(Job.subject == placed.payment)
    assert attempts_counted("error") == before + provider_calls.MAX_INTERNAL_ERRORS
    await ledger.check()


async def test_an_answer_that_cannot_be_written_ends_in_a_manual_review(
    placed: placing.PlacedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("gone")

    monkeypatch.setattr(settlement, "_apply_charge", fail)
    columns = (Payment.faults, Payment.last_error, Payment.moved, Payment.amount)
    for faults in range(1, provider_calls.MAX_INTERNAL_ERRORS):
        await make_executor(Provider()).execute([number(placed)])
        row = await Payment.select(*columns).where(Payment.id == placed.payment).first()
        assert row is not None
        assert (row["faults"], row["last_error"]) == (faults, "KeyError('gone')")
        # The payment is not sent again at once.
        assert await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30) == []
        await due_now(placed)
    await make_executor(Provider()).execute([number(placed)])
    assert await state(placed) == ("pending", "parked")
    row = await Payment.select(*columns).where(Payment.id == placed.payment).first()
    assert row is not None
    # Staff may book the amount that the provider moved.
    assert (row["moved"], row["amount"]) == (500, 500)
    assert not await Job.exists().where(Job.subject == placed.payment)


def attempts_counted(result: str) -> float:
    return sum(
        sample.value
        for metric in instrumentation.collect_metrics()
        for sample in metric.samples
        if sample.name == "icecream_payment_attempt_duration_seconds_count"
        and sample.labels["result"] == result
    )


async def test_a_refusal_that_an_operator_has_to_fix_is_retried_within_two_minutes(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(*[RequestRefused("401")] * 12)
    for _ in range(12):
        await due_now(placed)
        await make_executor(provider).execute([number(placed)])
        assert await state(placed) == ("pending", "sent")
        soon = database.seconds_from_now(leases.MAX_RETRY_DELAY_AFTER_ERROR_SECONDS)
        assert await Job.exists().where(Job.subject == placed.payment, Job.run_at <= soon)
    # Fixing such a refusal takes longer than an outage of a provider, so the pause is longer too.
    later = database.seconds_from_now(leases.MAX_RETRY_DELAY_SECONDS)
    assert await Job.exists().where(Job.subject == placed.payment, Job.run_at > later)
    await due_now(placed)
    await make_executor(provider).execute([number(placed)])
    assert await state(placed) == ("paid", "succeeded")


async def test_a_decline_is_stored_with_a_code_and_the_text_of_the_provider(
    placed: placing.PlacedOrder, customer: Caller, staff: Caller
) -> None:
    words = "402 card_error: card_declined: insufficient_funds (req_1)"
    path = f"/api/orders/{placed.order}/"
    assert (await customer.get(path)).json()["failure"] is None
    await make_executor(Provider(Declined(words, "insufficient-funds"))).execute([number(placed)])
    failure = {
        "code": "insufficient-funds",
        "message": "There is not enough money on the account.",
    }
    answer = await customer.get(path)
    assert answer.json()["failure"] == failure
    assert "req_1" not in answer.text
    assert answer.json()["history"][-1]["reason"] == failure["message"]
    payment = (await staff.get(f"/api/payments/{placed.payment}/")).json()
    assert (payment["failure"], payment["last_error"]) == (failure, words)
    # Once the customer pays again, the order shows no failure.
    await actions.pay_order(placed.order, by=customer.user.id, needs_method=False)
    assert (await customer.get(path)).json()["failure"] is None


async def test_after_the_second_unknown_answer_the_payment_is_looked_up(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(OutcomeUnknown, OutcomeUnknown)
    for _ in range(2):
        await make_executor(provider).execute([number(placed)])
        await due_now(placed)
    assert provider.looked_up == []
    (first, second) = provider.asked
    # The look-up finds nothing yet. This proves nothing, so the same key is sent once more.
    provider.answers = [OutcomeUnknown()]
    await make_executor(provider).execute([number(placed)])
    assert provider.looked_up == [(first, None)]
    assert provider.asked == [first, second, first]
    await due_now(placed)
    provider.found = Succeeded(f"found {placed.order}", 500, "EUR")
    await make_executor(provider).execute([number(placed)])
    assert len(provider.asked) == 3
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_a_payment_in_progress_is_looked_up_by_its_reference(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(OutcomeUnknown("processing", reference=f"pi {placed.order}"))
    await make_executor(provider).execute([number(placed)])
    assert await state(placed) == ("pending", "unknown")
    await due_now(placed)
    provider.found = Declined("the bank said no in the end")
    await make_executor(provider).execute([number(placed)])
    assert provider.looked_up == [(provider.asked[0], f"pi {placed.order}")]
    assert await state(placed) == ("failed", "declined")
    await ledger.check()


async def test_a_call_that_did_nothing_is_not_unknown(placed: placing.PlacedOrder) -> None:
    provider = Provider(RetryLater("too many requests"))
    await make_executor(provider).execute([number(placed)])
    assert await state(placed) == ("pending", "sent")
    assert await leases.acquire_leases([number(placed)], limit=1, lease_seconds=30) == []
    await due_now(placed)
    await make_executor(provider).execute([number(placed)])
    assert len({request.key for request in provider.asked}) == 1
    assert await state(placed) == ("paid", "succeeded")


async def test_the_providers_reference_stays_when_the_next_try_gets_no_answer(
    placed: placing.PlacedOrder,
) -> None:
    reference = f"pi {placed.order}"
    provider = Provider(OutcomeUndecided("processing", reference))
    await make_executor(provider).execute([number(placed)])
    provider.found = OutcomeUnknown()
    for _ in range(2):
        await due_now(placed)
        await make_executor(provider).execute([number(placed)])
    assert [known for _, known in provider.looked_up] == [reference] * 2
    assert len(provider.asked) == 1


async def test_once_the_provider_may_have_forgotten_the_key_it_is_never_sent_again(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(OutcomeUnknown)
    await make_executor(provider).execute([number(placed)])
    long_ago = datetime.now(UTC) - provider.key_life
    await Payment.update({Payment.first_sent_at: long_ago}).where(Payment.id == placed.payment)
    await due_now(placed)
    await make_executor(provider).execute([number(placed)])
    assert len(provider.asked) == len(provider.looked_up) == 1
    assert await state(placed) == ("pending", "parked")
    assert not await Job.exists().where(Job.subject == placed.payment)
    await ledger.check()


async def test_a_charge_from_before_the_key_expired_is_adopted(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(OutcomeUnknown)
    await make_executor(provider).execute([number(placed)])
    long_ago = datetime.now(UTC) - provider.key_life
    await Payment.update({Payment.first_sent_at: long_ago}).where(Payment.id == placed.payment)
    await due_now(placed)
    provider.found = Succeeded(f"adopted {placed.order}", 500, "EUR")
    await make_executor(provider).execute([number(placed)])
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


@pytest.mark.parametrize("charged", [True, False])
async def test_an_old_payment_that_we_never_sent_is_looked_up_first(
    placed: placing.PlacedOrder, charged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As after a restored backup: the payment may have been sent before, and the provider has
    # forgotten its key.
    for module in (provider_calls, leases):
        monkeypatch.setattr(module, "datetime", Tomorrow)
    provider = Provider(OutcomeUnknown)
    provider.found = OutcomeUnknown("no answer")
    await make_executor(provider).execute([number(placed)])
    assert provider.asked == []
    # It is still looked up first, although we now know of a first try.
    known = Succeeded(f"before the restore {placed.order}", 500, "EUR")
    provider.found = known if charged else None
    for _ in range(2):
        await due_now(placed)
        await make_executor(provider).execute([number(placed)])
    assert await state(placed) == ("paid", "succeeded")
    assert len(provider.asked) == (0 if charged else 2)
    await ledger.check()


async def test_a_failed_query_does_not_lose_earlier_leases(
    placed: placing.PlacedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lease(*ids: Any, job_filter: leases.JobFilter, **how: Any) -> list[leases.Lease]:
        if job_filter.kinds == ["refund"]:
            raise database.DatabaseUnavailable("away")
        return await leases.acquire_leases(*ids, job_filter=job_filter, **how)

    clock, one_executor = Clock(monkeypatch), make_executor(Provider())
    for customer in range(circuit_breaker.FAILURES_TO_OPEN):
        one_executor._breakers["refund"].record_call(customer, answered=False)
    clock.now += circuit_breaker.FIRST_PAUSE_SECONDS
    monkeypatch.setattr(executor, "acquire_leases", lease)
    with pytest.raises(database.DatabaseUnavailable):
        await one_executor.execute([number(placed), 2**40])
    await one_executor.close(5)
    assert await state(placed) == ("paid", "succeeded")


@pytest.mark.parametrize(("grace", "then"), [(5, ("paid", "succeeded")), (0, ("pending", "sent"))])
async def test_a_payment_whose_lease_is_being_acquired_is_carried_out_in_time_or_not_started(
    placed: placing.PlacedOrder,
    monkeypatch: pytest.MonkeyPatch,
    grace: float,
    then: tuple[str, str],
) -> None:
    is_leased, resume = asyncio.Event(), asyncio.Event()

    async def lease(ids: Any, **how: Any) -> list[leases.Lease]:
        acquired = await leases.acquire_leases(ids, **how)
        is_leased.set()
        await resume.wait()
        return acquired

    monkeypatch.setattr(executor, "acquire_leases", lease)
    provider = Provider()
    one_executor = make_executor(provider)
    executing = asyncio.create_task(one_executor.execute([number(placed)]))
    await is_leased.wait()
    closing = asyncio.create_task(one_executor.close(grace))
    ended, _ = await asyncio.wait({closing}, timeout=0.05 if grace else None)
    assert bool(ended) == (grace == 0)
    resume.set()
    await asyncio.gather(closing, executing)
    assert len(provider.asked) == (1 if grace else 0)
    assert await state(placed) == then
    await ledger.check()


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [(501, "EUR", "5.01 EUR"), (500, "USD", "5.00 USD"), (0, "EUR", "0.00 EUR")],
)
async def test_another_amount_than_requested_is_parked(
    placed: placing.PlacedOrder, amount: int, currency: str, said: str
) -> None:
    reference = f"odd {placed.order}"
    await make_executor(Provider(Succeeded(reference, amount, currency))).execute([number(placed)])
    assert await state(placed) == ("pending", "parked")
    row = await Payment.select().where(Payment.id == placed.payment).first()
    assert row is not None
    assert (row["provider_ref"], row["moved"]) == (reference, amount)
    assert row["last_error"] == f"The provider moved {said} instead of 5.00 EUR."
    # A late answer with the right amount ends the manual review.
    lease = await leases.read_payment_as_lease(number(placed))
    assert lease is not None
    assert await settled(lease, reference)
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_a_provider_that_does_not_answer_is_left_alone_and_no_order_fails_for_it(
    customers: list[int], flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    placed = [
        await place(one, {flavor: 1})
        for one in [*customers * 5][: circuit_breaker.FAILURES_TO_OPEN + 5]
    ]
    numbers = [number(one) for one in placed]
    provider = Provider(*[OutcomeUnknown] * circuit_breaker.FAILURES_TO_OPEN)
    one_executor = make_executor(provider, slots=MANY)
    await one_executor.execute(numbers[: circuit_breaker.FAILURES_TO_OPEN])
    assert len(provider.asked) == circuit_breaker.FAILURES_TO_OPEN
    assert await one_executor.sweep() is False
    await one_executor.execute(numbers)
    assert len(provider.asked) == circuit_breaker.FAILURES_TO_OPEN
    clock.now += circuit_breaker.FIRST_PAUSE_SECONDS
    # One payment is the trial. Once the provider answers it, the others follow.
    await one_executor.execute(numbers[-1:])
    assert provider.asked[circuit_breaker.FAILURES_TO_OPEN].order == placed[-1].order
    await until(lambda: are_paid(placed[circuit_breaker.FAILURES_TO_OPEN :]))
    assert len(provider.asked) == circuit_breaker.FAILURES_TO_OPEN + 5
    assert {await state(one) for one in placed[: circuit_breaker.FAILURES_TO_OPEN]} == {
        ("pending", "unknown")
    }
    await one_executor.close(5)
    await ledger.check()


@pytest.mark.parametrize(
    "answer", [RetryLater("429"), RetryLater("400"), OutcomeUndecided("processing", "pi_1")]
)
async def test_an_answer_that_is_not_a_yes_does_not_stop_the_payments_of_others(
    customers: list[int], flavor: int, answer: Exception
) -> None:
    refused = [
        await place(one, {flavor: 1}) for one in customers * circuit_breaker.FAILURES_TO_OPEN
    ]
    good = await place(customers[0], {flavor: 1})
    one_executor = make_executor(Provider(*[answer] * len(refused)), slots=MANY)
    await one_executor.execute([number(one) for one in refused])
    await one_executor.execute([number(good)])
    assert await state(good) == ("paid", "succeeded")


@pytest.mark.parametrize("trouble", [OutcomeUnknown, TimeoutError, ConnectionResetError])
async def test_the_trouble_of_one_customer_does_not_stop_the_payments_of_others(
    customers: list[int], flavor: int, trouble: type[Exception]
) -> None:
    bad, other, _ = customers
    troubled = [await place(bad, {flavor: 1}) for _ in range(3 * circuit_breaker.FAILURES_TO_OPEN)]
    good = await place(other, {flavor: 1})
    provider = Provider(*[trouble] * len(troubled))
    one_executor = make_executor(provider, slots=MANY)
    await one_executor.execute([number(one) for one in troubled])
    await one_executor.execute([number(good)])
    assert await state(good) == ("paid", "succeeded")
    assert len(provider.asked) == len(troubled) + 1


class Hangs(Provider):
    """A provider that does not answer calls for these orders until a test allows it."""

    def __init__(self, orders: set[int]) -> None:
        super().__init__()
        self.orders, self.answers_again = orders, asyncio.Event()
        self.hanging = False

    async def is_asked(self) -> bool:
        """Return whether a call hangs."""
        return self.hanging

    async def _answer(self, request: Request) -> Answer:
        if request.order in self.orders:
            self.hanging = True
            await self.answers_again.wait()
        return await super()._answer(request)


async def swept(one_executor: executor.Executor, orders: list[placing.PlacedOrder]) -> bool:
    """Sweep once and return whether all orders are paid."""
    await one_executor.sweep()
    return await are_paid(orders)


async def are_paid(orders: list[placing.PlacedOrder]) -> bool:
    ids = [one.order for one in orders]
    return not await Order.exists().where(Order.id.is_in(ids), Order.status != "paid")


@pytest.mark.parametrize("notified", [True, False])
async def test_calls_that_hang_for_one_customer_leave_slots_for_others(
    customers: list[int], flavor: int, notified: bool
) -> None:
    bad, other, _ = customers
    hanging = [await place(bad, {flavor: 1}) for _ in range(30)]
    good = [await place(other, {flavor: 1}) for _ in range(3)]
    provider = Hangs({one.order for one in hanging})
    one_executor = make_executor(provider, timeout=60)
    executing = asyncio.create_task(one_executor.execute([number(one) for one in hanging]))
    await until(provider.is_asked)
    if notified:
        await asyncio.gather(*(one_executor.execute([number(one)]) for one in good))
    else:
        assert await one_executor.sweep()
    await until(lambda: are_paid(good))
    assert {await state(one) for one in hanging} <= {("pending", "new"), ("pending", "sent")}
    # Payments without a free slot are found once there is one, without a sweep or a notification.
    provider.answers_again.set()
    await until(lambda: are_paid(hanging))
    await executing
    await one_executor.close(5)
    await ledger.check()


async def test_a_notification_for_a_customer_at_the_limit_costs_no_query(
    customers: list[int], flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [await place(customers[0], {flavor: 1}) for _ in range(30)]
    provider = Hangs({one.order for one in waiting})
    one_executor = make_executor(provider, timeout=60)
    executing = asyncio.create_task(one_executor.execute([number(one) for one in waiting]))
    await until(provider.is_asked)
    other = await place(customers[1], {flavor: 1})
    asked, real = list[object](), executor.acquire_leases

    async def lease(ids: object, **how: Any) -> list[leases.Lease]:
        asked.append(ids)
        return await real(ids, **how)

    monkeypatch.setattr(executor, "acquire_leases", lease)
    await one_executor.execute([number(one) for one in waiting], [customers[0]] * len(waiting))
    assert asked == []
    # With another customer's payment in the same notification, only that one is leased.
    both = [waiting[-1], other]
    await one_executor.execute([number(one) for one in both], [customers[0], customers[1]])
    assert asked == [[number(other)]]
    assert await are_paid([other])
    provider.answers_again.set()
    await until(lambda: are_paid(waiting))
    await executing
    await one_executor.close(5)
    await ledger.check()


async def test_retries_that_hang_leave_slots_for_new_payments(
    customers: list[int], flavor: int
) -> None:
    again = [await place(one, {flavor: 1}) for one in customers * 4]
    await make_executor(Provider(*[RetryLater("429")] * len(again)), slots=MANY).execute(
        [number(one) for one in again]
    )
    for one in again:
        await due_now(one)
    provider = Hangs({one.order for one in again})
    one_executor = make_executor(provider, timeout=60)
    assert await one_executor.sweep()
    # The fresh payment became due after all retries.
    fresh = await place(customers[0], {flavor: 1})
    assert await one_executor.sweep()
    await until(lambda: are_paid([fresh]))
    assert {await state(one) for one in again} == {("pending", "sent")}
    provider.answers_again.set()
    await until(lambda: are_paid(again))
    await one_executor.close(5)
    await ledger.check()


async def test_a_job_without_a_customer_does_not_wait_for_a_customer_at_the_limit(
    customers: list[int], flavor: int
) -> None:
    bad, other, _ = customers
    hanging = [await place(bad, {flavor: 1}) for _ in range(10)]
    provider = Hangs({one.order for one in hanging})
    one_executor = make_executor(provider, timeout=60)
    assert await one_executor.sweep()
    good = await place(other, {flavor: 1})
    await Job.update({Job.customer: None}).where(Job.subject == number(good))
    assert await one_executor.sweep()
    await until(lambda: are_paid([good]))
    provider.answers_again.set()
    await until(lambda: are_paid(hanging))
    await one_executor.close(5)


async def test_due_jobs_are_read_in_order_of_time_and_not_sorted(opened: None) -> None:
    job_filter = leases.JobFilter(excluded_customers=[1], only_new=True)
    query = (await leases._select_due_jobs(None, job_filter)).limit(10)
    explain = "EXPLAIN QUERY PLAN {}" if query.engine_type == "sqlite" else "EXPLAIN {}"
    plan = str(await Job.raw(explain, query.querystrings[0]))
    assert "job_run_at" in plan, plan
    assert not re.search("sort|b-tree", plan, re.IGNORECASE), plan


async def test_payments_skipped_by_a_sweep_are_found_when_slots_are_free(
    customers: list[int], flavor: int
) -> None:
    """The share of one customer is smaller than the number of these payments."""
    placed = [await place(customers[0], {flavor: 1}) for _ in range(10)]
    one_executor = make_executor(Provider())
    assert await one_executor.sweep()
    await until(lambda: are_paid(placed))
    await one_executor.close(5)


async def test_payments_beyond_the_free_slots_are_found_later(
    customers: list[int], flavor: int
) -> None:
    """The first query finds only as many payments as fill the share of their customer."""
    bad, other, _ = customers
    paid = [await place(bad, {flavor: 1}) for _ in range(2)]
    await make_executor(Provider()).execute([number(one) for one in paid])
    refunds = [one for order in paid for one in await actions.cancel_order(order.order, by=bad)]
    # With two refunds that hang, there are as many slots left as one customer may hold.
    provider = Hangs({one.order for one in paid})
    one_executor = make_executor(provider, timeout=60)
    executing = asyncio.create_task(one_executor.execute(refunds))
    await until(provider.is_asked)
    placed = [await place(other, {flavor: 1}) for _ in range(16)]
    assert await one_executor.sweep()
    await until(lambda: are_paid(placed))
    provider.answers_again.set()
    await executing
    await one_executor.close(5)


async def test_a_trial_uses_a_customer_without_trouble(
    customers: list[int], stranger: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    troubled = [
        await place(one, {flavor: 1}) for one in customers * circuit_breaker.FAILURES_TO_OPEN
    ]
    good = await place(stranger.user.id, {flavor: 1})
    provider = Provider(*[OutcomeUnknown()] * circuit_breaker.FAILURES_TO_OPEN)
    one_executor = make_executor(provider, slots=MANY)
    await one_executor.execute(
        [number(one) for one in troubled[: circuit_breaker.FAILURES_TO_OPEN]]
    )
    assert await one_executor.sweep() is False
    clock.now += circuit_breaker.FIRST_PAUSE_SECONDS
    assert await one_executor.sweep() is True
    # The older payments follow once the trial was answered.
    await until(lambda: are_paid([*troubled[circuit_breaker.FAILURES_TO_OPEN :], good]))
    assert provider.asked[circuit_breaker.FAILURES_TO_OPEN].order == good.order
    await one_executor.close(5)


async def test_the_trouble_of_refunds_does_not_stop_charges(
    customers: list[int], flavor: int
) -> None:
    paid = [await place(one, {flavor: 1}) for one in customers * 4]
    one_executor = make_executor(Refunds(), slots=MANY)
    await one_executor.execute([number(one) for one in paid])
    refunds = [
        one for order in paid for one in await actions.cancel_order(order.order, by=customers[0])
    ]
    await one_executor.execute(refunds)
    assert not await Payment.exists().where(Payment.id.is_in(refunds), Payment.state != "unknown")
    good = await place(customers[0], {flavor: 1})
    await one_executor.execute([number(good)])
    assert await state(good) == ("paid", "succeeded")
    # Refunds stop, because they had the trouble. Charges continue.
    (refund,) = await actions.cancel_order(good.order, by=customers[0])
    await one_executor.execute([refund])
    assert await Payment.exists().where(Payment.id == refund, Payment.state == "new")
    await ledger.check()


class Refunds(Provider):
    """A provider that answers charges and never answers a refund."""

    async def refund(self, refund: Refund) -> Answer:
        raise OutcomeUnknown


class Clock:
    """The breaker's clock, set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(circuit_breaker, "monotonic", lambda: self.now)


class Tomorrow:
    """A clock on our side after the provider has forgotten our key."""

    @staticmethod
    def now(tz: tzinfo) -> datetime:
        return datetime.now(tz) + Provider.key_life


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
    assert await due(number(placed))
    await make_executor(Provider(Declined("no"))).execute([number(placed)])
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


@pytest.fixture
def one_breaker() -> circuit_breaker.CircuitBreaker:
    """A breaker that is about to open: the next unanswered call of a third customer opens it."""
    made = circuit_breaker.CircuitBreaker()
    for customer in range(circuit_breaker.FAILURES_TO_OPEN - 1):
        made.record_call(customer % 2, answered=False)
    return made


def test_the_pauses_of_a_provider_that_stays_away_grow_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, one_breaker: circuit_breaker.CircuitBreaker
) -> None:
    clock = Clock(monkeypatch)
    assert not one_breaker.is_open
    pauses = []
    one_breaker.record_call(3, answered=False)
    for _ in range(6):
        began = clock.now
        while not one_breaker.allows_trial:
            clock.now += 0.5
        pauses.append(clock.now - began)
        one_breaker.record_trial()
        assert not one_breaker.allows_trial
        one_breaker.record_call(3, answered=False)
    assert pauses == [2, 4, 8, 10, 10, 10]
    one_breaker.record_call(3, answered=True)
    assert not one_breaker.is_open


def test_calls_that_began_before_the_breaker_opened_do_not_make_its_pause_longer(
    monkeypatch: pytest.MonkeyPatch, one_breaker: circuit_breaker.CircuitBreaker
) -> None:
    clock = Clock(monkeypatch)
    for customer in range(50):
        one_breaker.record_call(customer, answered=False)
    clock.now += circuit_breaker.FIRST_PAUSE_SECONDS
    assert one_breaker.allows_trial


def test_the_tenth_call_without_an_answer_opens_the_breaker() -> None:
    one = circuit_breaker.CircuitBreaker()
    opened = []
    for n in range(10):
        one.record_call(n % 3, answered=False)
        opened.append(one.is_open)
    assert opened == [False] * 9 + [True]


def test_a_trial_without_an_outcome_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, one_breaker: circuit_breaker.CircuitBreaker
) -> None:
    clock = Clock(monkeypatch)
    one_breaker.record_call(3, answered=False)
    clock.now += circuit_breaker.FIRST_PAUSE_SECONDS
    one_breaker.record_trial()
    clock.now += circuit_breaker.MAX_PAUSE_SECONDS
    assert one_breaker.allows_trial


def test_however_often_the_calls_of_two_customers_fail_the_breaker_stays_closed() -> None:
    one = circuit_breaker.CircuitBreaker()
    for customer in [1, 2] * 500:
        one.record_call(customer, answered=False)
    assert not one.is_open


# The bound with the default settings. The worst case is a worker that dies with the payment: then
# all pauses add up.
BOUND_SECONDS = 60


def test_the_longest_pauses_together_are_shorter_than_a_minute() -> None:
    lease = settings.Settings().lease
    sweep = settings.WORKER_SWEEP_SECONDS * 1.25
    pauses = leases.MAX_RETRY_DELAY_SECONDS + circuit_breaker.MAX_PAUSE_SECONDS
    assert lease + sweep + pauses < BOUND_SECONDS
    assert (
        max(leases.retry_delay(tries) for tries in range(1, 1000)) <= leases.MAX_RETRY_DELAY_SECONDS
    )


def test_pauses_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases.random, "uniform", lambda _, most: most)
    assert [leases.retry_delay(tries) for tries in (1, 2, 3, 1000)] == [5, 10, 12, 12]
    assert [leases.retry_delay(tries, 120) for tries in (1, 4, 5, 6)] == [5, 40, 80, 120]


@pytest.mark.parametrize("bad", [0.3, 0.9, 1.0])
def test_all_payments_end_within_a_minute_of_the_last_fault(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    """Simulate second by second, with the real pauses and breaker; a call takes a second."""
    clock, chance, one = Clock(monkeypatch), random.Random(7), circuit_breaker.CircuitBreaker()
    monkeypatch.setattr(leases.random, "uniform", chance.uniform)
    due, tries = dict.fromkeys(range(300), clock.now), Counter[int]()
    last_fault = began = clock.now

    def answers() -> bool:
        nonlocal last_fault
        good = clock.now > began + 300 or chance.random() >= bad
        last_fault = last_fault if good else clock.now
        return good

    while due and clock.now < began + 3600:
        ready = sorted((at, payment) for payment, at in due.items() if at <= clock.now)
        room = 50 if not one.is_open else int(one.allows_trial)
        for _, payment in ready[:room]:
            if one.is_open:
                one.record_trial()
            tries[payment] += 1
            calls = 2 if tries[payment] >= provider_calls.FIRST_TRY_WITH_LOOKUP else 1
            answered = all(answers() for _ in range(calls))
            one.record_call(payment % 20, answered=answered)
            due[payment] = clock.now + leases.retry_delay(tries[payment])
            if answered:
                del due[payment]
        clock.now += 1
    assert not due
    assert clock.now - last_fault <= BOUND_SECONDS
