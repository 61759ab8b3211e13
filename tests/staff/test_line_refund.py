"""Test the refund of lines on the page of an order: its amount, its question and its refusals."""

import re
from html import unescape

import pytest

from icecream.payments.providers import Declined
from icecream.staff import line_refund
from icecream.tables import Event, Flavor, Payment, RefundLine
from tests.conftest import Caller, carry_out, new_flavor, place
from tests.staff.conftest import Clerk
from tests.staff.test_order import everything, key_of, path, said, steps_of

pytestmark = pytest.mark.anyio
TOLD = {
    "reason_code": "melted",
    "reason": "two tubs melted",
    "internal_note": "the driver saw it",
}


async def paid(customer: Caller) -> tuple[int, int, int]:
    """Return a paid order of 4 at 2.60 and 3 at 5.00, and its flavors."""
    cheap, dear = await new_flavor(price=260, stock=10), await new_flavor(price=500, stock=10)
    order = (await place(customer.user.id, {cheap: 4, dear: 3})).order
    await carry_out(order)
    return order, cheap, dear


async def send(clerk: Clerk, order: int, button: str, **fields: str) -> tuple[int, str]:
    """Press a button of the form; return its status, and the page that follows."""
    key = key_of(await clerk.open(path(order)), line_refund.STEP)
    answer = await clerk.send(
        path(order), step=line_refund.STEP, key=key, button=button, **(TOLD | fields)
    )
    if answer.status_code == 303:
        return 303, await clerk.open(answer.headers["location"])
    return answer.status_code, answer.text.replace("\xa0", " ")


def question(html: str) -> str:
    """Return the opened question of the page."""
    found = re.search(r'<dialog id="do-refund-lines"[^>]* open>(.*?)</dialog>', html, re.DOTALL)
    assert found, html
    return unescape(found[1])


def problems(html: str) -> dict[str, str]:
    """Return the problems on the page by their field."""
    return dict(re.findall(r'<small id="([^"]+)-problem" class="refusal">([^<]+)<', html))


async def stocks(*flavors: int) -> list[int]:
    rows = await Flavor.select(Flavor.stock).where(Flavor.id.is_in(flavors)).order_by(Flavor.id)
    return [row["stock"] for row in rows]


async def test_the_amount_is_shown_before_the_refund_and_the_page_shows_what_is_left(
    clerk: Clerk, customer: Caller
) -> None:
    order, cheap, dear = await paid(customer)
    html = (await clerk.open(f"{path(order)}?do=refund-lines")).replace("\xa0", " ")
    assert "4 left, 2.60 EUR each" in question(html) and "3 left, 5.00 EUR each" in question(html)
    before = await everything(order)
    chosen = {f"quantity-{cheap}": "2", f"quantity-{dear}": ""}
    status, html = await send(clerk, order, "check", **chosen)
    assert status == 200
    assert "<strong>7.80 EUR" not in html
    assert "<strong>5.20 EUR</strong> of 25.40 EUR left" in question(html)
    assert "do not go back into the stock" in question(html)
    assert await everything(order) == before
    status, html = await send(clerk, order, "edit", **chosen)
    assert status == 200 and f'name="quantity-{cheap}" value="2"' in question(html)
    status, html = await send(clerk, order, "refund", **chosen)
    assert (status, said(html).replace("\xa0", " ")) == (
        303,
        f"Refund of 5.20 EUR started for order {order}.",
    )
    assert await stocks(cheap, dear) == [6, 7]
    await carry_out(order)
    html = (await clerk.open(f"{path(order)}?do=refund-lines")).replace("\xa0", " ")
    assert "2 left, 2.60 EUR each" in question(html)
    # The amount of a refund belongs to the order, and its quantities to the lines.
    assert re.findall(r'data-label="Refunded">([^<]+)<', html) == ["2 of 4", "-", "5.20 EUR"]
    names = await Flavor.select(Flavor.name).where(Flavor.id == cheap)
    assert f"2 of {names[0]['name']}: melted<" in html
    assert "Internal note: the driver saw it" in html


async def test_goods_go_back_into_the_stock_once_also_after_a_double_click(
    clerk: Clerk, customer: Caller
) -> None:
    order, cheap, dear = await paid(customer)
    fields = TOLD | {f"quantity-{dear}": " 3 ", "restock": "true", "button": "refund"}
    key = key_of(await clerk.open(path(order)), line_refund.STEP)
    for _ in range(2):
        answer = await clerk.send(path(order), step=line_refund.STEP, key=key, **fields)
        assert answer.status_code == 303
    assert said(await clerk.open(answer.headers["location"])).endswith("back in stock.")
    assert await stocks(cheap, dear) == [6, 10]
    refunds = await Payment.select(Payment.amount, Payment.reason_code).where(
        Payment.order == order, Payment.kind == "refund"
    )
    assert refunds == [{"amount": 1500, "reason_code": "melted"}]
    lines = await RefundLine.select(RefundLine.quantity, RefundLine.restocked)
    assert {"quantity": 3, "restocked": True} in lines
    asked = await Event.select(Event.by).where(
        Event.order == order, Event.type == "refund-requested"
    )
    assert asked == [{"by": clerk.user.id}]


@pytest.mark.parametrize("button", ["check", "refund"])
@pytest.mark.parametrize(
    ("quantity", "fields", "field", "words"),
    [
        ("5", {}, "", "Only 4 can still be refunded."),
        ("x", {}, "", "Enter a whole number"),
        ("-1", {}, "", "Enter a whole number"),
        ("9" * 30, {}, "", "Enter a whole number"),
        ("0", {}, "lines", "Enter a quantity for at least one line."),
        ("1", {"reason_code": ""}, "reason_code", "Choose a reason."),
        ("1", {"reason_code": "late"}, "reason_code", "The reason "),
        ("1", {"reason": ""}, "reason", "What happened "),
        ("1", {"reason": "\u200b"}, "reason", "What happened must have a visible character"),
        ("1", {"internal_note": "\u200b"}, "internal_note", "The internal note must have"),
        ("1", {"restock": "maybe"}, "restock", "Clear this box."),
    ],
)
async def test_a_refusal_stands_at_its_field_and_changes_nothing(
    clerk: Clerk,
    customer: Caller,
    button: str,
    quantity: str,
    fields: dict[str, str],
    field: str,
    words: str,
) -> None:
    order, cheap, dear = await paid(customer)
    before = await everything(order), await stocks(cheap, dear)
    chosen = {f"quantity-{cheap}": quantity, f"quantity-{dear}": ""}
    status, html = await send(clerk, order, button, **chosen, **fields)
    assert status in (400, 409)
    assert words in problems(question(html))[field or f"quantity-{cheap}"]
    assert f'name="quantity-{cheap}" value="{quantity}"' in question(html)
    assert (await everything(order), await stocks(cheap, dear)) == before


@pytest.mark.parametrize(
    "fields", [{"quantity-x": "1"}, {"quantity-999999": "1"}, {"amount": "1"}, {"total": "1"}]
)
async def test_a_field_that_is_not_in_the_form_is_refused_above_it(
    clerk: Clerk, customer: Caller, fields: dict[str, str]
) -> None:
    order, cheap, _ = await paid(customer)
    before = await everything(order)
    status, html = await send(clerk, order, "refund", **({f"quantity-{cheap}": "1"} | fields))
    assert status == 400
    assert said(question(html)) or problems(question(html))
    assert await everything(order) == before


async def test_lines_that_cost_more_than_is_left_are_refused(
    clerk: Clerk, customer: Caller
) -> None:
    order, _, dear = await paid(customer)
    key = key_of(await clerk.open(path(order)), "refund")
    await clerk.send(path(order), step="refund", key=key, amount="20", reason="late")
    await carry_out(order)
    for button in ("check", "refund"):
        status, html = await send(clerk, order, button, **{f"quantity-{dear}": "3"})
        assert status == 409
        assert "more than the 5.40 EUR" in problems(question(html))["lines"]


async def test_goods_that_were_put_back_are_not_put_back_again(
    clerk: Clerk, customer: Caller
) -> None:
    order, cheap, dear = await paid(customer)
    fields = {f"quantity-{dear}": "3", "restock": "true"}
    assert (await send(clerk, order, "refund", **fields))[0] == 303
    await carry_out(order, Declined("no"))
    status, html = await send(clerk, order, "refund", **fields)
    assert status == 400
    assert problems(question(html)) == {"restock": line_refund.ALREADY_BACK}
    assert await stocks(cheap, dear) == [6, 10]
    assert (await send(clerk, order, "refund", **{f"quantity-{dear}": "3"}))[0] == 303


async def test_only_an_order_with_open_lines_and_money_offers_it(
    clerk: Clerk, customer: Caller
) -> None:
    order, cheap, dear = await paid(customer)
    assert line_refund.STEP in steps_of(await clerk.open(path(order)))
    everything_left = {f"quantity-{cheap}": "4", f"quantity-{dear}": "3"}
    assert (await send(clerk, order, "refund", **everything_left))[0] == 303
    await carry_out(order)
    assert line_refund.STEP not in steps_of(await clerk.open(path(order)))
    answer = await clerk.send(path(order), step=line_refund.STEP, key="page-1", **TOLD)
    assert answer.status_code == 409
    assert "the order has changed" in said(answer.text)
