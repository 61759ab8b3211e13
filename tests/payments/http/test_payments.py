"""Test payments over HTTP: the list, the details and the decisions of an operator."""

import asyncio
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import httpx
import pytest
from litestar import Litestar

from icecream.orders import actions
from icecream.payments.providers import Declined, OutcomeUnknown, Succeeded
from icecream.tables import Job, Payment
from tests import ledger
from tests.conftest import (
    Caller,
    Provider,
    carry_out,
    make_executor,
    new_flavor,
    parked,
    payment_id,
    place,
)

pytestmark = pytest.mark.anyio
WHY = {"reason": "seen in their list"}


def wrong(moved: int = 900) -> Succeeded:
    """Return an answer of the provider that charged another amount."""
    return Succeeded(f"wrong {datetime.now(UTC).timestamp()}", moved, "EUR")


class ParkedPayment:
    """A parked payment of 1000 and the operator who reviews it."""

    def __init__(self, staff: Caller, order: int, payment: int) -> None:
        self.staff, self.order, self.payment = staff, order, payment
        self.path = f"/api/payments/{payment}/"

    async def do(self, what: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.staff.post(f"{self.path}{what}/", body or WHY, headers=headers)

    async def now(self) -> tuple[str, str]:
        """Return the state of the payment and the status of its order."""
        order = (await self.staff.get(f"/api/orders/{self.order}/")).json()
        return (await self.staff.get(self.path)).json()["state"], order["status"]

    async def history(self) -> list[tuple[str, int | None, str | None]]:
        order = (await self.staff.get(f"/api/orders/{self.order}/")).json()
        return [(one["type"], one["by"], one.get("reason")) for one in order["history"]]


@pytest.fixture
async def lost(customer: Caller, staff: Caller) -> ParkedPayment:
    """A parked payment without a definite answer."""
    placed = await parked(customer)
    return ParkedPayment(staff, placed.order, payment_id(placed))


@pytest.fixture
async def odd(customer: Caller, staff: Caller) -> ParkedPayment:
    """A parked payment for which the provider charged 900."""
    placed = await parked(customer, wrong())
    return ParkedPayment(staff, placed.order, payment_id(placed))


async def test_a_payment_is_shown_with_the_allowed_decisions(
    lost: ParkedPayment, odd: ParkedPayment
) -> None:
    shown = (await odd.staff.get(odd.path)).json()
    (row,) = await Payment.select().where(Payment.id == odd.payment)
    assert shown.pop("first_sent_at").endswith("Z")
    assert shown == {
        "id": odd.payment,
        "order": odd.order,
        "kind": "charge",
        "n": 1,
        "state": "parked",
        "amount": 1000,
        "moved": 900,
        "currency": "EUR",
        "provider_key": row["provider_key"],
        "provider_ref": row["provider_ref"],
        "tries": 1,
        "last_error": "The provider moved 9.00 EUR instead of 10.00 EUR.",
        "actions": ["retry", "release", "refund"],
        "failure": None,
        "reason_code": None,
    }
    shown = (await lost.staff.get(lost.path)).json()
    assert (shown["moved"], shown["actions"]) == (None, ["retry", "release"])


async def test_the_payment_method_is_not_shown(customer: Caller, staff: Caller) -> None:
    await customer.request("PUT", "/api/payment-method/", json={"reference": "pm_secret"})
    order = {"flavor": await new_flavor(), "quantity": 1}
    placed = (await customer.post("/api/orders/", order)).json()["order_id"]
    assert await Payment.exists().where(Payment.order == placed, Payment.method == "pm_secret")
    answer = await staff.get(f"/api/payments/?order={placed}")
    assert len(answer.json()) == 1
    assert "pm_secret" not in answer.text


async def test_payments_are_for_staff(lost: ParkedPayment, customer: Caller, client: Any) -> None:
    paths = ["/api/payments/", lost.path]
    acts = [f"{lost.path}{what}/" for what in ("retry", "release", "refund", "book")]
    for answer in [
        *[await customer.get(path) for path in paths],
        *[await customer.post(path, WHY) for path in acts],
        await customer.get(f"/api/payments/{2**62}/"),
    ]:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await client.get(paths[0])).status_code == 401
    assert (await client.post(acts[2], json=WHY)).status_code == 401
    assert await lost.now() == ("parked", "pending")


@pytest.mark.parametrize("path", [f"{2**62}/", "0/", "-1/", "x/", f"{2**63}/"])
async def test_an_unknown_id_is_not_found(staff: Caller, path: str) -> None:
    for answer in [
        await staff.get(f"/api/payments/{path}"),
        *[await staff.post(f"/api/payments/{path}{what}/", WHY) for what in ("retry", "refund")],
    ]:
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


# The list.


async def walk(caller: Caller, path: str) -> list[list[int]]:
    """Return the ids of each page."""
    pages = []
    while path:
        answer = await caller.get(path)
        assert answer.status_code == 200, answer.text
        pages.append([payment["id"] for payment in answer.json()])
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    return pages


async def test_the_list_has_the_requested_payments_whole_and_by_page(
    customer: Caller, staff: Caller, lost: ParkedPayment, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await place(customer.user.id, {await new_flavor(): 1})
    await make_executor(Provider()).execute([payment_id(placed)])
    (refund,) = await actions.cancel_order(placed.order, by=staff.user.id)
    order = f"?order={placed.order}"
    for query, expected in (
        (order, [payment_id(placed), refund]),
        (f"{order}&kind=refund", [refund]),
        (f"{order}&state=succeeded", [payment_id(placed)]),
        (f"{order}&state=succeeded&kind=refund", []),
        (f"?order={lost.order}&state=parked", [lost.payment]),
        (f"?order={2**62}", []),
    ):
        assert await walk(staff, f"/api/payments/{query}") == [expected]
    for query, chunk, limits in (("?", 20, (30, 500)), (order, 2, (1, 3))):
        monkeypatch.setattr("icecream.http.pagination.ROWS_PER_READ", chunk)
        (whole,) = await walk(staff, f"/api/payments/{query}")
        assert whole == sorted(set(whole))
        assert {payment_id(placed), refund} <= set(whole)
        assert (lost.payment in whole) == (query == "?")
        for limit in limits:
            pages = await walk(staff, f"/api/payments/{query}&limit={limit}")
            assert list(chain.from_iterable(pages)) == whole
            assert all(len(page) == limit for page in pages[:-1])


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("state=lost", "/state"),
        ("state=", "/state"),
        ("kind=gift", "/kind"),
        ("order=0", "/order"),
        ("order=x", "/order"),
        (f"order={2**63}", "/order"),
        ("limit=0", "/limit"),
        ("limit=501", "/limit"),
        ("after=x", "/after"),
    ],
)
async def test_a_bad_query_is_refused_by_name(staff: Caller, query: str, pointer: str) -> None:
    answer = await staff.get(f"/api/payments/?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


# The decisions of an operator.


async def test_a_retry_is_carried_out_and_recorded_with_author_and_reason(
    lost: ParkedPayment, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifications: list[list[int]] = []

    async def notify(staged: list[int]) -> None:
        notifications.append(staged)

    application: Any = lost.staff.client._transport.app
    while not isinstance(application, Litestar):
        application = application.app
    monkeypatch.setitem(application.state._state, "notify_workers", notify)
    reference = f"pi_{lost.payment}"
    answer = await lost.do("retry", WHY | {"reference": reference})
    assert answer.status_code == 202
    shown = answer.json()
    assert (shown["state"], shown["provider_ref"], shown["actions"]) == ("unknown", reference, [])
    assert notifications == [[lost.payment]]
    provider = Provider()
    provider.found = Succeeded(reference, 1000, "EUR")
    await make_executor(provider).execute([lost.payment])
    assert await lost.now() == ("succeeded", "paid")
    assert ("retried", lost.staff.user.id, WHY["reason"]) in await lost.history()
    await ledger.check()


async def test_a_payment_without_a_charge_is_released(lost: ParkedPayment) -> None:
    answer = await lost.do("release")
    assert (answer.status_code, answer.json()["state"]) == (200, "declined")
    assert await lost.now() == ("declined", "failed")
    assert (await lost.history())[-1] == ("failed", lost.staff.user.id, WHY["reason"])
    await ledger.check()


async def test_a_wrong_charge_is_refunded_once(odd: ParkedPayment) -> None:
    key = {"Idempotency-Key": "give-it-back"}
    first, again = [await odd.do("refund", **key) for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert first.json()["state"] == "succeeded"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await odd.do("refund", {"reason": "another"}, **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    bad = await odd.do("refund", **{"Idempotency-Key": "a b"})
    assert (bad.status_code, bad.json()["code"]) == (400, "idempotency-key-invalid")
    provider = await carry_out(odd.order)
    assert [asked.amount for asked in provider.asked] == [900]
    assert await odd.now() == ("succeeded", "canceled")
    assert ("refund-ordered", odd.staff.user.id, WHY["reason"]) in await odd.history()
    await ledger.check()


async def test_a_payment_without_a_known_charge_is_not_refunded(lost: ParkedPayment) -> None:
    answer = await lost.do("refund", **{"Idempotency-Key": "nothing-to-give"})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing-charged")
    assert await lost.now() == ("parked", "pending")
    # A request without an effect is not stored under its key.
    answer = await lost.do("refund", {"reason": "other"}, **{"Idempotency-Key": "nothing-to-give"})
    assert answer.json()["code"] == "nothing-charged"


async def test_a_reference_of_another_payment_is_refused(
    customer: Caller, lost: ParkedPayment, odd: ParkedPayment
) -> None:
    taken = "pi_taken"
    await Payment.update({Payment.provider_ref: taken}).where(Payment.id == odd.payment)
    answer = await lost.do("retry", WHY | {"reference": taken})
    assert (answer.status_code, answer.json()["code"]) == (409, "reference-taken")
    assert await lost.now() == ("parked", "pending")


@pytest.mark.parametrize("what", ["retry", "release", "refund"])
async def test_only_one_of_many_operators_decides(odd: ParkedPayment, what: str) -> None:
    answers = await asyncio.gather(*(odd.do(what) for _ in range(20)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200 if what == "release" else 202] + [409] * 19
    refused = {answer.json()["code"] for answer in answers if answer.status_code == 409}
    assert refused == {"not-parked"}
    await ledger.check()


@pytest.mark.parametrize("came", ["new", "unknown", "succeeded", "declined"])
@pytest.mark.parametrize("what", ["retry", "release", "refund", "book"])
async def test_a_payment_that_is_not_parked_cannot_be_decided(
    customer: Caller, staff: Caller, came: str, what: str
) -> None:
    placed = await place(customer.user.id, {await new_flavor(): 1})
    answers: dict[str, list[Any]] = {
        "unknown": [OutcomeUnknown("lost")],
        "succeeded": [],
        "declined": [Declined("no")],
    }
    if came in answers:
        await make_executor(Provider(*answers[came])).execute([payment_id(placed)])
    one = ParkedPayment(staff, placed.order, payment_id(placed))
    assert (await staff.get(one.path)).json()["actions"] == []
    before = await one.now()
    answer = await one.do(what)
    assert (answer.status_code, answer.json()["code"]) == (409, "not-parked")
    assert answer.json()["detail"] == f"This payment is {came}."
    assert await one.now() == before
    assert await Job.exists().where(Job.subject == one.payment) == (came in ("new", "unknown"))


@pytest.mark.parametrize("what", ["retry", "release", "refund"])
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": ""}, "/reason"),
        ({"reason": "\t "}, "/reason"),
        ({"reason": "  "}, "/reason"),
        ({"reason": "r" * 201}, "/reason"),
        ({"reason": 1}, "/reason"),
        ({"x": 1}, "/reason"),
        ({"reason": "r", "amount": 1}, "/amount"),
    ],
)
async def test_a_decision_without_a_reason_is_refused(
    lost: ParkedPayment, what: str, body: dict[str, Any], pointer: str
) -> None:
    answer = await lost.do(what, body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] in (pointer, "/x")


@pytest.mark.parametrize("reference", ["", "a b", "x" * 256, "4242 4242 4242 4242", 1])
async def test_a_bad_reference_is_refused_and_not_repeated(
    lost: ParkedPayment, reference: Any
) -> None:
    answer = await lost.do("retry", WHY | {"reference": reference})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/reference"
    assert str(reference) == "" or str(reference) not in answer.json()["detail"].partition(":")[2]
    assert await lost.now() == ("parked", "pending")
