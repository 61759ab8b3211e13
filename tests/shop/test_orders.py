"""Test a shop's own orders: the list, one order, paying again, canceling, the same again."""

import html
from functools import partial

import httpx
import pytest

from icecream import database
from icecream.orders import actions
from icecream.orders.refunded_goods import RefundedGoods
from icecream.payments.providers import Declined
from icecream.tables import Flavor, Order, Payment
from tests.conftest import Caller, carry_out, new_flavor, new_user, place
from tests.shop.visitors import Visitor, fields_of, sign_in

pytestmark = pytest.mark.anyio
SHOP = "/shop/"


def page_of(order: int) -> str:
    return f"/shop/orders/{order}/"


async def status_of(order: int) -> str:
    row = await Order.objects().get(Order.id == order)
    assert row is not None
    return str(row.status)


async def count_charges(order: int) -> int:
    count: int = await Payment.count().where(Payment.order == order)
    return count


async def test_orders_are_listed_newest_first_page_by_page(shop: Visitor, flavor: int) -> None:
    assert "You have no orders yet" in (await shop.get("/shop/orders/")).text
    numbers = [(await place(shop.user.id, {flavor: n})).order for n in range(1, 24)]
    page = (await shop.get("/shop/orders/")).text
    shown = [n for n in numbers if f">Order {n}<" in page]
    assert shown == numbers[3:]
    assert page.index(f">Order {numbers[-1]}<") < page.index(f">Order {numbers[3]}<")
    assert "57.50\N{NO-BREAK SPACE}EUR" in page and "Payment in progress" in page
    older = f"/shop/orders/?before={numbers[3]}"
    assert f'href="{older}"' in page
    page = (await shop.get(older)).text
    assert [n for n in numbers if f">Order {n}<" in page] == numbers[:3]
    assert "Older orders" not in page and "Newest orders" in page


@pytest.mark.parametrize("query", ["before=x", "before=0", "later=1", "before=null"])
async def test_a_wrong_query_is_refused_with_a_page(shop: Visitor, query: str) -> None:
    answer = await shop.get(f"/shop/orders/?{query}")
    assert answer.status_code == 400
    assert "<h1>" in answer.text


async def test_an_order_shows_its_lines_and_what_happened(shop: Visitor) -> None:
    flavor = await new_flavor(name="Hazelnut & cream", price=125)
    placed = await place(shop.user.id, {flavor: 3})
    page = (await shop.get(page_of(placed.order))).text
    assert "Hazelnut &amp; cream" in page and "data-changing" in page
    assert "<td>3</td>" in page and "<td>3.75</td>" in page
    await carry_out(placed.order)
    page = (await shop.get(page_of(placed.order))).text
    assert 'data-status="paid"' in page and "data-changing" not in page
    assert "Placed" in page and "Paid 3.75\N{NO-BREAK SPACE}EUR" in page


async def test_a_refund_names_its_quantities_and_its_reason(shop: Visitor, staff: Caller) -> None:
    flavor = await new_flavor(name="Melting", price=260)
    order = (await place(shop.user.id, {flavor: 4})).order
    await carry_out(order)
    goods = RefundedGoods("melted", [(flavor, 2)])
    why = {"reason": "soft", "internal_note": "the usual van"}
    work = partial(actions.refund_order, order, None, by=staff.user.id, goods=goods, **why)
    await database.transaction(work)
    page = (await shop.get(page_of(order))).text.replace("\xa0", " ")
    assert "Refund requested 5.20 EUR, by staff, 2 of Melting: soft" in page
    assert "usual van" not in page


async def test_the_order_of_another_shop_looks_like_a_missing_one(
    shop: Visitor, client: httpx.AsyncClient, hashed: str, flavor: int
) -> None:
    order = (await place(shop.user.id, {flavor: 1})).order
    for flags in ({}, {"admin": True}):
        other = await sign_in(client, await new_user(hashed, **flags))
        for path in (page_of(order), f"{SHOP}?again={order}"):
            answer, missing = await other.get(path), await other.get(path.replace(str(order), "9"))
            assert answer.status_code == missing.status_code == 404
            assert answer.text == missing.text
        csrf = fields_of((await other.get(SHOP)).text, "/sign-out/")["csrf"]
        for action in ("pay", "cancel"):
            answer = await other.post(f"{page_of(order)}{action}/", {"csrf": csrf})
            assert answer.status_code == 404
    assert await status_of(order) == "pending"


async def test_a_failed_order_is_paid_again_once_for_each_form(shop: Visitor, flavor: int) -> None:
    order = (await place(shop.user.id, {flavor: 2})).order
    await carry_out(order, Declined("no", "card-expired"))
    page = (await shop.get(page_of(order))).text
    assert "The card has expired." in page
    action = f"{page_of(order)}pay/"
    answer = await shop.fill(page, action)
    assert (answer.status_code, answer.headers["location"]) == (303, page_of(order))
    assert (await status_of(order), await count_charges(order)) == ("pending", 2)
    await carry_out(order, Declined("no"))
    # The browser sends the old form again, because its answer was lost.
    assert (await shop.fill(page, action)).status_code == 303
    assert (await status_of(order), await count_charges(order)) == ("failed", 2)
    await shop.fill((await shop.get(page_of(order))).text, action)
    await carry_out(order)
    assert (await status_of(order), await count_charges(order)) == ("paid", 3)


async def test_what_prevents_a_payment_is_said_with_the_names_of_flavors(shop: Visitor) -> None:
    flavor = await new_flavor(name="Walnut", stock=5)
    order = (await place(shop.user.id, {flavor: 5})).order
    await carry_out(order, Declined("no"))
    page, action = (await shop.get(page_of(order))).text, f"{page_of(order)}pay/"
    await place(shop.user.id, {flavor: 3})
    answer = await shop.fill(page, action)
    assert answer.status_code == 409
    assert "There is not enough stock left, only 2 of Walnut." in answer.text
    await Flavor.update({Flavor.archived: True}).where(Flavor.id == flavor)
    answer = await shop.fill(page, action)
    assert (answer.status_code, "no longer sold" in answer.text) == (409, True)
    assert await status_of(order) == "failed"


async def test_an_order_is_canceled_while_that_is_allowed(shop: Visitor) -> None:
    flavor = await new_flavor(stock=5)
    order = (await place(shop.user.id, {flavor: 5})).order
    page, action = (await shop.get(page_of(order))).text, f"{page_of(order)}cancel/"
    assert (await shop.fill(page, action)).status_code == 303
    assert await status_of(order) == "canceled"
    page = (await shop.get(page_of(order))).text
    assert "Canceled" in page and action not in page
    row = await Flavor.objects().get(Flavor.id == flavor)
    assert row is not None and row.stock == 5
    failed = (await place(shop.user.id, {flavor: 1})).order
    page, action = (await shop.get(page_of(failed))).text, f"{page_of(failed)}cancel/"
    await carry_out(failed, Declined("no"))
    answer = await shop.fill(page, action)
    assert (answer.status_code, "A failed order cannot be canceled." in answer.text) == (409, True)


@pytest.mark.parametrize("action", ["pay", "cancel"])
async def test_a_change_needs_the_token_of_the_session(
    shop: Visitor, flavor: int, action: str
) -> None:
    order = (await place(shop.user.id, {flavor: 1})).order
    answer = await shop.post(f"{page_of(order)}{action}/", {"csrf": "x"})
    assert answer.status_code == 403
    assert await status_of(order) == "pending"


async def test_the_same_again_fills_the_form_and_says_what_is_missing(shop: Visitor) -> None:
    plenty, short = await new_flavor(), await new_flavor(stock=4)
    gone = await new_flavor(name="Last year's <flavor>")
    order = (await place(shop.user.id, {plenty: 2, short: 4, gone: 1})).order
    await Flavor.update({Flavor.archived: True}).where(Flavor.id == gone)
    link = f"{SHOP}?again={order}"
    assert link in (await shop.get(page_of(order))).text
    page = (await shop.get(link)).text
    fields = fields_of(page, SHOP)
    assert (fields[f"quantity-{plenty}"], fields[f"quantity-{short}"]) == ("2", "4")
    assert fields["reference"] == fields["delivery_date"] == ""
    assert "Last year's <flavor> is not on sale any more." in html.unescape(page)
    assert f'id="problem-quantity-{short}">Sold out.' in page
    fields = fields | {"action": "check", f"quantity-{short}": ""}
    checked = await shop.post(SHOP, fields)
    answer = await shop.fill(checked.text, SHOP, action="place")
    assert answer.status_code == 303
    assert answer.headers["location"] != page_of(order)
