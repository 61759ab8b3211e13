"""Test the call to the provider for one payment: look-ups, missing answers, refusals, bugs."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from icecream import database
from icecream.orders import placing
from icecream.payments import (
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
    RequestRefused,
    RetryLater,
    Succeeded,
)
from icecream.reporting import totals
from icecream.runtime import instrumentation
from icecream.tables import Job, Order, Payment
from tests import ledger
from tests.conftest import (
    Caller,
    Provider,
    make_executor,
    payment_id,
    place,
)
from tests.payments.conftest import due_now, settled, state

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "lost", [OutcomeUnknown, TimeoutError, ConnectionResetError, socket.gaierror]
)
async def test_no_answer_is_not_a_decline_and_is_retried_with_the_same_key(
    placed: placing.PlacedOrder, lost: type[Exception]
) -> None:
    provider = Provider(lost, lost)
    for _ in range(2):
        await make_executor(provider).execute([payment_id(placed)])
        assert await state(placed) == ("pending", "unknown")
        job = await Job.select(Job.run_at).where(Job.subject == placed.payment).first()
        assert job is not None
        assert job["run_at"] > datetime.now(UTC) + timedelta(seconds=2)
        await ledger.check()
        await due_now(placed)
    await make_executor(provider).execute([payment_id(placed)])
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

    await make_executor(Slow(), timeout=0.01).execute([payment_id(placed)])
    assert await state(placed) == ("pending", "unknown")


async def test_a_refund_without_a_charge_is_parked_and_does_not_stop_the_others(
    placed: placing.PlacedOrder, customer: Caller, staff: Caller, flavor: int
) -> None:
    failed = await place(customer.user.id, {flavor: 1})
    await make_executor(Provider(Declined("no"))).execute([payment_id(failed)])
    # Create a refund of an order that was never charged. No rule of the service creates one.
    refund = Payment(
        order=failed.order, kind="refund", n=1, state="sent", provider_key="of nothing", amount=1
    )
    await refund.save()
    await Job.insert(
        Job(kind="refund", subject=refund.id, run_at=datetime(2000, 1, 1, tzinfo=UTC), tries=0)
    )
    provider = Provider()
    await make_executor(provider).execute([refund.id, payment_id(placed)])
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
    row = await Order.select(Order.created_at, Order.status).where(Order.id == failed.order).first()
    assert row is not None
    placed_as = row["created_at"], row["status"]
    gone = totals.EndedPayment(*placed_as, "refund", "declined", amount=1, number=-1)
    await database.run_together(*totals.update_statements([], payments=[gone]))
    await ledger.check()


# A missing file on our side says nothing about the provider.
@pytest.mark.parametrize("bug", [KeyError("gone"), FileNotFoundError("gone")])
async def test_a_bug_in_a_provider_costs_a_pause_and_not_the_payment(
    placed: placing.PlacedOrder, caplog: pytest.LogCaptureFixture, bug: Exception
) -> None:
    one_executor = make_executor(Provider(bug, bug))
    for faults in (1, 2):
        await one_executor.execute([payment_id(placed)])
        assert await state(placed) == ("pending", "unknown")
        row = await Payment.select().where(Payment.id == placed.payment).first()
        assert row is not None
        assert (row["last_error"], row["faults"]) == (repr(bug), faults)
        # The payment is not sent again at once.
        assert await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30) == []
        await due_now(placed)
    assert caplog.text.count("Traceback") == 1
    assert caplog.text.count(repr(bug)) == 2
    await one_executor.execute([payment_id(placed)])
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_a_bug_that_stays_ends_in_a_manual_review(placed: placing.PlacedOrder) -> None:
    before = attempts_counted("error")
    for _ in range(provider_calls.MAX_INTERNAL_ERRORS):
        await due_now(placed)
        await make_executor(Provider(KeyError("gone"))).execute([payment_id(placed)])
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
        await make_executor(Provider()).execute([payment_id(placed)])
        row = await Payment.select(*columns).where(Payment.id == placed.payment).first()
        assert row is not None
        assert (row["faults"], row["last_error"]) == (faults, "KeyError('gone')")
        # The payment is not sent again at once.
        assert await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30) == []
        await due_now(placed)
    await make_executor(Provider()).execute([payment_id(placed)])
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
        await make_executor(provider).execute([payment_id(placed)])
        assert await state(placed) == ("pending", "sent")
        soon = database.seconds_from_now(leases.MAX_RETRY_DELAY_AFTER_ERROR_SECONDS)
        assert await Job.exists().where(Job.subject == placed.payment, Job.run_at <= soon)
    # Fixing such a refusal takes longer than an outage of a provider, so the pause is longer too.
    later = database.seconds_from_now(leases.MAX_RETRY_DELAY_SECONDS)
    assert await Job.exists().where(Job.subject == placed.payment, Job.run_at > later)
    await due_now(placed)
    await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("paid", "succeeded")


async def test_after_the_second_unknown_answer_the_payment_is_looked_up(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(OutcomeUnknown, OutcomeUnknown)
    for _ in range(2):
        await make_executor(provider).execute([payment_id(placed)])
        await due_now(placed)
    assert provider.looked_up == []
    (first, second) = provider.asked
    # The look-up finds nothing yet. This proves nothing, so the same key is sent once more.
    provider.answers = [OutcomeUnknown()]
    await make_executor(provider).execute([payment_id(placed)])
    assert provider.looked_up == [(first, None)]
    assert provider.asked == [first, second, first]
    await due_now(placed)
    provider.found = Succeeded(f"found {placed.order}", 500, "EUR")
    await make_executor(provider).execute([payment_id(placed)])
    assert len(provider.asked) == 3
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_a_payment_in_progress_is_looked_up_by_its_reference(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(OutcomeUnknown("processing", reference=f"pi {placed.order}"))
    await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("pending", "unknown")
    await due_now(placed)
    provider.found = Declined("the bank said no in the end")
    await make_executor(provider).execute([payment_id(placed)])
    assert provider.looked_up == [(provider.asked[0], f"pi {placed.order}")]
    assert await state(placed) == ("failed", "declined")
    await ledger.check()


async def test_a_call_that_did_nothing_is_not_unknown(placed: placing.PlacedOrder) -> None:
    provider = Provider(RetryLater("too many requests"))
    await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("pending", "sent")
    assert await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=30) == []
    await due_now(placed)
    await make_executor(provider).execute([payment_id(placed)])
    assert len({request.key for request in provider.asked}) == 1
    assert await state(placed) == ("paid", "succeeded")


async def test_the_providers_reference_stays_when_the_next_try_gets_no_answer(
    placed: placing.PlacedOrder,
) -> None:
    reference = f"pi {placed.order}"
    provider = Provider(OutcomeUndecided("processing", reference))
    await make_executor(provider).execute([payment_id(placed)])
    provider.found = OutcomeUnknown()
    for _ in range(2):
        await due_now(placed)
        await make_executor(provider).execute([payment_id(placed)])
    assert [known for _, known in provider.looked_up] == [reference] * 2
    assert len(provider.asked) == 1


async def test_once_the_provider_may_have_forgotten_the_key_it_is_never_sent_again(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(OutcomeUnknown)
    await make_executor(provider).execute([payment_id(placed)])
    long_ago = datetime.now(UTC) - provider.key_life
    await Payment.update({Payment.first_sent_at: long_ago}).where(Payment.id == placed.payment)
    await due_now(placed)
    await make_executor(provider).execute([payment_id(placed)])
    assert len(provider.asked) == len(provider.looked_up) == 1
    assert await state(placed) == ("pending", "parked")
    assert not await Job.exists().where(Job.subject == placed.payment)
    await ledger.check()


async def test_a_charge_from_before_the_key_expired_is_adopted(
    placed: placing.PlacedOrder,
) -> None:
    provider = Provider(OutcomeUnknown)
    await make_executor(provider).execute([payment_id(placed)])
    long_ago = datetime.now(UTC) - provider.key_life
    await Payment.update({Payment.first_sent_at: long_ago}).where(Payment.id == placed.payment)
    await due_now(placed)
    provider.found = Succeeded(f"adopted {placed.order}", 500, "EUR")
    await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


class Tomorrow:
    """A clock on our side after the provider has forgotten our key."""

    @staticmethod
    def now(tz: tzinfo) -> datetime:
        return datetime.now(tz) + Provider.key_life


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
    await make_executor(provider).execute([payment_id(placed)])
    assert provider.asked == []
    # It is still looked up first, although we now know of a first try.
    known = Succeeded(f"before the restore {placed.order}", 500, "EUR")
    provider.found = known if charged else None
    for _ in range(2):
        await due_now(placed)
        await make_executor(provider).execute([payment_id(placed)])
    assert await state(placed) == ("paid", "succeeded")
    assert len(provider.asked) == (0 if charged else 2)
    await ledger.check()
