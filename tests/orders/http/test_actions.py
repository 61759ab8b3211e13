"""Test canceling, paying again and refunding, with stock, totals, history and repeated calls."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from litestar import Litestar

from icecream import settings, states
from icecream.payments import leases, settlement
from icecream.payments.providers import Charge, Declined, OutcomeUnknown, Refund
from icecream.tables import Flavor, Job, Payment, User
from tests import ledger
from tests.conftest import (
    Caller,
    Provider,
    carry_out,
    make_executor,
    new_flavor,
    place,
    settlement_result,
)

pytestmark = pytest.mark.anyio


async def stock(flavor: int) -> int:
    rows = await Flavor.select(Flavor.stock).where(Flavor.id == flavor)
    left: int = rows[0]["stock"]
    return left


async def charge_of(order: int) -> int:
    """Return the newest charge of an order."""
    rows = await Payment.select(Payment.id).where(Payment.order == order, Payment.kind == "charge")
    newest: int = max(row["id"] for row in rows)
    return newest


class StockedOrder:
    """An order of 4 out of a stock of 10, at 250 each."""

    def __init__(self, customer: Caller, staff: Caller, flavor: int, order: int) -> None:
        self.customer, self.staff, self.flavor, self.order = customer, staff, flavor, order

    async def do(self, what: str, by: Caller | None = None, **kwargs: Any) -> httpx.Response:
        return await (by or self.customer).post(f"/api/orders/{self.order}/{what}/", **kwargs)

    async def refund(self, amount: int | None = None, **headers: str) -> httpx.Response:
        body: dict[str, Any] = {"reason": "melted"} | ({"amount": amount} if amount else {})
        return await self.do("refund", self.staff, json=body, headers=headers)

    async def now(self) -> tuple[str, int, int]:
        """Return the order's status, the refunded amount and the stock that is left."""
        order = (await self.customer.get(f"/api/orders/{self.order}/")).json()
        return order["status"], order["refunded"], await stock(self.flavor)

    async def history(self) -> list[str]:
        order = (await self.customer.get(f"/api/orders/{self.order}/")).json()
        return [happened["type"] for happened in order["history"]]


@pytest.fixture
async def pending(customer: Caller, staff: Caller) -> StockedOrder:
    flavor = await new_flavor(stock=10)
    order = (await place(customer.user.id, {flavor: 4})).order
    return StockedOrder(customer, staff, flavor, order)


@pytest.fixture
async def paid(pending: StockedOrder) -> StockedOrder:
    await carry_out(pending.order)
    return pending


@pytest.fixture
async def failed(pending: StockedOrder) -> StockedOrder:
    await carry_out(pending.order, Declined("no funds"))
    return pending


async def test_before_it_is_sent_canceling_ends_it_at_once(pending: StockedOrder) -> None:
    for _ in range(2):
        answer = await pending.do("cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert answer.json()["cancel_requested"] is False
    assert await pending.now() == ("canceled", 0, 10)
    # The job of the charge is gone too.
    await ledger.check()
    assert (await carry_out(pending.order)).asked == []
    assert await pending.history() == ["placed", "canceled"]
    await ledger.check()


async def test_a_payment_that_is_tried_again_is_canceled_at_once_too(failed: StockedOrder) -> None:
    assert (await failed.do("pay")).status_code == 202
    answer = await failed.do("cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert await failed.now() == ("canceled", 0, 10)
    await ledger.check()


async def payment_in(order: int, state: str) -> int:
    """Return the one payment of an order that is in this state."""
    rows = await Payment.select(Payment.id).where(Payment.order == order, Payment.state == state)
    (row,) = rows
    number: int = row["id"]
    return number


async def test_the_workers_are_notified_of_each_change(
    failed: StockedOrder, notified: list[int]
) -> None:
    changes = [failed.do("pay"), failed.refund(300), failed.do("cancel")]
    for count, change in enumerate(changes):
        await change
        assert notified[count:] == [await payment_in(failed.order, "new")]
        await carry_out(failed.order)


@pytest.mark.parametrize("answers", [[], [OutcomeUnknown("lost")]])
async def test_while_it_is_charged_canceling_waits_and_then_gives_the_money_back(
    pending: StockedOrder, answers: list[Any]
) -> None:
    (lease,) = await leases.acquire_leases(
        [await charge_of(pending.order)], limit=1, lease_seconds=30
    )
    if answers:
        await leases.postpone_payment(lease, "lost")
    for _ in range(2):
        answer = await pending.do("cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        assert answer.json()["cancel_requested"] is True
        assert answer.json()["actions"] == []
    await settlement.settle([settlement_result(lease, f"late {pending.order}")])
    assert await pending.now() == ("refunding", 0, 6)
    provider = await carry_out(pending.order)
    (refund,) = provider.asked
    assert isinstance(refund, Refund)
    assert (refund.amount, refund.charge) == (1000, f"late {pending.order}")
    assert await pending.now() == ("canceled", 1000, 10)
    assert await pending.history() == [
        "placed",
        "cancel-requested",
        "paid",
        "refunding",
        "canceled",
    ]
    await ledger.check()


async def test_while_it_is_charged_a_no_still_is_a_no(pending: StockedOrder) -> None:
    (lease,) = await leases.acquire_leases(
        [await charge_of(pending.order)], limit=1, lease_seconds=30
    )
    assert (await pending.do("cancel")).status_code == 202
    await settlement.settle([settlement_result(lease, Declined("no"))])
    assert await pending.now() == ("failed", 0, 10)
    # A customer who pays again withdraws the request to cancel.
    assert (await pending.do("pay")).json()["cancel_requested"] is False
    await carry_out(pending.order)
    assert await pending.now() == ("paid", 0, 6)
    await ledger.check()


async def test_the_paid_amount_is_refunded_and_then_the_stock_is_released(
    paid: StockedOrder,
) -> None:
    for _ in range(2):
        answer = await paid.do("cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "refunding")
    assert await paid.now() == ("refunding", 0, 6)
    (refund,) = (await carry_out(paid.order)).asked
    assert refund.amount == 1000
    assert await paid.now() == ("canceled", 1000, 10)
    assert (await paid.do("cancel")).status_code == 200
    await ledger.check()


async def test_a_free_order_is_canceled_at_once(customer: Caller, staff: Caller) -> None:
    flavor = await new_flavor(stock=10, price=0)
    order = (await place(customer.user.id, {flavor: 4})).order
    free = StockedOrder(customer, staff, flavor, order)
    assert (await free.do("cancel")).status_code == 200
    assert await free.now() == ("canceled", 0, 10)
    assert await free.history() == ["placed", "paid", "cancel-requested", "refunding", "canceled"]
    await ledger.check()


async def test_a_refund_that_is_under_way_may_still_become_a_cancellation(
    paid: StockedOrder,
) -> None:
    assert (await paid.refund()).status_code == 202
    assert (await paid.do("cancel")).status_code == 202
    await carry_out(paid.order)
    assert await paid.now() == ("canceled", 1000, 10)
    await ledger.check()


async def test_canceling_during_a_partial_refund_refunds_the_rest(paid: StockedOrder) -> None:
    assert (await paid.refund(300)).status_code == 202
    assert (await paid.do("cancel")).status_code == 202
    first, *none = (await carry_out(paid.order)).asked
    assert (first.amount, none) == (300, [])
    assert await paid.now() == ("refunding", 300, 6)
    (rest,) = (await carry_out(paid.order)).asked
    assert rest.amount == 700
    assert await paid.now() == ("canceled", 1000, 10)
    await ledger.check()


@pytest.mark.parametrize("status", ["failed", "refunded"])
async def test_a_failed_or_refunded_order_cannot_be_canceled(
    pending: StockedOrder, status: str
) -> None:
    await carry_out(pending.order, *([Declined("no")] if status == "failed" else []))
    if status == "refunded":
        await pending.refund()
        await carry_out(pending.order)
    answer = await pending.do("cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid-transition")
    assert (answer.json()["from"], answer.json()["to"]) == (status, "canceled")


async def test_a_partially_refunded_order_stays_paid(paid: StockedOrder) -> None:
    answer = await paid.refund(300)
    assert (answer.status_code, answer.json()["status"]) == (202, "paid")
    (refund,) = (await carry_out(paid.order)).asked
    assert (refund.amount, refund.currency, refund.order) == (300, "EUR", paid.order)
    assert await paid.now() == ("paid", 300, 6)
    await paid.refund(700)
    await carry_out(paid.order)
    # A refund returns money only, no stock.
    assert await paid.now() == ("refunded", 1000, 6)
    assert await paid.history() == [
        *("placed", "paid", "refund-requested", "partly-refunded", "refunding", "refunded")
    ]
    amounts = [
        happened.get("amount")
        for happened in (await paid.customer.get(f"/api/orders/{paid.order}/")).json()["history"]
    ]
    assert amounts == [None, 1000, 300, 300, 700, 700]
    await ledger.check()


async def test_a_refund_is_limited_to_the_amount_that_is_left(paid: StockedOrder) -> None:
    answer = await paid.refund(1001)
    assert (answer.status_code, answer.json()["code"]) == (409, "refund-too-large")
    assert answer.json()["left"] == 1000
    await paid.refund(600)
    # A second refund is refused even while the result of the first one is unknown.
    for amount in (600, 1):
        answer = await paid.refund(amount)
        assert (answer.status_code, answer.json()["code"]) == (409, "refund-in-progress")
    await carry_out(paid.order)
    assert (await paid.refund(401)).json()["left"] == 400
    await ledger.check()


async def test_a_free_order_cannot_be_refunded(customer: Caller, staff: Caller) -> None:
    flavor = await new_flavor(stock=10, price=0)
    free = StockedOrder(customer, staff, flavor, (await place(customer.user.id, {flavor: 4})).order)
    answer = await free.refund()
    assert (answer.status_code, answer.json()["code"]) == (409, "refund-too-large")
    assert await free.now() == ("paid", 0, 6)


@pytest.mark.slow
async def test_a_hundred_refunds_at_once_are_one(paid: StockedOrder) -> None:
    answers = await asyncio.gather(*(paid.refund(600) for _ in range(100)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 99
    assert len((await carry_out(paid.order)).asked) == 1
    assert await paid.now() == ("paid", 600, 6)
    await ledger.check()


async def test_a_refund_that_comes_again_under_its_key_is_one(paid: StockedOrder) -> None:
    first, again = [await paid.refund(300, **{"Idempotency-Key": "melted"}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    await carry_out(paid.order)
    assert (await paid.refund(300, **{"Idempotency-Key": "melted"})).json()["refunded"] == 300
    other = await paid.refund(301, **{"Idempotency-Key": "melted"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert await paid.now() == ("paid", 300, 6)
    await ledger.check()


@pytest.mark.parametrize("amount", [None, 300])
async def test_a_refund_that_is_declined_leaves_the_order_paid(
    paid: StockedOrder, amount: int | None
) -> None:
    await paid.refund(amount)
    await carry_out(paid.order, Declined("account closed"))
    assert await paid.now() == ("paid", 0, 6)
    assert "refund-declined" in await paid.history()
    await paid.refund()
    await carry_out(paid.order)
    assert await paid.now() == ("refunded", 1000, 6)
    await ledger.check()


async def test_a_cancellation_with_a_declined_refund_can_be_requested_again(
    paid: StockedOrder,
) -> None:
    await paid.do("cancel")
    await carry_out(paid.order, Declined("account closed"))
    assert await paid.now() == ("paid", 0, 6)
    assert (await paid.do("cancel")).status_code == 202
    await carry_out(paid.order)
    assert await paid.now() == ("canceled", 1000, 10)
    await ledger.check()


async def test_a_refund_without_an_answer_is_sent_again_with_its_key(paid: StockedOrder) -> None:
    await paid.refund(300)
    lost = await carry_out(paid.order, OutcomeUnknown("lost"))
    assert await paid.now() == ("paid", 0, 6)
    rows = await Payment.select(Payment.id).where(
        Payment.order == paid.order, Payment.kind == "refund"
    )
    (lease,) = await _due(rows[0]["id"])
    assert lease.request == lost.asked[0]
    await settlement.settle([settlement_result(lease, f"again {paid.order}")])
    assert await paid.now() == ("paid", 300, 6)
    await ledger.check()


async def _due(payment: int) -> list[leases.Lease]:
    """Claim a payment as if its pause was over."""
    await Job.update({Job.run_at: datetime(2020, 1, 1, tzinfo=UTC)}).where(Job.subject == payment)
    return await leases.acquire_leases([payment], limit=1, lease_seconds=30)


async def test_an_unpaid_order_cannot_be_refunded(pending: StockedOrder) -> None:
    answer = await pending.refund()
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid-transition")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/reason"),
        ({"reason": ""}, "/reason"),
        ({"reason": "  "}, "/reason"),
        ({"reason": "a\x00b"}, "/reason"),
        ({"reason": "r" * 201}, "/reason"),
        ({"reason": "r", "amount": 0}, "/amount"),
        ({"reason": "r", "amount": -1}, "/amount"),
        ({"reason": "r", "amount": 1.5}, "/amount"),
        ({"reason": "r", "amount": 2**63}, "/amount"),
        ({"reason": "r", "order": 1}, "/order"),
    ],
)
async def test_a_refund_that_makes_no_sense_is_refused(
    paid: StockedOrder, body: dict[str, Any], pointer: str
) -> None:
    answer = await paid.do("refund", paid.staff, json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_only_staff_give_money_back(paid: StockedOrder) -> None:
    answer = await paid.do("refund", json={"reason": "please"})
    assert answer.status_code == 403
    assert await paid.now() == ("paid", 0, 6)


@pytest.mark.parametrize("what", ["cancel", "pay"])
async def test_another_customers_order_is_not_there(
    pending: StockedOrder, stranger: Caller, what: str
) -> None:
    assert (await pending.do(what, stranger)).status_code == 404
    assert (await stranger.post(f"/api/orders/{2**62}/{what}/")).status_code == 404


async def test_a_failed_order_is_paid_again_under_a_new_key(failed: StockedOrder) -> None:
    assert await failed.now() == ("failed", 0, 10)
    for _ in range(2):
        answer = await failed.do("pay")
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert await failed.now() == ("pending", 0, 6)
    (charge,) = (await carry_out(failed.order)).asked
    assert isinstance(charge, Charge)
    assert charge.amount == 1000
    answer = await failed.do("pay")
    assert (answer.status_code, answer.json()["status"]) == (200, "paid")
    rows = (
        await Payment.select(Payment.n, Payment.state, Payment.provider_key)
        .where(Payment.order == failed.order)
        .order_by(Payment.n)
    )
    assert [(row["n"], row["state"]) for row in rows] == [(1, "declined"), (2, "succeeded")]
    assert rows[0]["provider_key"] != rows[1]["provider_key"]
    assert await failed.history() == ["placed", "failed", "pending", "paid"]
    await ledger.check()


@pytest.mark.slow
async def test_a_hundred_requests_to_pay_again_charge_once(failed: StockedOrder) -> None:
    answers = await asyncio.gather(*(failed.do("pay") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len((await carry_out(failed.order)).asked) == 1
    assert await failed.now() == ("paid", 0, 6)
    await ledger.check()


async def test_stock_that_is_gone_meanwhile_is_not_sold_twice(failed: StockedOrder) -> None:
    await place(failed.customer.user.id, {failed.flavor: 8})
    answer = await failed.do("pay")
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient-stock")
    assert answer.json()["lines"] == [{"flavor": failed.flavor, "quantity": 4, "available": 2}]
    assert await failed.now() == ("failed", 0, 2)
    await ledger.check()


async def test_an_order_for_an_archived_flavor_cannot_be_paid_again(failed: StockedOrder) -> None:
    await Flavor.update({Flavor.archived: True}).where(Flavor.id == failed.flavor)
    answer = await failed.do("pay")
    assert (answer.status_code, answer.json()["code"]) == (409, "flavor-archived")
    assert await failed.now() == ("failed", 0, 10)


async def test_the_price_stays_as_it_was_ordered(failed: StockedOrder) -> None:
    await Flavor.update({Flavor.price: 999}).where(Flavor.id == failed.flavor)
    await failed.do("pay")
    (charge,) = (await carry_out(failed.order)).asked
    assert charge.amount == 1000
    await ledger.check()


@pytest.mark.parametrize("status", ["canceled", "refunding", "refunded"])
async def test_a_canceled_order_cannot_be_paid_again(paid: StockedOrder, status: str) -> None:
    await (paid.do("cancel") if status == "canceled" else paid.refund())
    if status != "refunding":
        await carry_out(paid.order)
    answer = await paid.do("pay")
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid-transition")
    assert (await paid.now())[0] == status


async def test_canceling_and_charging_at_once_come_to_one_end(
    customer: Caller, staff: Caller
) -> None:
    flavor = await new_flavor(stock=100)
    placed = [await place(customer.user.id, {flavor: 1}) for _ in range(20)]
    provider = Provider()
    charging = asyncio.create_task(
        make_executor(provider).execute([one.payment or 0 for one in placed])
    )
    answers = await asyncio.gather(
        *(customer.post(f"/api/orders/{one.order}/cancel/") for one in placed)
    )
    await charging
    assert {answer.status_code for answer in answers} <= {200, 202}
    open_jobs = Job.select(Job.subject).where(
        Job.kind.is_in(list(states.PAYMENT_KINDS)), Job.customer == customer.user.id
    )
    # The payments of one customer get a share of the slots only: one call may not carry out all. A
    # charge that ends after its cancellation adds a refund.
    while rows := await open_jobs:
        await make_executor(provider).execute([row["subject"] for row in rows])
    statuses = [order["status"] for order in (await customer.get("/api/orders/")).json()]
    assert statuses == ["canceled"] * 20
    # A worker with free slots also carries out payments that other tests left.
    asked = [one for one in provider.asked if one.order in {one.order for one in placed}]
    charged = [one for one in asked if isinstance(one, Charge)]
    assert len(asked) == 2 * len(charged)
    assert await stock(flavor) == 100
    await ledger.check()


async def test_without_a_payment_method_nothing_is_written_where_one_is_needed(
    customer: Caller, failed: StockedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings.Settings, "needs_payment_method", True)
    body = {"flavor": failed.flavor, "quantity": 1}
    answers = [await customer.post("/api/orders/", body), await failed.do("pay")]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert {answer.json()["code"] for answer in answers} == {"payment-method-required"}
    assert await failed.now() == ("failed", 0, 10)
    await User.update({User.payment_method: "pm_card_visa"}).where(User.id == customer.user.id)
    assert (await failed.do("pay")).status_code == 202
    (charge,) = (await carry_out(failed.order)).asked
    assert isinstance(charge, Charge)
    assert charge.method == "pm_card_visa"
    await ledger.check()


@pytest.fixture
def notifications(customer: Caller, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Record the payments of each notification to the workers."""
    notified: list[list[int]] = []

    async def notify(staged: list[int]) -> None:
        notified.append(staged)

    application: Any = customer.client._transport
    while not isinstance(application, Litestar):
        application = application.app
    monkeypatch.setitem(application.state._state, "notify_workers", notify)
    return notified


async def test_the_workers_are_notified_of_the_payments_of_each_change(
    pending: StockedOrder, notifications: list[list[int]]
) -> None:
    await carry_out(pending.order, Declined("no"))
    await pending.do("pay")
    assert notifications == [[await charge_of(pending.order)]]
    await carry_out(pending.order)
    await pending.refund(100)
    part = await payments_of(pending.order, "refund")
    assert notifications[1:] == [part]
    await carry_out(pending.order)
    await pending.do("cancel")
    assert notifications[2:] == [
        [one for one in await payments_of(pending.order, "refund") if one not in part]
    ]


async def payments_of(order: int, kind: str) -> list[int]:
    rows = await Payment.select(Payment.id).where(Payment.order == order, Payment.kind == kind)
    return sorted(row["id"] for row in rows)
