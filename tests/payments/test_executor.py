"""Test the executor: slots, notifications, sweeps, shares of customers, closing."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from icecream import database
from icecream.orders import actions, placing
from icecream.payments import (
    circuit_breaker,
    executor,
    leases,
)
from icecream.payments.providers import (
    Answer,
    Charge,
    Declined,
    Request,
    RetryLater,
)
from icecream.tables import Event, Flavor, Job, Payment
from tests import ledger
from tests.conftest import (
    Caller,
    Provider,
    make_executor,
    new_flavor,
    payment_id,
    place,
    until,
)
from tests.payments.conftest import MANY, Clock, are_paid, due_now, state, swept

pytestmark = pytest.mark.anyio


async def test_a_success_pays_the_order(placed: placing.PlacedOrder) -> None:
    provider = Provider()
    await make_executor(provider).execute([payment_id(placed)])
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


async def test_a_decline_fails_the_order_and_returns_the_stock(customer: Caller) -> None:
    flavor = await new_flavor(stock=10)
    placed = await place(customer.user.id, {flavor: 4})
    await make_executor(Provider(Declined("no funds"))).execute([payment_id(placed)])
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

    await make_executor(Looks()).execute([payment_id(placed)])
    assert seen == [("pending", "sent")]


async def test_a_second_delivery_changes_nothing(placed: placing.PlacedOrder) -> None:
    provider = Provider("first", Declined("second"))
    one, other = make_executor(provider), make_executor(provider)
    await asyncio.gather(*(each.execute([payment_id(placed)] * 3) for each in (one, other)))
    await one.execute([payment_id(placed)])
    assert len(provider.asked) == 1
    assert await state(placed) == ("paid", "succeeded")
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
        *(one_executor.execute([payment_id(one)]) for one in placed), one_executor.sweep()
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
        busy.execute([payment_id(placed[0])]), busy.execute([payment_id(one) for one in placed[1:]])
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
        await one.execute([payment_id(order) for order in placed])
        await until(lambda: swept(one, placed))
        await one.close(5)

    await asyncio.gather(*(work(one) for one in executors))
    asked = Counter(charge.key for charge in provider.asked)
    assert max(asked.values()) == 1
    for one in placed:
        assert await state(one) == ("paid", "succeeded")
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
    under_way = asyncio.create_task(closing.execute([payment_id(placed)]))
    await provider.is_called.wait()
    # This payment waits for the only slot, which becomes free once the executor closes.
    other = await place(customer.user.id, {flavor: 1})
    waiting = asyncio.create_task(closing.execute([payment_id(other)]))
    await closing.close(0.01)
    await asyncio.gather(under_way, waiting)
    assert await state(placed) == ("pending", "sent")
    await closing.execute([payment_id(placed), payment_id(other)])
    assert await closing.sweep() is False
    assert await state(other) == ("pending", "new")
    assert len(provider.asked) == 1
    await due_now(placed)
    await make_executor(Provider()).execute([payment_id(placed), payment_id(other)])
    assert {await state(one) for one in (placed, other)} == {("paid", "succeeded")}


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
        await one_executor.execute([payment_id(placed), 2**40])
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
    executing = asyncio.create_task(one_executor.execute([payment_id(placed)]))
    await is_leased.wait()
    closing = asyncio.create_task(one_executor.close(grace))
    ended, _ = await asyncio.wait({closing}, timeout=0.05 if grace else None)
    assert bool(ended) == (grace == 0)
    resume.set()
    await asyncio.gather(closing, executing)
    assert len(provider.asked) == (1 if grace else 0)
    assert await state(placed) == then
    await ledger.check()


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


@pytest.mark.parametrize("notified", [True, False])
async def test_calls_that_hang_for_one_customer_leave_slots_for_others(
    customers: list[int], flavor: int, notified: bool
) -> None:
    bad, other, _ = customers
    hanging = [await place(bad, {flavor: 1}) for _ in range(30)]
    good = [await place(other, {flavor: 1}) for _ in range(3)]
    provider = Hangs({one.order for one in hanging})
    one_executor = make_executor(provider, timeout=60)
    executing = asyncio.create_task(one_executor.execute([payment_id(one) for one in hanging]))
    await until(provider.is_asked)
    if notified:
        await asyncio.gather(*(one_executor.execute([payment_id(one)]) for one in good))
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
    executing = asyncio.create_task(one_executor.execute([payment_id(one) for one in waiting]))
    await until(provider.is_asked)
    other = await place(customers[1], {flavor: 1})
    asked, real = list[object](), executor.acquire_leases

    async def lease(ids: object, **how: Any) -> list[leases.Lease]:
        asked.append(ids)
        return await real(ids, **how)

    monkeypatch.setattr(executor, "acquire_leases", lease)
    await one_executor.execute([payment_id(one) for one in waiting], [customers[0]] * len(waiting))
    assert asked == []
    # With another customer's payment in the same notification, only that one is leased.
    both = [waiting[-1], other]
    await one_executor.execute([payment_id(one) for one in both], [customers[0], customers[1]])
    assert asked == [[payment_id(other)]]
    assert await are_paid([other])
    provider.answers_again.set()
    await until(lambda: are_paid(waiting))
    await executing
    await one_executor.close(5)
    await ledger.check()


async def test_a_lease_takes_the_slots_of_answers_that_arrive_together(
    customers: list[int], flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifications = [
        [payment_id(await place(one, {flavor: 1})) for one in customers[:2] * 3] for _ in range(4)
    ]
    leased, real = list[int](), executor.acquire_leases

    async def lease(ids: object, **how: Any) -> list[leases.Lease]:
        acquired = await real(ids, **how)
        leased.append(len(acquired))
        return acquired

    monkeypatch.setattr(executor, "acquire_leases", lease)
    provider = Provider()
    provider.takes = 0
    one_executor = make_executor(provider)
    await asyncio.gather(*map(one_executor.execute, notifications))
    assert leased == [6, 6, 6, 6]
    await ledger.check()


async def test_retries_that_hang_leave_slots_for_new_payments(
    customers: list[int], flavor: int
) -> None:
    again = [await place(one, {flavor: 1}) for one in customers * 4]
    await make_executor(Provider(*[RetryLater("429")] * len(again)), slots=MANY).execute(
        [payment_id(one) for one in again]
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
    await Job.update({Job.customer: None}).where(Job.subject == payment_id(good))
    assert await one_executor.sweep()
    await until(lambda: are_paid([good]))
    provider.answers_again.set()
    await until(lambda: are_paid(hanging))
    await one_executor.close(5)


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
    await make_executor(Provider()).execute([payment_id(one) for one in paid])
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
