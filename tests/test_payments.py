"""Charging: once, whatever comes twice, late or not at all."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from icecream import database, intake, payments
from icecream.gateway import Charge, Charged, Declined, Unknown
from icecream.tables import Event, Flavor, Job, Order, Payment
from tests import ledger
from tests.conftest import Caller, Provider, new_flavor, place

pytestmark = pytest.mark.anyio


def desk(provider: Provider, places: int = 10, timeout: float = 5) -> payments.Desk:
    return payments.Desk(provider, places=places, lease=30, timeout=timeout)


@pytest.fixture
async def placed(customer: Caller, flavor: int) -> intake.Placed:
    return await place(customer.user.id, {flavor: 2})


async def state(placed: intake.Placed) -> tuple[str, str]:
    order = await Order.select(Order.status).where(Order.id == placed.order).first()
    payment = await Payment.select(Payment.state).where(Payment.id == placed.payment).first()
    assert order is not None
    assert payment is not None
    return order["status"], payment["state"]


async def due_now(placed: intake.Placed) -> None:
    """Let the lease, or the pause, be over."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    await Job.update({Job.run_at: past}).where(Job.subject == placed.payment)


async def settled(claim: payments.Claim, answer: Charged | Declined) -> bool:
    (settled,) = await payments.settle([payments.Verdict(claim, answer)])
    return settled


def number(placed: intake.Placed) -> int:
    assert placed.payment is not None
    return placed.payment


async def test_a_yes_pays_the_order(placed: intake.Placed) -> None:
    provider = Provider()
    await desk(provider).charge([number(placed)])
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
    await desk(Provider(Declined("no funds"))).charge([number(placed)])
    assert await state(placed) == ("failed", "declined")
    row = await Flavor.select(Flavor.stock).where(Flavor.id == flavor).first()
    assert row == {"stock": 10}
    await ledger.check()


async def test_the_intent_is_on_the_disk_before_the_provider_hears_of_it(
    placed: intake.Placed,
) -> None:
    seen = []

    class Looks(Provider):
        async def charge(self, charge: Charge) -> Charged | Declined:
            assert not database.DB.transaction_exists()
            seen.append(await state(placed))
            return await super().charge(charge)

    await desk(Looks()).charge([number(placed)])
    assert seen == [("pending", "sent")]


async def test_a_second_delivery_changes_nothing(placed: intake.Placed) -> None:
    provider = Provider(Charged("first"), Declined("second"))
    one, other = desk(provider), desk(provider)
    await asyncio.gather(*(each.charge([number(placed)] * 3) for each in (one, other)))
    await one.charge([number(placed)])
    assert len(provider.asked) == 1
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


@pytest.mark.parametrize("lost", [Unknown, TimeoutError, ConnectionResetError])
async def test_no_answer_is_not_a_no_and_is_asked_again_with_the_same_key(
    placed: intake.Placed, lost: type[Exception]
) -> None:
    provider = Provider(lost, lost)
    for _ in range(2):
        await desk(provider).charge([number(placed)])
        assert await state(placed) == ("pending", "unknown")
        job = await Job.select(Job.run_at).where(Job.subject == placed.payment).first()
        assert job is not None
        assert job["run_at"] > datetime.now(UTC) + timedelta(seconds=4)
        await ledger.check()
        await due_now(placed)
    await desk(provider).charge([number(placed)])
    assert await state(placed) == ("paid", "succeeded")
    assert len({charge.key for charge in provider.asked}) == 1
    assert len(provider.asked) == 3
    await ledger.check()


async def test_a_provider_that_is_too_slow_has_given_no_answer(placed: intake.Placed) -> None:
    class Slow(Provider):
        async def charge(self, charge: Charge) -> Charged | Declined:
            await asyncio.sleep(60)
            return await super().charge(charge)

    await desk(Slow(), timeout=0.01).charge([number(placed)])
    assert await state(placed) == ("pending", "unknown")


async def test_a_claimed_payment_is_left_alone_until_its_lease_is_over(
    placed: intake.Placed,
) -> None:
    (claim,) = await payments.claim([number(placed)], limit=1, lease=30)
    assert await payments.claim([number(placed)], limit=1, lease=30) == []
    await due_now(placed)
    (again,) = await payments.claim([number(placed)], limit=1, lease=30)
    assert again.charge == claim.charge
    assert (claim.tries, again.tries) == (1, 2)


async def test_a_definite_answer_counts_even_from_an_older_try(placed: intake.Placed) -> None:
    (older,) = await payments.claim([number(placed)], limit=1, lease=30)
    await due_now(placed)
    (newer,) = await payments.claim([number(placed)], limit=1, lease=30)
    assert not await payments.postpone(older, "late word of an older try")
    assert await settled(older, Charged("older"))
    assert not await settled(newer, Charged("newer"))
    assert not await settled(newer, Declined("newer"))
    assert not await payments.postpone(newer, "too late")
    assert await state(placed) == ("paid", "succeeded")
    await ledger.check()


async def test_first_sent_at_is_kept_from_the_first_time(placed: intake.Placed) -> None:
    times = []
    for _ in range(2):
        await payments.claim([number(placed)], limit=1, lease=30)
        row = await Payment.select(Payment.first_sent_at).where(Payment.id == placed.payment)
        times.append(row[0]["first_sent_at"])
        await due_now(placed)
    assert times[0] is not None
    assert times[0] == times[1]


async def test_an_answer_by_many_at_once_is_settled_once(placed: intake.Placed) -> None:
    (claim,) = await payments.claim([number(placed)], limit=1, lease=30)
    outcomes = await asyncio.gather(*(settled(claim, Charged("the one")) for _ in range(20)))
    assert Counter(outcomes) == {True: 1, False: 19}
    await ledger.check()


async def test_several_answers_are_settled_together_or_not_at_all(
    customer: Caller, flavor: int
) -> None:
    counted = await new_flavor(stock=9)
    placed = [await place(customer.user.id, {counted: n, flavor: 1}) for n in (1, 2, 3)]
    claims = await payments.claim([number(one) for one in placed], limit=3, lease=30)
    first, *others = (
        payments.Verdict(claim, answer)
        for claim, answer in zip(
            claims, (Charged(f"a {flavor}"), Declined("no"), Charged(f"b {flavor}")), strict=True
        )
    )
    assert await payments.settle([first]) == [True]
    with pytest.raises(payments.Late):
        await payments.settle([first, *others])
    assert [await state(one) for one in placed[1:]] == [("pending", "sent")] * 2
    assert await payments.settle(others) == [True, True]
    statuses = [(await state(one))[0] for one in placed]
    assert sorted(statuses) == ["failed", "paid", "paid"]
    await ledger.check()


async def test_the_sweep_finds_what_nobody_rang_for(customer: Caller, flavor: int) -> None:
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(12)]
    provider = Provider()
    sweeper = desk(provider, places=5)
    while await sweeper.sweep():
        pass
    await sweeper.close(5)
    for one in placed:
        assert await state(one) == ("paid", "succeeded")
    assert provider.most_at_once <= 5
    await ledger.check()


async def test_never_more_are_in_flight_than_there_are_places(
    customer: Caller, flavor: int
) -> None:
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(30)]
    provider = Provider()
    provider.takes = 0.1
    one_desk = desk(provider, places=4)
    await asyncio.gather(*(one_desk.charge([number(one)]) for one in placed), one_desk.sweep())
    await one_desk.close(5)
    assert provider.most_at_once == 4
    assert len(provider.asked) == len({charge.key for charge in provider.asked})
    for one in placed:
        assert await state(one) == ("paid", "succeeded")


async def test_a_busy_desk_forgets_none_of_the_payments_it_was_named(
    customer: Caller, flavor: int
) -> None:
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(12)]
    provider = Provider()
    busy = desk(provider, places=4)
    await asyncio.gather(
        busy.charge([number(placed[0])]), busy.charge([number(one) for one in placed[1:]])
    )
    for one in placed:
        assert await state(one) == ("paid", "succeeded")


async def test_two_desks_share_the_work_and_charge_nothing_twice(
    customer: Caller, flavor: int
) -> None:
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(40)]
    provider = Provider()
    desks = [desk(provider, places=8), desk(provider, places=8)]

    async def work(one: payments.Desk) -> None:
        await one.charge([number(order) for order in placed])
        while await one.sweep():
            pass
        await one.close(5)

    await asyncio.gather(*(work(one) for one in desks))
    asked = Counter(charge.key for charge in provider.asked)
    assert max(asked.values()) == 1
    for one in placed:
        assert await state(one) == ("paid", "succeeded")
    await ledger.check()


async def test_closing_claims_no_more_and_leaves_the_intent(placed: intake.Placed) -> None:
    class Endless(Provider):
        async def charge(self, charge: Charge) -> Charged | Declined:
            self.asked.append(charge)
            self.heard.set()
            await asyncio.sleep(60)
            raise AssertionError

    provider = Endless()
    closing = desk(provider)
    under_way = asyncio.create_task(closing.charge([number(placed)]))
    await provider.heard.wait()
    await closing.close(0.01)
    await under_way
    assert await state(placed) == ("pending", "sent")
    await closing.charge([number(placed)])
    assert await closing.sweep() is False
    assert len(provider.asked) == 1
    await due_now(placed)
    await desk(Provider()).charge([number(placed)])
    assert await state(placed) == ("paid", "succeeded")


async def test_a_job_whose_payment_has_ended_is_dropped(placed: intake.Placed) -> None:
    await desk(Provider()).charge([number(placed)])
    past = datetime.now(UTC) - timedelta(seconds=1)
    await Job.insert(Job(kind="charge", subject=placed.payment, run_at=past))
    provider = Provider()
    await desk(provider).charge([number(placed)])
    assert provider.asked == []
    assert not await Job.exists().where(Job.subject == placed.payment)


async def test_a_bug_in_a_provider_costs_a_lease_and_not_the_payment(
    placed: intake.Placed, caplog: pytest.LogCaptureFixture
) -> None:
    await desk(Provider(KeyError)).charge([number(placed)])
    assert await state(placed) == ("pending", "sent")
    assert "was left as it is" in caplog.text
    await due_now(placed)
    await desk(Provider()).charge([number(placed)])
    assert await state(placed) == ("paid", "succeeded")
