"""Test the page of an order for staff: what it shows, and each step with its refusals."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from icecream import settings, states
from icecream.orders import placing
from icecream.orders.details import OrderDetails
from icecream.payments.providers import Declined, Succeeded
from icecream.staff import order_steps
from icecream.tables import Event, Order, OrderLine, Payment
from tests.conftest import Caller, carry_out, ignore_notification, new_flavor, parked, place
from tests.staff.conftest import Clerk

pytestmark = pytest.mark.anyio


def path(order: int) -> str:
    return f"/staff/orders/{order}/"


async def paid(customer: Caller, quantity: int = 4) -> int:
    order = (await place(customer.user.id, {await new_flavor(stock=100): quantity})).order
    await carry_out(order)
    return order


def steps_of(html: str) -> list[str]:
    """Return the names of the steps that the page offers."""
    return re.findall(r'name="step" value="([^"]+)"', html)


def key_of(html: str, step: str) -> str:
    """Return the key in the form of a step."""
    found = re.search(rf'name="key" value="([^"]+)">\s+<input[^>]*name="step" value="{step}"', html)
    assert found, html
    return found[1]


async def take(clerk: Clerk, order: int, step: str, **fields: str) -> tuple[int, str]:
    """Send the form of a step; return its status, and the page that follows."""
    key = key_of(await clerk.open(path(order)), step)
    answer = await clerk.send(path(order), step=step, key=key, **fields)
    if answer.status_code == 303:
        return 303, await clerk.open(answer.headers["location"])
    return answer.status_code, answer.text


def said(html: str) -> str:
    """Return the message on the page, or its refusal."""
    return " ".join(re.findall(r'<p class="[^"]*" role="(?:status|alert)">([^<]+)</p>', html))


async def everything(order: int) -> Any:
    """Return the rows of an order."""
    return (
        await Order.select().where(Order.id == order),
        await Payment.select().where(Payment.order == order).order_by(Payment.id),
        await Event.select().where(Event.order == order).order_by(Event.id),
    )


async def test_the_page_shows_lines_amounts_payments_and_history(
    clerk: Clerk, customer: Caller
) -> None:
    cheap, dear = await new_flavor(price=260), await new_flavor(price=100_000)
    day = datetime.now(UTC).date() + timedelta(3)
    placer = placing.OrderPlacer(ignore_notification)
    details = OrderDetails(reference="PO <7>", note="Ring twice", delivery_date=day)
    placed = await placer.place(customer.user.id, {cheap: 3, dear: 2}, details=details)
    await carry_out(placed.order)
    await take(clerk, placed.order, "refund", amount="7.80", reason="melted <all>")
    await carry_out(placed.order)
    html = (await clerk.open(path(placed.order))).replace("\xa0", " ")
    rows = await OrderLine.select().where(OrderLine.order == placed.order)
    total = sum(row["quantity"] * row["unit_price"] for row in rows)
    shown = [f"{amount / 100:,.2f} EUR" for amount in (260, 780, 100_000, 200_000, total)]
    assert shown == ["2.60 EUR", "7.80 EUR", "1,000.00 EUR", "2,000.00 EUR", "2,007.80 EUR"]
    left = f"{(total - sum(row['refunded'] for row in rows)) / 100:,.2f} EUR"
    assert left == "2,000.00 EUR"
    for text in (*shown, f"<dd>{left}</dd>", "PO &lt;7&gt;", "Ring twice", customer.user.username):
        assert text in html
    happened = re.findall(r"<li><strong>([^<]+)</strong>", html)
    assert happened[:3] == ["placed", "paid", "refund requested"]
    assert clerk.user.username in html and "melted &lt;all&gt;" in html
    assert html.count('data-label="Kind"') == 2


async def test_a_page_that_does_not_exist_is_said_to_be_missing(clerk: Clerk) -> None:
    for number in ("999999999", "9" * 30, "0"):
        html = await clerk.open(path(int(number)), 404)
        assert "<html" in html
    answer = await clerk.send(path(999_999_999), step="cancel", key="x")
    assert answer.status_code == 404


async def test_a_refund_asks_once_and_is_carried_out_once(
    clerk: Clerk, customer: Caller, notified: list[int]
) -> None:
    order = await paid(customer)
    html = (await clerk.open(f"{path(order)}?do=refund")).replace("\xa0", " ")
    question = re.search(r'<dialog id="do-refund"[^>]* open>(.*?)</dialog>', html, re.DOTALL)
    assert question
    assert f"order {order} of {customer.user.username}" in question[1]
    assert "10.00 EUR of 10.00 EUR are left" in question[1]
    assert 'value="10.00"' in question[1]
    fields = {"step": "refund", "amount": "2.50", "reason": "soft", "key": key_of(html, "refund")}
    answers = [await clerk.send(path(order), **fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    html = await clerk.open(answers[1].headers["location"])
    assert said(html) == f"Refund of 2.50 EUR started for order {order}."
    refunds = Payment.select(Payment.id, Payment.amount).where(
        Payment.order == order, Payment.kind == "refund"
    )
    (refund,) = await refunds
    assert refund["amount"] == 250
    assert set(notified) == {refund["id"]}
    events = await Event.select(Event.by).where(
        Event.order == order, Event.type == "refund-requested"
    )
    assert events == [{"by": clerk.user.id}]
    # The same key for another amount is no double click.
    status = (await clerk.send(path(order), **(fields | {"amount": "3"}))).status_code
    assert status == 422
    assert len(await refunds) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"amount": "2,50", "reason": "x"}, "an amount in EUR, such as 2.60"),
        ({"amount": "10.01", "reason": "x"}, "Only 10.00 EUR is left"),
        ({"amount": "0", "reason": "x"}, "from 0.01 EUR"),
        ({"amount": "2.50"}, "reason"),
        ({"amount": "2.50", "reason": "\u200b"}, "reason must have a visible character"),
        ({"amount": "2.50", "reason": "x", "total": "1"}, "total"),
    ],
)
async def test_a_refusal_is_shown_in_the_question_and_changes_nothing(
    clerk: Clerk, customer: Caller, fields: dict[str, str], message: str
) -> None:
    order = await paid(customer)
    before = await everything(order)
    status, html = await take(clerk, order, "refund", **fields)
    assert status in (400, 409)
    assert message in said(html)
    assert re.search(r'<dialog id="do-refund"[^>]* open>', html)
    assert f'value="{fields["amount"]}"' in html
    assert await everything(order) == before


async def test_an_order_is_canceled_and_paid_again(
    clerk: Clerk, customer: Caller, notified: list[int]
) -> None:
    order = (await place(customer.user.id, {await new_flavor(): 2})).order
    assert "Cancel the order" in await clerk.open(path(order))
    why = {"reason": "no van today", "internal_note": "it broke down"}
    status, html = await take(clerk, order, "cancel", **why)
    assert (status, said(html)) == (303, f"Order {order} is canceled.")
    assert "no van today" in html and "Internal note: it broke down" in html
    assert steps_of(html) == []
    failed = (await place(customer.user.id, {await new_flavor(): 2})).order
    await carry_out(failed, Declined("no"))
    html = await clerk.open(path(failed))
    assert steps_of(html) == ["pay"]
    assert "The payment was declined." in html
    status, html = await take(clerk, failed, "pay")
    assert (status, said(html)) == (303, f"The payment of order {failed} has started.")
    assert len(notified) == 1


async def test_the_goods_move_step_by_step_and_back(clerk: Clerk, customer: Caller) -> None:
    order = await paid(customer)
    for step in ("packed", "delivered", "returned", "delivered", "packed", "unfulfilled"):
        why = {"reason": "as agreed", "internal_note": f"no. {step} <b>"}
        status, html = await take(clerk, order, step, **why)
        assert (status, said(html)) == (303, f"Order {order} is {step}.")
        assert f"Internal note: no. {step} &lt;b&gt;" in html
    events = await Event.select(Event.type, Event.by).where(
        Event.order == order, Event.type.is_in(list(states.FULFILMENT))
    )
    assert {row["by"] for row in events} == {clerk.user.id}
    assert len(events) == 6


async def test_an_unpaid_order_cannot_be_packed(clerk: Clerk, customer: Caller) -> None:
    order = (await place(customer.user.id, {await new_flavor(): 2})).order
    html = await clerk.open(path(order))
    assert steps_of(html) == ["cancel"]
    answer = await clerk.send(path(order), step="packed", key="page-1")
    assert answer.status_code == 409
    assert "the order has changed" in said(answer.text)


async def test_a_packed_order_cannot_be_canceled(clerk: Clerk, customer: Caller) -> None:
    order = await paid(customer)
    opened = await clerk.open(path(order))
    await take(clerk, order, "packed")
    answer = await clerk.send(path(order), step="cancel", key=key_of(opened, "cancel"))
    assert answer.status_code == 409
    assert "the order has changed" in said(answer.text)


async def test_staff_decide_about_a_parked_payment(clerk: Clerk, customer: Caller) -> None:
    lost = await parked(customer)
    html = await clerk.open(path(lost.order))
    retry, release = f"retry-{lost.payment}", f"release-{lost.payment}"
    assert {retry, release} <= set(steps_of(html))
    status, html = await take(
        clerk, lost.order, release, reason="not in the list", internal_note="on call"
    )
    assert status == 303 and "Internal note: on call" in html
    assert said(html) == f"Payment {lost.payment} is declined now; order {lost.order} is failed."
    odd = await parked(customer, Succeeded(f"odd {lost.order}", 900, "EUR"))
    status, html = await take(clerk, odd.order, f"refund-{odd.payment}", reason="too little")
    assert status == 303 and "Refund of 9.00 EUR started" in said(html)
    # The decisions belong to the order of the page.
    answer = await clerk.send(path(lost.order), step=f"retry-{odd.payment}", key="page-2")
    assert answer.status_code == 409


async def test_a_form_without_its_token_or_key_changes_nothing(
    clerk: Clerk, customer: Caller
) -> None:
    order = await paid(customer)
    before = await everything(order)
    fields = {"step": "cancel", "key": "page-3"}
    assert (await clerk.client.post(path(order), data=fields)).status_code == 403
    assert (await clerk.send(path(order), step="cancel")).status_code == 403
    assert await everything(order) == before


def test_each_step_of_fulfilment_has_its_words() -> None:
    steps = {(one, to) for one, others in states.FULFILMENT.items() for to in others}
    assert order_steps.FULFILMENT_STEPS.keys() == steps
    assert settings.load().currency == "EUR"
