"""Test the circuit breaker: trouble of the provider pauses calls, and no order fails for it."""

import random
from collections import Counter

import pytest

from icecream import settings
from icecream.orders import actions
from icecream.payments import (
    circuit_breaker,
    leases,
    provider_calls,
)
from icecream.payments.providers import (
    Answer,
    OutcomeUndecided,
    OutcomeUnknown,
    Refund,
    RetryLater,
)
from icecream.tables import Payment
from tests import ledger
from tests.conftest import Caller, Provider, make_executor, payment_id, place, until
from tests.payments.conftest import MANY, Clock, are_paid, state

pytestmark = pytest.mark.anyio


async def test_a_provider_that_does_not_answer_is_left_alone_and_no_order_fails_for_it(
    customers: list[int], flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    placed = [
        await place(one, {flavor: 1})
        for one in [*customers * 5][: circuit_breaker.FAILURES_TO_OPEN + 5]
    ]
    numbers = [payment_id(one) for one in placed]
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
    await one_executor.execute([payment_id(one) for one in refused])
    await one_executor.execute([payment_id(good)])
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
    await one_executor.execute([payment_id(one) for one in troubled])
    await one_executor.execute([payment_id(good)])
    assert await state(good) == ("paid", "succeeded")
    assert len(provider.asked) == len(troubled) + 1


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
        [payment_id(one) for one in troubled[: circuit_breaker.FAILURES_TO_OPEN]]
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
    await one_executor.execute([payment_id(one) for one in paid])
    refunds = [
        one for order in paid for one in await actions.cancel_order(order.order, by=customers[0])
    ]
    await one_executor.execute(refunds)
    assert not await Payment.exists().where(Payment.id.is_in(refunds), Payment.state != "unknown")
    good = await place(customers[0], {flavor: 1})
    await one_executor.execute([payment_id(good)])
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
