"""Test refunds where the provider moved a different amount than we requested."""

from collections.abc import Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icecream import app
from icecream.orders import actions
from icecream.payments import corrections, manual_review
from icecream.payments.balances import Balance
from icecream.payments.providers import Declined, Succeeded
from icecream.reporting import current
from icecream.tables import Order, OrderLine, Payment
from tests import ledger
from tests.admin.test_admin import browser, session, submit
from tests.conftest import Caller, carry_out, new_flavor, new_user, parked, payment_id, place
from tests.payments.test_corrections import LookupProvider, begun, differences, made

pytestmark = pytest.mark.anyio
WHY = {"reason": "seen in their list"}


@given(st.integers(1, 1000), st.integers(1, 1000), st.lists(st.integers(1, 1000), max_size=8))
def test_refunds_move_the_requested_amounts_and_end_with_the_whole_charge(
    total: int, charged: int, wanted: list[int]
) -> None:
    balance = Balance(total, charged)
    for asked in wanted:
        if asked <= balance.refundable:
            moved = balance.amount_to_move(asked)
            # Only the refund of the whole remaining amount includes the surplus.
            assert moved == asked or balance.returned + moved == charged
            balance.returned += moved
        assert balance.returned <= charged
        assert 0 <= balance.refunded <= total
        assert (balance.held == 0) == (balance.refunded == total)
    balance.returned += balance.amount_to_move(balance.refundable)
    assert (balance.returned, balance.refunded, balance.refundable) == (charged, total, 0)


async def state(order: int) -> tuple[str, int]:
    (row,) = await Order.select(Order.status, Order.refunded).where(Order.id == order)
    lines = await OrderLine.select(OrderLine.refunded).where(OrderLine.order == order)
    assert sum(line["refunded"] for line in lines) == row["refunded"]
    return row["status"], row["refunded"]


async def refund_of(order: int) -> int:
    """Return the id of the newest refund of an order."""
    rows = await Payment.select(Payment.id).where(Payment.order == order, Payment.kind == "refund")
    newest: int = max(row["id"] for row in rows)
    return newest


async def charged_otherwise(customer: Caller, staff: Caller, moved: int) -> int:
    """Place an order of 1000 that was charged a different amount; its full refund was declined."""
    reference = f"otherwise {moved} {customer.user.id}"
    placed = await parked(customer, Succeeded(reference, moved, "EUR"))
    assert await manual_review.refund_payment(
        payment_id(placed), reason="wrong amount", by=staff.user.id
    )
    await carry_out(placed.order, Declined("no"))
    assert await state(placed.order) == ("paid", 0)
    return placed.order


async def give(staff: Caller, order: int, amount: int | None) -> list[int]:
    """Request a refund and carry it out; return the amounts requested from the provider."""
    body = {"reason": "melted"} | ({"amount": amount} if amount else {})
    answer = await staff.post(f"/api/orders/{order}/refund/", body)
    assert answer.status_code == 202, answer.text
    return [asked.amount for asked in (await carry_out(order)).asked]


@pytest.mark.parametrize(
    ("moved", "wanted", "asked"),
    [
        (1100, [100, 450, None], [100, 450, 550]),
        (1100, [999, 1], [999, 101]),
        (1100, [1000], [1100]),
        (990, [100, None], [100, 890]),
        (990, [890, 100], [890, 100]),
        (1, [None], [1]),
    ],
)
async def test_a_surplus_goes_back_with_the_refund_that_empties_the_order(
    customer: Caller, staff: Caller, moved: int, wanted: list[int | None], asked: list[int]
) -> None:
    order = await charged_otherwise(customer, staff, moved)
    given_back = 0
    for amount, expected in zip(wanted, asked, strict=True):
        path, left = f"/api/orders/{order}/refund/", min(moved, 1000) - given_back
        answer = await staff.post(path, WHY | {"amount": left + 1})
        assert (answer.status_code, answer.json()["code"]) == (409, "refund-too-large")
        assert answer.json()["left"] == left
        assert await give(staff, order, amount) == [expected]
        given_back += expected
        ended = given_back == moved
        assert await state(order) == (("refunded", 1000) if ended else ("paid", given_back))
    await ledger.check()


async def test_a_surplus_goes_back_though_an_earlier_refund_failed_afterwards(
    customer: Caller, staff: Caller
) -> None:
    order = await charged_otherwise(customer, staff, 1100)
    assert await give(staff, order, 100) == [100]
    first = await refund_of(order)
    assert await give(staff, order, None) == [1000]
    assert await corrections.park_failed_refund(first, "account closed")
    assert await state(order) == ("refunding", 1000)
    await ledger.check()
    await staff.post(f"/api/payments/{first}/release/", WHY)
    assert await state(order) == ("paid", 1000)
    assert await give(staff, order, None) == [100]
    assert await state(order) == ("refunded", 1000)
    await ledger.check()


async def odd_refund(
    customer: Caller, moved: int, amount: int | None = None, *, cancel: bool = False
) -> tuple[int, int]:
    """Place an order of 1000 whose refund is parked: the provider moved a different amount."""
    placed = await place(customer.user.id, {await new_flavor(stock=10): 4})
    await carry_out(placed.order)
    by = customer.user.id
    if cancel:
        (refund,) = await actions.cancel_order(placed.order, by=by)
    else:
        (refund,) = await begun(placed.order, amount, by=by)
    await carry_out(placed.order, Succeeded(f"odd {refund}", moved, "EUR"))
    return placed.order, refund


@pytest.mark.parametrize(
    ("amount", "moved", "after", "rest"),
    [
        (None, 999, ("paid", 999), 1),
        (300, 299, ("paid", 299), 701),
        (300, 301, ("paid", 301), 699),
        (300, 1000, ("refunded", 1000), 0),
        # The provider refunded more than it charged: nothing is left to refund.
        (None, 1001, ("refunded", 1000), 0),
    ],
)
async def test_the_moved_amount_of_a_refund_is_booked_and_the_rest_is_refunded(
    customer: Caller,
    staff: Caller,
    amount: int | None,
    moved: int,
    after: tuple[str, int],
    rest: int,
) -> None:
    order, refund = await odd_refund(customer, moved, amount)
    path = f"/api/payments/{refund}/"
    assert (await staff.get(path)).json()["actions"] == ["retry", "release", "book"]
    key = {"Idempotency-Key": f"book {refund}".replace(" ", "-")}
    for replayed in (False, True):
        answer = await staff.post(f"{path}book/", WHY, headers=key)
        assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
        assert answer.json()["moved"] == moved
        assert ("idempotent-replayed" in answer.headers) == replayed
    assert await state(order) == after
    await ledger.check()
    history = (await staff.get(f"/api/orders/{order}/")).json()["history"]
    (booked,) = [one for one in history if one["type"] == "refund-booked"]
    assert (booked["by"], booked["reason"]) == (staff.user.id, WHY["reason"])
    if rest:
        assert await give(staff, order, None) == [rest]
    assert await state(order) == ("refunded", 1000)
    await ledger.check()


async def test_a_form_of_the_admin_and_the_dashboard_lead_to_booking(
    hashed: str, customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifications: list[list[int]] = []

    async def notify(staged: list[int], customers: Sequence[int]) -> None:
        notifications.append(staged)

    monkeypatch.setattr("tasks.notify.notify_workers", notify)
    monkeypatch.setattr(current, "MAX_PARKED_PAYMENTS", 10_000)
    order, refund = await odd_refund(customer, 999, cancel=True)
    site = httpx.ASGITransport(app.create(), raise_app_exceptions=False)
    async with browser(site, id=await session(await new_user(hashed, admin=True))) as clerk:
        parts = (await clerk.get("/dashboard/data")).json()["parts"]
        assert f"/staff/orders/{order}/#payments" in parts["parked"]
        said = await submit(clerk, "book-a-parked-refund", payment=refund, reason="seen")
    assert said == (200, f"9.99 EUR is booked as refunded; order {order} is refunding.")
    # The worker is notified of the refund of the rest at once.
    assert notifications == [[await refund_of(order)]]
    await ledger.check()


async def test_a_cancellation_goes_on_with_the_rest_by_itself(
    customer: Caller, staff: Caller
) -> None:
    order, refund = await odd_refund(customer, 999, cancel=True)
    assert (await staff.post(f"/api/payments/{refund}/book/", WHY)).status_code == 200
    assert await state(order) == ("refunding", 999)
    await ledger.check()
    assert [asked.amount for asked in (await carry_out(order)).asked] == [1]
    assert await state(order) == ("canceled", 1000)
    stock = OrderLine.select(OrderLine.flavor.stock.as_alias("stock"))
    assert await stock.where(OrderLine.order == order) == [{"stock": 10}]
    await ledger.check()


async def test_only_a_refund_with_a_known_moved_amount_is_booked(
    customer: Caller, staff: Caller
) -> None:
    charge = await parked(customer, Succeeded(f"charge {customer.user.id}", 900, "EUR"))
    order, foreign = await odd_refund(customer, 1000)
    await corrections.park_failed_refund(foreign, "account closed")
    other = await place(customer.user.id, {await new_flavor(): 4})
    await carry_out(other.order)
    (dollars,) = await begun(other.order, None, by=staff.user.id)
    await carry_out(other.order, Succeeded(f"dollars {dollars}", 1000, "USD"))
    for payment in (payment_id(charge), foreign, dollars):
        assert "book" not in (await staff.get(f"/api/payments/{payment}/")).json()["actions"]
        answer = await staff.post(f"/api/payments/{payment}/book/", WHY)
        assert (answer.status_code, answer.json()["code"]) == (409, "nothing-refunded")
    assert await state(order) == ("refunding", 0)
    await ledger.check()


async def test_a_booked_refund_is_compared_and_may_fail_like_others(
    customer: Caller, staff: Caller
) -> None:
    order, refund = await odd_refund(customer, 999)
    await manual_review.book_refund(refund, reason="seen", by=staff.user.id)
    (row,) = await Payment.select(Payment.provider_key, Payment.provider_ref).where(
        Payment.id == refund
    )
    provider = LookupProvider()
    about = {"key": row["provider_key"], "reference": row["provider_ref"]}
    provider.listed = (made(order, 999, "their charge", **about),)
    assert await differences(provider) == []
    assert await corrections.park_failed_refund(refund, "account closed")
    assert await state(order) == ("paid", 0)
    await ledger.check()
