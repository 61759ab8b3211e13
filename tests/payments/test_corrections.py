"""Test refunds that failed after they had succeeded, and refunds made at the provider."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from icecream import errors
from icecream.database import DB
from icecream.integrity import doctor
from icecream.orders import actions
from icecream.payments import (
    corrections,
    executor,
    leases,
    providers,
    reconciliation,
    remedies,
    settlement,
    webhook_inbox,
)
from icecream.payments.providers import Declined, OutcomeUnknown, ProviderRecord, Request
from icecream.tables import Event, Flavor, Job, Order, Payment
from tests import ledger
from tests.conftest import (
    Caller,
    Provider,
    carry_out,
    new_flavor,
    parked,
    payment_id,
    place,
    records_of,
    settlement_result,
)
from tests.integrity.test_doctor import PAYMENTS, Undo

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_webhook_events")]


class Given(NamedTuple):
    """An order of 4 items at 250 each, from a stock of 10, and its refund that succeeded."""

    order: int
    refund: int
    flavor: int


async def given(customer: Caller, amount: int | None = None, *, cancel: bool = False) -> Given:
    """Place an order and refund it in part or in full, or cancel it."""
    flavor = await new_flavor(stock=10)
    placed = await place(customer.user.id, {flavor: 4})
    await carry_out(placed.order)
    if cancel:
        staged = await actions.cancel_order(placed.order, by=customer.user.id)
    else:
        staged = await begun(placed.order, amount, by=customer.user.id)
    await carry_out(placed.order)
    await ledger.check()
    return Given(placed.order, staged[0], flavor)


async def begun(order: int, amount: int | None, *, by: int) -> list[int]:
    async with DB.transaction():
        return await actions.refund_order(order, amount, reason="melted", by=by)


async def order_of(one: Given) -> tuple[str, int]:
    (row,) = await Order.select(Order.status, Order.refunded).where(Order.id == one.order)
    return row["status"], row["refunded"]


async def refund_of(one: Given) -> tuple[str, int | None]:
    (row,) = await Payment.select(Payment.state, Payment.moved).where(Payment.id == one.refund)
    return row["state"], row["moved"]


async def history(one: Given) -> list[str]:
    rows = await Event.select(Event.type).where(Event.order == one.order).order_by(Event.seq)
    return [row["type"] for row in rows]


CASES = [
    # The refunded amount and whether the order was canceled; the order after the refund, after the
    # refund has failed, and after staff released the refund.
    (None, False, ("refunded", 1000), ("refunding", 0), "paid"),
    (300, False, ("paid", 300), ("paid", 0), "paid"),
    (None, True, ("canceled", 1000), ("canceled", 0), "canceled"),
]


@pytest.mark.parametrize(("amount", "cancel", "before", "after", "released"), CASES)
async def test_a_refund_that_failed_later_is_reviewed_and_made_again(
    customer: Caller,
    staff: Caller,
    amount: int | None,
    cancel: bool,
    before: tuple[str, int],
    after: tuple[str, int],
    released: str,
) -> None:
    one = await given(customer, amount, cancel=cancel)
    assert await order_of(one) == before
    assert await corrections.park_failed_refund(one.refund, "account closed")
    assert not await corrections.park_failed_refund(one.refund, "account closed")
    assert (await order_of(one), await refund_of(one)) == (after, ("parked", 0))
    assert (await history(one)).count("refund-failed") == 1
    await ledger.check()
    # Until an operator has reviewed the refund, no second refund is possible.
    path = f"/api/orders/{one.order}/refund/"
    assert (await staff.post(path, {"reason": "again"})).status_code == 409
    answer = await staff.post(f"/api/payments/{one.refund}/release/", {"reason": "seen there"})
    assert (answer.status_code, answer.json()["state"]) == (200, "declined")
    assert await order_of(one) == (released, 0)
    await ledger.check()
    detail = (await staff.get(f"/api/orders/{one.order}/")).json()
    assert "refund" in detail["actions"]
    assert "refund" not in (await customer.get(f"/api/orders/{one.order}/")).json()["actions"]
    again = {"reason": "again"} | ({"amount": amount} if amount else {})
    assert (await staff.post(path, again)).status_code == 202
    await carry_out(one.order)
    assert await order_of(one) == before
    stock = 10 if cancel else 6
    assert await Flavor.select(Flavor.stock).where(Flavor.id == one.flavor) == [{"stock": stock}]
    await ledger.check()


async def test_a_canceled_order_can_be_refunded_in_parts_up_to_the_amount_left(
    customer: Caller, staff: Caller
) -> None:
    one = await given(customer, cancel=True)
    await corrections.park_failed_refund(one.refund, "account closed")
    await staff.post(f"/api/payments/{one.refund}/release/", {"reason": "seen there"})
    path = f"/api/orders/{one.order}/refund/"
    for amount, status in ((1001, 409), (400, 202), (601, 409), (600, 202)):
        answer = await staff.post(path, {"reason": "again", "amount": amount})
        assert answer.status_code == status, answer.text
        await carry_out(one.order)
        await ledger.check()
    assert await order_of(one) == ("canceled", 1000)
    answer = await staff.post(path, {"reason": "again"})
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid-transition")


async def test_after_a_decline_of_the_next_refund_the_money_can_be_refunded(
    customer: Caller, staff: Caller
) -> None:
    one = await given(customer, cancel=True)
    await corrections.park_failed_refund(one.refund, "account closed")
    await staff.post(f"/api/payments/{one.refund}/release/", {"reason": "seen there"})
    await staff.post(f"/api/orders/{one.order}/refund/", {"reason": "again"})
    await carry_out(one.order, Declined("still closed"))
    assert await order_of(one) == ("canceled", 0)
    assert (await staff.get(f"/api/orders/{one.order}/")).json()["actions"] == ["refund"]
    await ledger.check()
    # Without a failed refund, such an order breaks a rule of the doctor.
    with pytest.raises(Undo):
        async with DB.transaction():
            declined = Payment.kind == "refund", Payment.state == "declined"
            await Payment.delete().where(Payment.order == one.order, *declined)
            broken = list(await doctor.find_violations())
            assert broken == ["a refunded or canceled order has no money left", PAYMENTS]
            raise Undo


async def test_the_last_of_several_refunds_may_fail(customer: Caller, staff: Caller) -> None:
    one = await given(customer, 300)
    await begun(one.order, None, by=staff.user.id)
    await carry_out(one.order)
    assert await order_of(one) == ("refunded", 1000)
    assert await corrections.park_failed_refund(one.refund, "account closed")
    assert await order_of(one) == ("refunding", 700)
    await ledger.check()
    await staff.post(f"/api/payments/{one.refund}/release/", {"reason": "seen there"})
    await staff.post(f"/api/orders/{one.order}/refund/", {"reason": "again"})
    await carry_out(one.order)
    assert await order_of(one) == ("refunded", 1000)
    await ledger.check()


@pytest.mark.parametrize("moved", [1100, 990])
async def test_another_charged_amount_is_refunded_completely_again(
    customer: Caller, staff: Caller, moved: int
) -> None:
    placed = await parked(customer, providers.Succeeded(f"odd {moved}", moved, "EUR"))
    path = f"/api/payments/{payment_id(placed)}/refund/"
    assert (await staff.post(path, {"reason": "wrong amount"})).status_code == 202
    await carry_out(placed.order)
    (row,) = await Payment.select(Payment.id).where(
        Payment.order == placed.order, Payment.kind == "refund"
    )
    assert await corrections.park_failed_refund(row["id"], "account closed")
    assert await state_of(placed.order) == ("canceled", 0)
    await ledger.check()
    await staff.post(f"/api/payments/{row['id']}/release/", {"reason": "seen there"})
    await staff.post(f"/api/orders/{placed.order}/refund/", {"reason": "again"})
    assert [one.amount for one in (await carry_out(placed.order)).asked] == [moved]
    assert await state_of(placed.order) == ("canceled", 1000)
    await ledger.check()


async def test_a_charge_does_not_fail_afterwards(customer: Caller, flavor: int) -> None:
    placed = await place(customer.user.id, {flavor: 1})
    await carry_out(placed.order)
    assert not await corrections.park_failed_refund(payment_id(placed), "a mistake")
    assert await Payment.exists().where(
        Payment.id == payment_id(placed), Payment.state == "succeeded"
    )


class LookupProvider(Provider):
    """A provider with fixed answers to look-ups and a fixed list of records."""

    keeps_list = True
    listed: tuple[ProviderRecord, ...] = ()

    async def records(self, since: datetime, until: datetime) -> Any:
        for record in self.listed:
            yield record


async def receive_event(one: Given, provider: Provider, name: str) -> None:
    """Receive a webhook event about the refund, and look the refund up."""
    (row,) = await Payment.select(Payment.provider_key).where(Payment.id == one.refund)
    event = providers.WebhookEvent(f"{name} {one.refund}", row["provider_key"], "re_1")
    assert await webhook_inbox.store_event("simulated", event)
    await due_now()
    await webhook_inbox.WebhookInbox(provider, lease_seconds=30, timeout=5).sweep()


async def due_now() -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    await Job.update({Job.run_at: past}).where(Job.kind == "notice")


async def left() -> int:
    count: int = await Job.count().where(Job.kind == "notice")
    return count


async def test_a_webhook_event_about_a_succeeded_refund_leads_to_a_look_up(
    customer: Caller,
) -> None:
    one, provider = await given(customer), LookupProvider()
    (row,) = await Payment.select(Payment.provider_ref).where(Payment.id == one.refund)
    provider.found = providers.Succeeded(row["provider_ref"], 1000, "EUR")
    await receive_event(one, provider, "updated")
    assert (await order_of(one), await left()) == (("refunded", 1000), 0)
    provider.found = OutcomeUnknown("500")
    await receive_event(one, provider, "unanswered")
    assert (await order_of(one), await left()) == (("refunded", 1000), 1)
    provider.found = Declined("failed: account closed")
    await due_now()
    await webhook_inbox.WebhookInbox(provider, lease_seconds=30, timeout=5).sweep()
    assert (await order_of(one), await left()) == (("refunding", 0), 0)
    # The look-up uses our stored reference: another refund with the same key may have failed.
    assert {reference for _, reference in provider.looked_up} == {row["provider_ref"]}
    # A repeated event about the failure does not end the review.
    asked = len(provider.looked_up)
    await receive_event(one, provider, "failed again")
    assert (await refund_of(one), await left()) == (("parked", 0), 0)
    assert len(provider.looked_up) == asked
    await ledger.check()


async def test_a_failed_refund_waits_until_another_one_has_ended(
    customer: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    one, provider = await given(customer, 300), LookupProvider()
    await begun(one.order, 200, by=customer.user.id)
    with pytest.raises(errors.RefundInProgress):
        await corrections.park_failed_refund(one.refund, "account closed")
    provider.found = Declined("failed")
    await receive_event(one, provider, "failed")
    assert (await order_of(one), await left()) == (("paid", 300), 1)
    # The wait is logged as a warning, without a traceback.
    (warning,) = records_of(caplog, webhook_inbox.log)
    assert (warning.levelname, warning.exc_info) == ("WARNING", None)
    assert "the failed refund waits until another refund" in warning.message
    await carry_out(one.order)
    await due_now()
    await webhook_inbox.WebhookInbox(provider, lease_seconds=30, timeout=5).sweep()
    assert (await order_of(one), await left()) == (("paid", 200), 0)
    await ledger.check()


async def test_the_comparison_finds_a_refund_that_failed_afterwards(customer: Caller) -> None:
    one, provider = await given(customer), LookupProvider()
    columns = (Payment.provider_key, Payment.provider_ref)
    (row,) = await Payment.select(*columns).where(Payment.id == one.refund)
    now, reference = datetime.now(UTC), row["provider_ref"]
    failed = ProviderRecord(
        *("refund", row["provider_key"], one.order, reference, 1000, "EUR", "declined", now)
    )

    async def found() -> list[remedies.Finding]:
        day = timedelta(days=1)
        listed = reconciliation.find_differences(provider, now - day, now + day)
        return [finding async for finding in listed if finding.payment == one.refund]

    # Another refund with the same key may fail; our refund is still valid.
    provider.listed = (structs.replace(failed, reference="another"),)
    assert [finding.action for finding in await found()] == ["look"]
    provider.listed = (failed,)
    (finding,) = await found()
    assert (finding.action, finding.reason) == ("adopt", "the refund failed after it had succeeded")
    assert (await remedies.apply_remedy(provider, finding)).is_done
    assert (await order_of(one), await refund_of(one)) == (("refunding", 0), ("parked", 0))
    # The refund is now under review, so the list changes nothing.
    assert await found() == []
    provider.listed = (structs.replace(failed, state="succeeded"),)
    assert [finding.action for finding in await found()] == ["look"]
    await ledger.check()


async def test_only_an_operator_ends_the_review_of_a_refund_that_failed(customer: Caller) -> None:
    """Other answers of the provider that arrive during the review are ignored."""
    one, provider = await given(customer), LookupProvider()
    lease = await leases.read_payment_as_lease(one.refund, ("succeeded",))
    assert lease is not None
    assert await corrections.park_failed_refund(one.refund, "account closed")
    failed = made(one.order, 1000, "charge", key=lease.request.key, state="declined")
    finding = remedies.Finding("adopt", "it failed", one.order, one.refund, failed)
    assert (await remedies.apply_remedy(provider, finding)).is_done
    for answer in (Declined("failed"), f"late {one.refund}"):
        assert await settlement.settle([settlement_result(lease, answer)]) == [False]
    assert not await leases.postpone_payment(lease, "no answer")
    assert (await order_of(one), await refund_of(one)) == (("refunding", 0), ("parked", 0))
    await ledger.check()


async def test_a_retry_of_a_failed_refund_looks_it_up(customer: Caller, staff: Caller) -> None:
    one = await given(customer)
    await corrections.park_failed_refund(one.refund, "account closed")
    await staff.post(f"/api/payments/{one.refund}/retry/", {"reason": "perhaps"})
    provider = LookupProvider()
    provider.found = Declined("failed")
    await executor.Executor(provider, slots=1, lease_seconds=30, timeout=5).execute([one.refund])
    assert provider.asked == list[Request]()
    assert (await order_of(one), await refund_of(one)) == (("paid", 0), ("declined", None))
    await ledger.check()


# Refunds made directly at the provider


def made(order: int, amount: int, charge: str, **values: Any) -> ProviderRecord:
    """Return a record from the provider's list about a refund that we did not make."""
    known: dict[str, Any] = {
        "kind": "refund",
        "key": None,
        "order": None,
        "reference": f"re {order} {amount}",
        "amount": amount,
        "currency": "EUR",
        "state": "succeeded",
        "created": datetime.now(UTC),
        "charge": charge,
    }
    return ProviderRecord(**known | values)


class Paid(NamedTuple):
    """A paid order of 4 items at 250 each, and the reference of its charge."""

    order: int
    charge: str


async def paid(customer: Caller, *answers: Any) -> Paid:
    placed = await place(customer.user.id, {await new_flavor(): 4})
    await carry_out(placed.order, *answers)
    (row,) = await Payment.select(Payment.provider_ref).where(Payment.id == payment_id(placed))
    return Paid(placed.order, row["provider_ref"])


async def differences(provider: LookupProvider) -> list[remedies.Finding]:
    """Return the findings about records in the list; payments of other tests have no record."""
    now, day = datetime.now(UTC), timedelta(days=1)
    listed = reconciliation.find_differences(provider, now - day, now + day)
    return [finding async for finding in listed if finding.record is not None]


async def state_of(order: int) -> tuple[str, int]:
    (row,) = await Order.select(Order.status, Order.refunded).where(Order.id == order)
    return row["status"], row["refunded"]


@pytest.mark.parametrize(
    ("amounts", "after"),
    [([300], ("paid", 300)), ([1000], ("refunded", 1000)), ([300, 700], ("refunded", 1000))],
)
async def test_a_refund_made_at_the_provider_is_listed_and_booked(
    customer: Caller, staff: Caller, amounts: list[int], after: tuple[str, int]
) -> None:
    one, provider = await paid(customer), LookupProvider()
    provider.listed = tuple(made(one.order, amount, one.charge) for amount in amounts)
    findings = await differences(provider)
    assert [finding.action for finding in findings] == ["book"] * len(amounts)
    assert f"{amounts[0] // 100}.00 EUR was refunded at the provider, not by us" in str(findings[0])
    assert await state_of(one.order) == ("paid", 0)
    for finding in findings * 2:
        assert (await remedies.apply_remedy(provider, finding)).is_done
    assert await state_of(one.order) == after
    # The refund is booked under the provider's reference, so no difference is left.
    assert await differences(provider) == []
    await ledger.check()
    # Later refunds are limited to the remaining amount.
    path, left = f"/api/orders/{one.order}/refund/", 1000 - sum(amounts)
    answer = await staff.post(path, {"reason": "melted", "amount": left + 1})
    assert answer.status_code == 409
    history = (await customer.get(f"/api/orders/{one.order}/")).json()["history"]
    recorded = [line for line in history if line.get("reason") == corrections.REFUNDED_AT_PROVIDER]
    assert recorded[0]["amount"] == amounts[0]


async def test_a_refund_that_was_just_booked_is_not_missing_in_the_list(customer: Caller) -> None:
    one, provider = await paid(customer), LookupProvider()
    provider.listed = (made(one.order, 300, one.charge),)
    now, day = datetime.now(UTC), timedelta(days=1)
    actions = []
    async for finding in reconciliation.find_differences(provider, now - day, now + day):
        if finding.order == one.order:
            actions.append(finding.action)
            await remedies.apply_remedy(provider, finding)
    assert actions == ["book"]


async def test_the_rest_of_an_order_is_refunded_after_a_refund_at_the_provider(
    customer: Caller, staff: Caller
) -> None:
    one, provider = await paid(customer), LookupProvider()
    provider.listed = (made(one.order, 300, one.charge),)
    (finding,) = await differences(provider)
    await remedies.apply_remedy(provider, finding)
    await staff.post(f"/api/orders/{one.order}/refund/", {"reason": "melted"})
    asked = (await carry_out(one.order)).asked
    assert [request.amount for request in asked] == [700]
    assert await state_of(one.order) == ("refunded", 1000)
    await ledger.check()


@pytest.mark.parametrize("values", [{"amount": 1001}, {"currency": "USD"}])
async def test_a_refund_that_cannot_be_booked_is_reported_and_not_booked(
    customer: Caller, values: dict[str, Any]
) -> None:
    one, provider = await paid(customer), LookupProvider()
    provider.listed = (made(**{"order": one.order, "amount": 300, "charge": one.charge} | values),)
    (finding,) = await differences(provider)
    outcome = await remedies.apply_remedy(provider, finding)
    assert (outcome.is_done, "Only 10.00 EUR is left." in outcome.text) == (False, True)
    assert await state_of(one.order) == ("paid", 0)


async def test_a_refund_at_the_provider_waits_for_one_of_ours(customer: Caller) -> None:
    one, provider = await paid(customer), LookupProvider()
    await begun(one.order, 200, by=customer.user.id)
    provider.listed = (made(one.order, 300, one.charge),)
    (finding,) = await differences(provider)
    assert not (await remedies.apply_remedy(provider, finding)).is_done
    await carry_out(one.order)
    assert (await remedies.apply_remedy(provider, finding)).is_done
    assert await state_of(one.order) == ("paid", 500)
    await ledger.check()


async def test_only_refunds_of_our_charges_that_succeeded_are_ours(customer: Caller) -> None:
    one, provider = await paid(customer), LookupProvider()
    reference = f"reviewed {customer.user.id}"
    reviewed = await parked(customer, providers.Succeeded(reference, 900, "EUR"))
    provider.listed = (
        made(reviewed.order, 900, reference),
        made(one.order, 100, "a charge of another shop"),
        made(one.order, 200, one.charge, state="processing"),
        made(one.order, 300, one.charge, state="declined"),
    )
    assert await differences(provider) == []


async def test_a_refund_that_was_lost_with_a_backup_is_booked_under_its_key(
    customer: Caller,
) -> None:
    one, provider = await paid(customer), LookupProvider()
    key = f"lost {one.order}"
    provider.listed = (made(one.order, 300, one.charge, key=key),)
    (finding,) = await differences(provider)
    assert (await remedies.apply_remedy(provider, finding)).is_done
    assert await Payment.exists().where(Payment.provider_key == key, Payment.kind == "refund")
    assert await differences(provider) == []
    await ledger.check()


async def test_a_booked_refund_may_fail_afterwards_too(customer: Caller) -> None:
    one, provider = await paid(customer), LookupProvider()
    provider.listed = (made(one.order, 1000, one.charge),)
    for after in (("refunded", 1000), ("refunding", 0)):
        (finding,) = await differences(provider)
        assert (await remedies.apply_remedy(provider, finding)).is_done
        assert await state_of(one.order) == after
        await ledger.check()
        provider.listed = (made(one.order, 1000, one.charge, state="declined"),)
    assert await differences(provider) == []
