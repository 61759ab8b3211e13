"""Test that workers can apply webhook events in any order, repeatedly and at the same time."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from icecream import database
from icecream.orders import actions, placing
from icecream.payments import executor, leases, providers, webhook_inbox
from icecream.payments.providers import (
    Answer,
    Declined,
    OutcomeUnknown,
    Refund,
    Request,
    RetryLater,
    Succeeded,
)
from icecream.runtime import failpoints
from icecream.tables import NOTICE_RETRY_PERIOD, Event, Flavor, Job, Notice, Payment
from tests import ledger
from tests.conftest import Caller, Provider, new_flavor, payment_id, place, records_of, success_of
from tests.payments.conftest import state

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_webhook_events")]
LEASE = 30
_events = count(1)


class LookupProvider(Provider):
    """A provider that finds every payment succeeded, unless `found` says something else."""

    async def look_up(self, request: Request, reference: str | None) -> Answer | None:
        assert not database.DB.transaction_exists()
        found = await super().look_up(request, reference)
        return found or success_of(request, f"ref {request.key}")


@pytest.fixture
async def placed(customer: Caller, flavor: int) -> placing.PlacedOrder:
    """An order of 500, whose charge had no definite answer."""
    return await unanswered(customer, flavor)


async def unanswered(customer: Caller, flavor: int) -> placing.PlacedOrder:
    placed = await place(customer.user.id, {flavor: 2})
    await carry_out(payment_id(placed), OutcomeUnknown())
    assert await state(placed) == ("pending", "unknown")
    return placed


async def carry_out(payment: int, *answers: str | Answer | Exception) -> None:
    """Carry out a payment once, with a new executor."""
    one_executor = executor.Executor(Provider(*answers), slots=1, lease_seconds=LEASE, timeout=5)
    await one_executor.execute([payment])


async def history(placed: placing.PlacedOrder) -> list[str]:
    rows = await Event.select(Event.type).where(Event.order == placed.order).order_by(Event.seq)
    return [row["type"] for row in rows]


async def key_of(payment: int) -> str:
    rows = await Payment.select(Payment.provider_key).where(Payment.id == payment)
    key: str = rows[0]["provider_key"]
    return key


async def stored_event(key: str, reference: str = "their reference") -> int:
    """Receive a provider's event about the payment with this key, and return the event's id."""
    name = f"evt_{next(_events)}"
    event = providers.WebhookEvent(name, key, reference)
    assert await webhook_inbox.store_event("simulated", event)
    (row,) = await Notice.select(Notice.id).where(Notice.event == name)
    stored: int = row["id"]
    return stored


async def due_now() -> None:
    """Make all jobs of webhook events due: end their delay, lease or pause."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    await Job.update({Job.run_at: past}).where(Job.kind == "notice")


async def aged(event: int, age: timedelta) -> None:
    received_at = datetime.now(UTC) - age
    await Notice.update({Notice.received_at: received_at}).where(Notice.id == event)


async def applied(event: int) -> bool:
    """Return whether an event was applied, and check that it has a job only if it was not."""
    was = await Notice.exists().where(Notice.id == event, Notice.applied_at.is_not_null())
    assert await has_job(event) == (not was)
    return was


async def has_job(event: int) -> bool:
    return await Job.exists().where(Job.kind == "notice", Job.subject == event)


def inbox(provider: Provider, *, seconds: float = 5) -> webhook_inbox.WebhookInbox:
    return webhook_inbox.WebhookInbox(provider, lease_seconds=LEASE, timeout=seconds)


async def apply(provider: Provider, *, seconds: float = 5) -> None:
    """Apply all events, due or not."""
    await due_now()
    await sweep(inbox(provider, seconds=seconds))


async def sweep(one: webhook_inbox.WebhookInbox) -> None:
    while await one.sweep():
        pass


async def test_a_webhook_event_leads_to_the_look_up_and_settlement_of_an_unknown_payment(
    placed: placing.PlacedOrder,
) -> None:
    key = await key_of(payment_id(placed))
    event, provider = await stored_event(key, "pi_1"), LookupProvider()
    await apply(provider)
    assert [(asked.key, reference) for asked, reference in provider.looked_up] == [(key, "pi_1")]
    assert provider.asked == []
    assert await state(placed) == ("paid", "succeeded")
    assert await applied(event)
    await ledger.check()


async def test_it_is_the_providers_answer_that_counts(customer: Caller) -> None:
    flavor = await new_flavor(stock=10)
    placed = await unanswered(customer, flavor)
    event, provider = await stored_event(await key_of(payment_id(placed))), LookupProvider()
    provider.found = Declined("the bank said no")
    await apply(provider)
    assert await state(placed) == ("failed", "declined")
    assert await Flavor.select(Flavor.stock).where(Flavor.id == flavor) == [{"stock": 10}]
    assert await applied(event)
    await ledger.check()


async def test_our_own_answer_is_given_a_moment_first(placed: placing.PlacedOrder) -> None:
    event, provider = await stored_event(await key_of(payment_id(placed))), LookupProvider()
    await inbox(provider).sweep()
    assert provider.looked_up == []
    assert not await applied(event)
    (job,) = await Job.select(Job.run_at).where(Job.kind == "notice", Job.subject == event)
    assert timedelta() < job["run_at"] - datetime.now(UTC) <= webhook_inbox.LOOKUP_DELAY


async def test_an_event_about_an_ended_payment_is_applied_at_once(
    placed: placing.PlacedOrder,
) -> None:
    key, provider = await key_of(payment_id(placed)), LookupProvider()
    early = await stored_event(key)
    await apply(provider)
    late = await stored_event(key)
    assert [await applied(event) for event in (early, late)] == [True, True]
    await apply(provider)
    assert len(provider.looked_up) == 1
    await ledger.check()


async def test_a_payment_that_ends_meanwhile_costs_no_query(placed: placing.PlacedOrder) -> None:
    event, provider = await stored_event(await key_of(payment_id(placed))), LookupProvider()
    await Job.update({Job.run_at: await database.now()}).where(Job.subject == placed.payment)
    await carry_out(payment_id(placed))
    assert await state(placed) == ("paid", "succeeded")
    await apply(provider)
    assert provider.looked_up == []
    assert await applied(event)


async def test_an_event_is_stored_once(placed: placing.PlacedOrder) -> None:
    event = providers.WebhookEvent("evt_same", await key_of(payment_id(placed)), "pi_1")
    received = await asyncio.gather(
        *(webhook_inbox.store_event("simulated", event) for _ in range(20))
    )
    assert sorted(received) == [False] * 19 + [True]
    assert await webhook_inbox.store_event("another", event)
    assert await Notice.count() == await Job.count().where(Job.kind == "notice") == 2


async def test_many_events_about_a_payment_settle_it_once(placed: placing.PlacedOrder) -> None:
    key = await key_of(payment_id(placed))
    several = [await stored_event(key) for _ in range(5)]
    await apply(LookupProvider())
    assert [await applied(event) for event in several] == [True] * 5
    assert await history(placed) == ["placed", "paid"]
    await ledger.check()


async def test_a_webhook_event_may_arrive_before_its_order_is_in_the_database(
    customer: Caller, flavor: int
) -> None:
    event, provider = await stored_event("a key to come"), LookupProvider()
    before = await database.now()
    await apply(provider)
    assert not await applied(event)
    (job,) = await Job.select().where(Job.kind == "notice", Job.subject == event)
    assert (job["tries"], job["run_at"] >= before + timedelta(seconds=LEASE)) == (1, True)
    placed = await unanswered(customer, flavor)
    await Payment.update({Payment.provider_key: "a key to come"}).where(
        Payment.id == placed.payment
    )
    await apply(provider)
    assert len(provider.looked_up) == 1
    assert await state(placed) == ("paid", "succeeded")
    assert await applied(event)
    await ledger.check()


async def test_a_webhook_event_without_an_order_is_not_retried_forever_and_stays_visible() -> None:
    event, provider = await stored_event("an unknown key"), LookupProvider()
    await aged(event, NOTICE_RETRY_PERIOD - timedelta(minutes=1))
    await apply(provider)
    assert await has_job(event)
    await aged(event, NOTICE_RETRY_PERIOD)
    await apply(provider)
    assert not await has_job(event)
    assert await Notice.exists().where(Notice.id == event, Notice.applied_at.is_null())
    assert provider.looked_up == []
    await ledger.check()


async def test_a_payment_that_was_not_sent_yet_is_left_to_the_worker(
    customer: Caller, flavor: int
) -> None:
    placed = await place(customer.user.id, {flavor: 2})
    event, provider = await stored_event(await key_of(payment_id(placed))), LookupProvider()
    await aged(event, timedelta(seconds=LEASE))
    await apply(provider)
    assert provider.looked_up == []
    assert await state(placed) == ("pending", "new")
    assert not await applied(event)


async def test_a_payment_in_progress_is_left_to_its_worker_for_one_lease(
    customer: Caller, flavor: int
) -> None:
    placed = await place(customer.user.id, {flavor: 2})
    await leases.acquire_leases([payment_id(placed)], limit=1, lease_seconds=LEASE)
    event, provider = await stored_event(await key_of(payment_id(placed))), LookupProvider()
    await apply(provider)
    assert provider.looked_up == []
    assert not await applied(event)
    await aged(event, timedelta(seconds=LEASE))
    await apply(provider)
    assert await state(placed) == ("paid", "succeeded")
    assert await applied(event)
    await ledger.check()


async def test_a_parked_payment_is_ended_by_a_late_and_verified_answer(
    placed: placing.PlacedOrder,
) -> None:
    key = await key_of(payment_id(placed))
    first, provider = await stored_event(key), LookupProvider()
    provider.found = Succeeded(f"ref {key}", 499, "EUR")
    await apply(provider)
    assert await state(placed) == ("pending", "parked")
    assert await applied(first)
    # A second event with the same wrong answer changes nothing.
    second = await stored_event(key)
    await apply(provider)
    assert await state(placed) == ("pending", "parked")
    assert await applied(second)
    provider.found = None
    third = await stored_event(key)
    await apply(provider)
    assert await state(placed) == ("paid", "succeeded")
    assert await applied(third)
    assert await history(placed) == ["placed", "parked", "paid"]
    await ledger.check()


async def test_refunds_too_are_settled_by_their_webhook_events_in_any_order(
    customer: Caller,
) -> None:
    flavor = await new_flavor(stock=10)
    placed = await unanswered(customer, flavor)
    await actions.cancel_order(placed.order, by=customer.user.id)
    charged = await key_of(payment_id(placed))
    early = await stored_event(charged)
    await apply(LookupProvider())
    assert await state(placed) == ("refunding", "succeeded")
    (row,) = await Payment.select(Payment.id).where(
        Payment.order == placed.order, Payment.kind == "refund"
    )
    await carry_out(row["id"], OutcomeUnknown())
    refund, provider = await stored_event(await key_of(row["id"]), "re_1"), LookupProvider()
    late = await stored_event(charged)
    await apply(provider)
    ((asked, reference),) = provider.looked_up
    assert (asked.amount, reference) == (500, "re_1")
    assert isinstance(asked, Refund)
    assert asked.charge == f"ref {charged}"
    assert await state(placed) == ("canceled", "succeeded")
    assert [await applied(event) for event in (early, refund, late)] == [True] * 3
    assert await Flavor.select(Flavor.stock).where(Flavor.id == flavor) == [{"stock": 10}]
    await ledger.check()


@pytest.mark.parametrize(
    "trouble",
    [OutcomeUnknown("processing"), RetryLater("429"), ConnectionResetError(), TimeoutError(), None],
    ids=repr,
)
async def test_an_event_without_an_answer_is_retried_later(
    placed: placing.PlacedOrder, trouble: Exception | None
) -> None:
    event, provider = await stored_event(await key_of(payment_id(placed))), Provider()
    provider.found = trouble
    await apply(provider)
    assert len(provider.looked_up) == 1
    assert not await applied(event)
    assert await state(placed) == ("pending", "unknown")
    await inbox(provider).sweep()
    assert len(provider.looked_up) == 1
    await apply(LookupProvider())
    assert await state(placed) == ("paid", "succeeded")
    assert await applied(event)
    await ledger.check()


async def test_a_provider_that_hangs_is_not_waited_for(placed: placing.PlacedOrder) -> None:
    class Hangs(Provider):
        async def look_up(self, request: Request, reference: str | None) -> Answer | None:
            await asyncio.sleep(60)
            return None

    event = await stored_event(await key_of(payment_id(placed)))
    await apply(Hangs(), seconds=0.01)
    assert not await applied(event)


async def test_a_bug_in_one_look_up_does_not_affect_others(
    customer: Caller, flavor: int, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = [await unanswered(customer, flavor) for _ in range(2)]
    poison = await key_of(payment_id(bad))

    class Stumbles(LookupProvider):
        async def look_up(self, request: Request, reference: str | None) -> Answer | None:
            if request.key == poison:
                raise KeyError("a bug")
            return await super().look_up(request, reference)

    left, other = await stored_event(poison), await stored_event(await key_of(payment_id(good)))
    await apply(Stumbles())
    assert "could not be applied" in caplog.text
    assert not await applied(left)
    assert await applied(other)
    assert await state(good) == ("paid", "succeeded")
    assert await state(bad) == ("pending", "unknown")
    # The traceback is logged once. After NOTICE_RETRY_PERIOD the event is not retried, as any other
    # that leads to no payment.
    await aged(left, NOTICE_RETRY_PERIOD)
    await apply(Stumbles())
    records = [one for one in caplog.records if "could not be applied" in one.message]
    assert [one.exc_info is not None for one in records] == [True, False]
    assert not await has_job(left)


async def test_nothing_is_left_to_do_for_a_webhook_event_that_was_deleted(
    placed: placing.PlacedOrder,
) -> None:
    event = await stored_event(await key_of(payment_id(placed)))
    await Notice.delete().where(Notice.id == event)
    await apply(LookupProvider())
    assert not await has_job(event)


async def test_an_unavailable_database_is_one_error_and_not_one_for_each_event(
    placed: placing.PlacedOrder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(payment: int) -> None:
        raise database.DatabaseUnavailable("away")

    key = await key_of(payment_id(placed))
    for _ in range(3):
        await stored_event(key)
    await due_now()
    monkeypatch.setattr(leases, "read_payment_as_lease", away)
    with pytest.raises(database.DatabaseUnavailable):
        await inbox(LookupProvider()).sweep()
    assert records_of(caplog, webhook_inbox.log) == []


@pytest.mark.slow
async def test_several_workers_share_the_webhook_events(customer: Caller, flavor: int) -> None:
    placed = [
        await unanswered(customer, flavor) for _ in range(3 * webhook_inbox.MAX_EVENTS_PER_SWEEP)
    ]
    several = [await stored_event(await key_of(payment_id(one))) for one in placed]
    provider = LookupProvider()
    await due_now()
    await asyncio.gather(*(sweep(inbox(provider)) for _ in range(3)))
    keys = [asked.key for asked, _ in provider.looked_up]
    assert len(keys) == len(set(keys)) == len(placed)
    assert {await state(one) for one in placed} == {("paid", "succeeded")}
    assert all([await applied(event) for event in several])
    await ledger.check()


async def test_two_events_and_a_worker_at_the_same_time_are_one_charge(
    placed: placing.PlacedOrder,
) -> None:
    key = await key_of(payment_id(placed))
    several = [await stored_event(key) for _ in range(4)]
    await due_now()
    await Job.update({Job.run_at: await database.now()}).where(Job.subject == placed.payment)
    sweeps = (inbox(LookupProvider()).sweep() for _ in range(3))
    await asyncio.gather(carry_out(payment_id(placed), f"ref {key}"), *sweeps)
    assert await state(placed) == ("paid", "succeeded")
    assert await history(placed) == ["placed", "paid"]
    for event in several:
        await aged(event, timedelta(seconds=LEASE))
    await apply(LookupProvider())
    assert [await applied(event) for event in several] == [True] * 4
    await ledger.check()


@pytest.mark.parametrize("where", ["webhooks.postponed", "webhooks.settled"])
async def test_a_worker_that_dies_leaves_its_events_to_the_next(
    placed: placing.PlacedOrder, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def die() -> None:
        raise RuntimeError

    event, provider = await stored_event(await key_of(payment_id(placed))), LookupProvider()
    with monkeypatch.context() as patch, contextlib.suppress(RuntimeError):
        patch.setitem(failpoints._armed, where, die)
        await apply(provider)
    assert not await applied(event)
    await apply(provider)
    assert len(provider.looked_up) == 1
    assert await applied(event)
    assert await history(placed) == ["placed", "paid"]
    await ledger.check()


async def test_webhook_events_are_deleted_30_days_after_they_were_applied(
    placed: placing.PlacedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_inbox, "MAX_EVENTS_PER_PRUNE", 2)
    key = await key_of(payment_id(placed))
    for _ in range(3):
        await stored_event(key)
    await apply(LookupProvider())
    long_ago = datetime.now(UTC) - timedelta(days=30)
    await Notice.update({Notice.applied_at: long_ago}, force=True)
    young, open_one = await stored_event(key), await stored_event("an unknown key")
    almost = {Notice.applied_at: long_ago + timedelta(hours=1)}
    await Notice.update(almost).where(Notice.id == young)
    await aged(open_one, timedelta(days=60))
    assert [await webhook_inbox.prune_events() for _ in range(2)] == [True, False]
    left = await Notice.select(Notice.id).order_by(Notice.id)
    assert [row["id"] for row in left] == [young, open_one]
