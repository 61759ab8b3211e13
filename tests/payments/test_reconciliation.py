"""Test the comparison of our payments with the provider's list, in all four outcomes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from icecream.orders import actions
from icecream.payments import executor, reconciliation, remedies
from icecream.payments.providers import (
    Answer,
    Charge,
    Declined,
    OutcomeUnknown,
    ProviderRecord,
    Refund,
    Request,
    RetryLater,
)
from icecream.tables import Event, Job, Order, Payment
from tests import ledger
from tests.conftest import Caller, Provider, place, records_of

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


class Bank(Provider):
    """A provider that lists its payments and knows the result of each refund."""

    keeps_list = True

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.listed: list[ProviderRecord] = []
        self.refunds: dict[str, Answer] = {}

    async def records(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRecord]:
        for record in self.listed:
            if since <= record.created < until:
                yield record

    async def refund(self, refund: Refund) -> Any:
        self.refunds[refund.key] = await super().refund(refund)
        return self.refunds[refund.key]

    async def look_up(self, request: Request, reference: str | None) -> Any:
        return self.refunds.get(request.key)


async def find(bank: Bank) -> list[remedies.Finding]:
    until = datetime.now(UTC) + DAY
    # Ignore payments of other tests: they are on no list.
    keys = {record.key for record in bank.listed} | {charge.key for charge in bank.asked}
    ours = {
        row["id"]
        for row in await Payment.select(Payment.id).where(
            Payment.provider_key.is_in([*keys, "none"])
        )
    }
    return [
        finding
        async for finding in reconciliation.find_differences(bank, until - 2 * DAY, until)
        if finding.payment in ours or finding.payment is None
    ]


async def charged(bank: Bank, customer: Caller, flavor: int) -> tuple[int, int, Request]:
    """Place and charge an order; return the order, its payment and the request to the bank."""
    placed = await place(customer.user.id, {flavor: 2})
    assert placed.payment is not None
    await executor.Executor(bank, slots=5, lease_seconds=30, timeout=5).execute([placed.payment])
    return placed.order, placed.payment, bank.asked[-1]


def record(asked: Request, reference: str, **values: Any) -> ProviderRecord:
    """Return the entry of the provider's list for a request."""
    known: dict[str, Any] = {
        "kind": "charge",
        "key": asked.key,
        "order": asked.order,
        "reference": reference,
        "amount": asked.amount,
        "currency": asked.currency,
        "state": "succeeded",
        "created": datetime.now(UTC),
    }
    return ProviderRecord(**known | values)


async def status(order: int) -> str:
    row = await Order.select(Order.status).where(Order.id == order).first()
    assert row is not None
    return str(row["status"])


async def test_a_matching_record_is_no_finding(customer: Caller, flavor: int) -> None:
    bank = Bank()
    for answer in (f"agreed {flavor}", Declined("no")):
        bank.answers = [answer]
        _, _, asked = await charged(bank, customer, flavor)
        state = "succeeded" if isinstance(answer, str) else "declined"
        bank.listed.append(record(asked, f"agreed {flavor}", state=state))
    assert await find(bank) == []


@pytest.mark.parametrize(("state", "ends"), [("succeeded", "paid"), ("declined", "failed")])
async def test_an_outcome_that_only_they_know_is_adopted(
    customer: Caller, flavor: int, state: str, ends: str
) -> None:
    bank = Bank(OutcomeUnknown)
    order, payment, asked = await charged(bank, customer, flavor)
    bank.listed = [record(asked, f"theirs {order}", state="processing")]
    assert await find(bank) == []
    bank.listed = [record(asked, f"theirs {order}", state=state)]
    (finding,) = await find(bank)
    assert (finding.action, finding.payment) == ("adopt", payment)
    assert str(finding) == (
        f"adopt: payment {payment} and charge theirs {order}: {state} at the provider, unknown here"
    )
    for _ in range(2):
        assert (await remedies.apply_remedy(bank, finding)).is_done
    assert await status(order) == ends
    assert await find(bank) == []
    await ledger.check()


async def test_another_amount_is_parked_and_not_adopted(customer: Caller, flavor: int) -> None:
    bank = Bank(OutcomeUnknown)
    order, payment, asked = await charged(bank, customer, flavor)
    bank.listed = [record(asked, f"odd {order}", amount=1)]
    (finding,) = await find(bank)
    assert (await remedies.apply_remedy(bank, finding)).is_done
    row = await Payment.select(Payment.state).where(Payment.id == payment).first()
    assert (row, await status(order)) == ({"state": "parked"}, "pending")
    # The provider's answer was adopted once. Now only a person can decide what is true.
    (finding,) = await find(bank)
    assert (finding.action, finding.reason) == (
        "look",
        "the provider lists 0.01 EUR, we requested 5.00 EUR",
    )
    await ledger.check()


async def test_money_for_a_failed_payment_is_refunded_once(customer: Caller, flavor: int) -> None:
    bank = Bank(Declined("no"))
    order, payment, asked = await charged(bank, customer, flavor)
    bank.listed = [record(asked, f"late {order}")]
    (finding,) = await find(bank)
    assert (finding.action, finding.payment, finding.reason) == (
        *("refund", payment),
        "the provider moved 5.00 EUR, but our payment is declined",
    )
    for _ in range(2):
        assert (await remedies.apply_remedy(bank, finding)).is_done
    assert len({refund.key for refund in bank.asked if isinstance(refund, Refund)}) == 1
    bank.listed.append(record(bank.asked[-1], f"back {order}", kind="refund"))
    assert await find(bank) == []
    types = await Event.select(Event.type).where(Event.order == order).order_by(Event.seq)
    assert [row["type"] for row in types] == ["placed", "failed", "reconciled"]
    await ledger.check()


async def test_money_for_a_new_payment_is_not_refunded(customer: Caller, flavor: int) -> None:
    # As after a restored backup, until a worker sends the payment under the same key.
    bank = Bank()
    placed = await place(customer.user.id, {flavor: 2})
    columns = (Payment.id, Payment.provider_key, Payment.amount)
    row = await Payment.select(*columns).where(Payment.order == placed.order).first()
    assert row is not None
    asked = Charge(row["provider_key"], row["amount"], "EUR", placed.order, None)
    bank.listed = [record(asked, f"lost {placed.order}")]
    (finding,) = await find(bank)
    assert (finding.action, finding.payment) == ("look", row["id"])
    assert finding.reason == "the provider moved 5.00 EUR, but our payment is new"
    await actions.cancel_order(placed.order, by=customer.user.id)
    (finding,) = await find(bank)
    assert (finding.action, finding.reason) == (
        "refund",
        "the provider moved 5.00 EUR, but our payment is void",
    )


async def test_money_under_an_unknown_key_is_refunded_or_reported(flavor: int) -> None:
    bank = Bank()
    stranger = Refund("restored away", 700, "EUR", 2**62, "")
    bank.listed = [record(stranger, "ch orphan"), record(stranger, "re orphan", kind="refund")]
    refund, charge = await find(bank)
    assert (charge.action, charge.payment, refund.action) == ("refund", None, "look")
    assert (await remedies.apply_remedy(bank, charge)).is_done
    (asked,) = bank.asked
    assert isinstance(asked, Refund)
    assert (asked.amount, asked.charge) == (700, "ch orphan")
    assert [finding.action for finding in await find(bank)] == ["look"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"amount": 1}, "the provider lists 0.01 EUR, we requested 5.00 EUR"),
        ({"currency": "USD"}, "the provider lists 5.00 USD, we requested 5.00 EUR"),
        (
            {"reference": "theirs"},
            "a second charge under one key; the provider has theirs, the payment has certain {}",
        ),
        ({"state": "declined"}, "declined at the provider, succeeded here"),
    ],
)
async def test_a_difference_in_a_succeeded_payment_needs_review(
    customer: Caller, flavor: int, values: dict[str, Any], why: str
) -> None:
    bank = Bank(f"certain {flavor}")
    order, payment, asked = await charged(bank, customer, flavor)
    bank.listed = [record(asked, **{"reference": f"certain {flavor}"} | values)]
    (finding,) = await find(bank)
    assert (finding.action, finding.payment) == ("look", payment)
    assert finding.reason == why.format(flavor)
    bank.listed = []
    (finding,) = await find(bank)
    assert (finding.action, finding.reason) == ("look", "missing from the provider's list")
    assert await status(order) == "paid"


async def test_a_payment_that_never_succeeded_is_not_missing_at_the_provider(
    customer: Caller, flavor: int
) -> None:
    bank = Bank(Declined("no"), OutcomeUnknown)
    for _ in range(2):
        await charged(bank, customer, flavor)
    assert await find(bank) == []


async def sent_at(payment: int, when: datetime) -> None:
    await Payment.update({Payment.first_sent_at: when}).where(Payment.id == payment)


async def test_the_providers_list_is_read_a_little_further_than_ours(
    customer: Caller, flavor: int
) -> None:
    bank, until = Bank(), datetime.now(UTC) - timedelta(hours=1)
    _, payment, asked = await charged(bank, customer, flavor)
    await sent_at(payment, until - timedelta(seconds=1))
    theirs = f"ref {asked.key}"
    for seconds, lacking in ((1, []), (601, ["missing from the provider's list"])):
        bank.listed = [record(asked, theirs, created=until + timedelta(seconds=seconds))]
        found = [one async for one in reconciliation.find_differences(bank, until - DAY, until)]
        assert [one.reason for one in found if one.payment == payment] == lacking


@pytest.mark.parametrize(
    ("age", "compared"),
    [
        (timedelta(minutes=9), False),
        (timedelta(minutes=11), True),
        (timedelta(days=2, hours=23), True),
        (timedelta(days=3, hours=1), False),
    ],
)
async def test_a_worker_compares_payments_that_are_neither_young_nor_old(
    customer: Caller,
    flavor: int,
    caplog: pytest.LogCaptureFixture,
    age: timedelta,
    compared: bool,
) -> None:
    bank = Bank()
    _, payment, _ = await charged(bank, customer, flavor)
    await sent_at(payment, datetime.now(UTC) - age)
    await due()
    await reconciliation.reconcile_if_due(bank)
    assert (f"payment {payment}: missing from the provider's list" in caplog.text) == compared


async def test_many_are_compared_in_chunks(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "MAX_RECORDS_PER_CHUNK", 2)
    bank = Bank()
    for n in range(5):
        _, _, asked = await charged(bank, customer, flavor)
        if n != 3:
            bank.listed.append(record(asked, f"ref {asked.key}"))
    (finding,) = await find(bank)
    assert (finding.action, finding.reason) == ("look", "missing from the provider's list")


async def test_one_worker_compares_once_a_day_and_another_if_that_one_died(
    customer: Caller, flavor: int, caplog: pytest.LogCaptureFixture
) -> None:
    bank = Bank(OutcomeUnknown)
    order, _, asked = await charged(bank, customer, flavor)
    sent = datetime.now(UTC) - timedelta(hours=1)
    bank.listed = [record(asked, f"daily {order}", created=sent)]
    await Job.delete().where(Job.kind == reconciliation.JOB_KIND)
    # The first worker acquired the comparison and dies.
    assert await reconciliation._acquire_job()
    await reconciliation.reconcile_if_due(bank)
    assert await status(order) == "pending"
    (job,) = await Job.select().where(Job.kind == reconciliation.JOB_KIND)
    assert job["run_at"] <= datetime.now(UTC) + timedelta(hours=1)
    lease_over = {Job.run_at: datetime.now(UTC) - timedelta(seconds=1)}
    await Job.update(lease_over).where(Job.kind == reconciliation.JOB_KIND)
    with caplog.at_level("INFO"):
        await reconciliation.reconcile_if_due(bank)
    assert await status(order) == "paid"
    assert f"daily {order}: succeeded at the provider" in caplog.text
    (job,) = await Job.select().where(Job.kind == reconciliation.JOB_KIND)
    assert job["run_at"] > datetime.now(UTC) + timedelta(hours=23)
    await ledger.check()


async def due() -> None:
    """Make the comparison due."""
    now = {Job.run_at: datetime.now(UTC) - timedelta(seconds=1)}
    await Job.update(now).where(Job.kind == reconciliation.JOB_KIND)


async def test_a_record_that_cannot_be_adopted_does_not_stop_the_others(
    customer: Caller, flavor: int, caplog: pytest.LogCaptureFixture
) -> None:
    bank = Bank(OutcomeUnknown, OutcomeUnknown, "taken already")
    asked, orders = [], []
    for _ in range(3):
        order, _, request = await charged(bank, customer, flavor)
        asked.append(request)
        orders.append(order)
    sent = datetime.now(UTC) - timedelta(hours=1)
    bank.listed = [
        record(request, reference, created=sent)
        for request, reference in zip(
            asked, ("taken already", "free", "taken already"), strict=True
        )
    ]
    await due()
    with caplog.at_level("INFO"):
        await reconciliation.reconcile_if_due(bank)
    assert [await status(order) for order in orders] == ["pending", "paid", "paid"]
    assert caplog.text.count("The remedy failed for: adopt: payment") == 1
    assert " of them open." in caplog.text
    await ledger.check()


@pytest.mark.parametrize(
    "trouble", [RetryLater("429"), OutcomeUnknown("500"), ConnectionResetError()]
)
async def test_a_comparison_without_a_list_is_repeated_soon(
    caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    class Away(Bank):
        async def records(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRecord]:
            raise trouble
            yield  # This makes it a generator, like the others.

    await due()
    await reconciliation.reconcile_if_due(Away())
    (record,) = records_of(caplog, reconciliation.log)
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    (job,) = await Job.select().where(Job.kind == reconciliation.JOB_KIND)
    assert job["run_at"] <= datetime.now(UTC) + reconciliation.RETRY_DELAY


@pytest.mark.parametrize(
    ("known", "whats"),
    [
        (OutcomeUnknown("pending", "re_1"), []),
        (OutcomeUnknown("500"), ["look"]),
        (TimeoutError(), ["look"]),
    ],
)
async def test_a_failed_look_up_of_a_refund_is_reported_and_the_others_are_compared(
    flavor: int, known: Exception, whats: list[str]
) -> None:
    class Silent(Bank):
        async def look_up(self, request: Request, reference: str | None) -> Any:
            assert isinstance(request, Refund)
            if request.charge == "ch silent":
                raise known
            return await super().look_up(request, reference)

    bank, stranger = Silent(), Refund("another installation's", 700, "EUR", 1, "")
    bank.listed = [record(stranger, "ch silent"), record(stranger, "ch other")]
    assert [finding.action for finding in await find(bank)] == [*whats, "refund"]


async def test_an_unmatched_charge_that_was_refunded_at_the_provider_is_no_finding(
    customer: Caller, flavor: int
) -> None:
    bank = Bank(Declined("no"))
    order, _, asked = await charged(bank, customer, flavor)
    theirs: dict[str, Any] = {"kind": "refund", "key": None, "charge": f"late {order}"}
    part = record(asked, f"re {order}", **theirs, amount=200)
    failed = record(asked, f"re0 {order}", **theirs, state="declined")
    bank.listed = [record(asked, f"late {order}"), part, failed]
    assert [finding.action for finding in await find(bank)] == ["refund"]
    bank.listed.append(record(asked, f"re2 {order}", **theirs, amount=300))
    assert await find(bank) == []


async def test_a_declined_refund_of_a_charge_for_nothing_leaves_it_to_be_done(
    customer: Caller, flavor: int
) -> None:
    bank = Bank(Declined("no"))
    order, _, asked = await charged(bank, customer, flavor)
    bank.listed, bank.answers = [record(asked, f"kept {order}")], [Declined("account closed")]
    (finding,) = await find(bank)
    outcome = await remedies.apply_remedy(bank, finding)
    assert outcome == remedies.RemedyResult(" - the refund was declined: account closed", False)
    types = await Event.select(Event.type).where(Event.order == order).order_by(Event.seq)
    assert [row["type"] for row in types] == ["placed", "failed"]
    assert await find(bank) == [finding]
    await ledger.check()


async def test_a_refund_without_an_answer_is_to_be_repeated(flavor: int) -> None:
    bank = Bank(OutcomeUnknown("500"))
    bank.listed = [record(Refund("restored away too", 700, "EUR", 1, ""), "ch unanswered")]
    (finding,) = await find(bank)
    outcome = await remedies.apply_remedy(bank, finding)
    assert (outcome.is_done, "try again" in outcome.text) == (False, True)
    assert (await remedies.apply_remedy(bank, finding)).is_done


async def test_a_charge_is_matched_by_its_key_and_never_by_its_orders_number(
    customer: Caller, flavor: int
) -> None:
    placed = await place(customer.user.id, {flavor: 2})
    bank = Bank()
    # After a restored backup: the order of this charge was lost, and this customer's new order has
    # its number.
    lost = Refund("lost with the backup", 700, "EUR", placed.order, "")
    bank.listed = [record(lost, "ch of the lost order")]
    (finding,) = await find(bank)
    assert finding.order is None
    assert f"it names order {placed.order}, which may be a different order today" in str(finding)
    assert (await remedies.apply_remedy(bank, finding)).is_done
    types = await Event.select(Event.type).where(Event.order == placed.order)
    assert [row["type"] for row in types] == ["placed"]
    await ledger.check()


async def test_without_a_list_nothing_is_compared() -> None:
    await Job.delete().where(Job.kind == reconciliation.JOB_KIND)
    provider = Provider()
    assert await reconciliation.reconcile_if_due(provider) is False
    assert not await Job.exists().where(Job.kind == reconciliation.JOB_KIND)
