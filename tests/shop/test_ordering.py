"""Test the order form of a shop, the check of an order, and placing it once."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from icecream import database, settings
from icecream.pages import assets
from icecream.shop.http import order_form
from icecream.tables import Flavor, IdempotencyKey, Order, OrderLine, User
from tests.conftest import new_flavor, new_user, place
from tests.shop.visitors import Visitor, fields_of, sign_in

pytestmark = pytest.mark.anyio
SHOP = "/shop/"
FIRST_LOAD_BYTES = 60_000
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date()


async def orders_of(shop: Visitor) -> list[Order]:
    return await Order.objects().where(Order.user == shop.user.id).order_by(Order.id)


async def check(shop: Visitor, **typed: Any) -> httpx.Response:
    """Fill in the form of a new page, and press "Check the order"."""
    page = (await shop.get(SHOP)).text
    return await shop.fill(page, SHOP, action="check", **typed)


async def place_order(shop: Visitor, checked: httpx.Response) -> httpx.Response:
    return await shop.fill(checked.text, SHOP, action="place")


def problem(page: str, field: str) -> str:
    found = re.search(rf'id="problem-{field}">([^<]*)', page)
    return found[1] if found else ""


def typed(flavor: int, quantity: Any) -> dict[str, Any]:
    return {f"quantity__{flavor}": quantity}


async def test_the_catalogue_shows_what_a_shop_has_to_know(shop: Visitor) -> None:
    await new_flavor(
        name="Pistachio <b>",
        price=123450,
        stock=7,
        unit="case",
        pack_size=6,
        net_content_ml=2500,
        allergens='["milk", "nuts"]',
        min_quantity=12,
        quantity_multiple=6,
    )
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    await new_flavor(name="Out of season", on_sale_to=yesterday)
    await new_flavor(name="Not sold", archived=True)
    page = (await shop.get(SHOP)).text
    card = page[page.index("Pistachio &lt;b&gt;") :].split("</li>")[0]
    text = " ".join(re.sub(r"<[^>]+>", " ", card).split())
    assert "1,234.50 EUR per case of 6 pieces, 2.5 l 7 left." in text
    assert "Order at least 12, in multiples of 6." in text
    assert "Allergens: milk, nuts" in text
    assert "Out of season" not in page and "Not sold" not in page


async def test_an_order_is_checked_and_placed_with_all_that_was_typed(shop: Visitor) -> None:
    first, second = await new_flavor(price=250), await new_flavor(price=199, stock=5)
    checked = await check(
        shop,
        **typed(first, 2),
        **typed(second, 5),
        delivery_date=TOMORROW,
        reference=" PO-17 ",
        note='Ring "twice"\r\nat the back',
    )
    assert checked.status_code == 200
    assert "14.95\N{NO-BREAK SPACE}EUR" in checked.text
    assert await orders_of(shop) == []
    answer = await place_order(shop, checked)
    (order,) = await orders_of(shop)
    assert answer.headers["location"] == f"/shop/orders/{order.id}/"
    assert (order.total, order.reference, order.delivery_date) == (1495, "PO-17", TOMORROW)
    assert order.note == 'Ring "twice"\nat the back'
    lines = await OrderLine.select().where(OrderLine.order == order.id)
    assert {line["flavor"]: line["quantity"] for line in lines} == {first: 2, second: 5}
    row = await Flavor.objects().get(Flavor.id == second)
    assert row is not None and row.stock == 0


async def test_a_double_click_and_a_reload_order_once(shop: Visitor) -> None:
    # The last of the stock: the rules would refuse the second order.
    flavor = await new_flavor(stock=3)
    checked = await check(shop, **typed(flavor, 3))
    answers = await asyncio.gather(*(place_order(shop, checked) for _ in range(3)))
    answers.append(await place_order(shop, checked))
    (order,) = await orders_of(shop)
    assert {(one.status_code, one.headers["location"]) for one in answers} == {
        (303, f"/shop/orders/{order.id}/")
    }


async def test_a_page_that_was_left_and_changed_does_not_order_unnoticed(shop: Visitor) -> None:
    flavor = await new_flavor()
    checked = await check(shop, **typed(flavor, 1))
    await place_order(shop, checked)
    # The browser's way back leads to the form with the used key.
    again = await shop.fill(checked.text, SHOP, action="check", **typed(flavor, 9))
    answer = await place_order(shop, again)
    assert answer.status_code == 409
    assert "An order was placed with this form before" in answer.text
    assert len(await orders_of(shop)) == 1
    fields = fields_of(answer.text, SHOP)
    assert fields[f"quantity-{flavor}"] == "9"
    assert fields["key"] != fields_of(checked.text, SHOP)["key"]


async def test_a_changed_price_is_shown_before_it_is_paid(shop: Visitor) -> None:
    flavor = await new_flavor(price=250)
    checked = await check(shop, **typed(flavor, 2))
    await Flavor.update({Flavor.price: 300}).where(Flavor.id == flavor)
    answer = await place_order(shop, checked)
    assert "Prices have changed" in answer.text
    assert "6.00\N{NO-BREAK SPACE}EUR" in answer.text
    assert await orders_of(shop) == []
    assert (await place_order(shop, answer)).status_code == 303
    (order,) = await orders_of(shop)
    assert order.total == 600


async def test_an_order_is_never_placed_without_its_check(shop: Visitor) -> None:
    flavor = await new_flavor()
    page = (await shop.get(SHOP)).text
    answer = await shop.fill(page, SHOP, action="place", **typed(flavor, 2))
    assert "Check your order" in answer.text and "Prices have changed" not in answer.text
    assert await orders_of(shop) == []


async def test_all_refusals_are_at_their_fields_and_keep_what_was_typed(shop: Visitor) -> None:
    short, gone = await new_flavor(stock=2), await new_flavor(stock=0)
    cases = await new_flavor(min_quantity=12, quantity_multiple=6)
    values = typed(short, 3) | typed(gone, 1) | typed(cases, 13) | {"reference": "PO <1>"}
    answer = await check(shop, **values)
    assert answer.status_code == 400
    assert problem(answer.text, f"quantity-{short}") == "Only 2 left."
    assert problem(answer.text, f"quantity-{gone}") == "Sold out."
    expected = "Order at least 12, in multiples of 6."
    assert problem(answer.text, f"quantity-{cases}") == expected
    kept = fields_of(answer.text, SHOP)
    assert {name: kept[name.replace("__", "-")] for name in values} == {
        name: str(value) for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("quantity", "two", "Type a whole number, such as 6."),
        ("quantity", "-1", "Type a whole number, such as 6."),
        ("quantity", "1.5", "Type a whole number, such as 6."),
        ("quantity", "\N{ARABIC-INDIC DIGIT TWO}", "Type a whole number, such as 6."),
        ("quantity", "1" * 30, "At most 100000."),
        ("delivery_date", "2020-01-01", "The delivery date must be a day from "),
        ("delivery_date", "soon", "The delivery date must be a day, such as 2025-05-13."),
        ("delivery_date", "null", "The delivery date must be a day, such as 2025-05-13."),
        ("reference", "x" * 101, "Your order number must be text of 1 to 100 characters"),
        ("note", "x" * 501, "The note must be text of 1 to 500 characters"),
        ("note", "a\x00b", "The note must be text of 1 to 500 characters"),
    ],
)
async def test_what_cannot_be_read_is_said_at_its_field(
    shop: Visitor, flavor: int, field: str, value: str, message: str
) -> None:
    name = f"quantity-{flavor}" if field == "quantity" else field
    answer = await check(shop, **({f"quantity__{flavor}": 1} | {name.replace("-", "__"): value}))
    assert answer.status_code == 400
    assert problem(answer.text, name).startswith(message)
    assert await orders_of(shop) == []


@pytest.mark.parametrize("quantity", ["", "0", " ", "00"])
async def test_an_order_of_nothing_is_refused(shop: Visitor, flavor: int, quantity: str) -> None:
    answer = await check(shop, **typed(flavor, quantity))
    assert answer.status_code == 400
    assert order_form.NOTHING_ORDERED in answer.text


async def test_an_order_has_a_limited_number_of_flavors(shop: Visitor) -> None:
    answer = await check(shop, **{f"quantity__{n}": 1 for n in range(1, 102)})
    assert answer.status_code == 400
    assert "An order can have at most 100 flavors." in answer.text


async def test_what_ends_between_the_check_and_the_order_is_refused(shop: Visitor) -> None:
    flavor, other = await new_flavor(stock=5), await new_flavor()
    checked = await check(shop, **typed(flavor, 5))
    await place(shop.user.id, {flavor: 3})
    answer = await place_order(shop, checked)
    assert (answer.status_code, problem(answer.text, f"quantity-{flavor}")) == (409, "Only 2 left.")
    checked = await check(shop, **typed(flavor, 1), **typed(other, 1))
    await Flavor.update({Flavor.archived: True}).where(Flavor.id == other)
    answer = await place_order(shop, checked)
    assert answer.status_code == 409
    assert "not on sale any more" in answer.text
    assert fields_of(answer.text, SHOP)[f"quantity-{flavor}"] == "1"
    assert len(await orders_of(shop)) == 1


async def test_an_account_without_a_payment_method_is_told_to_set_one(
    shop: Visitor, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings.Settings, "needs_payment_method", True)
    checked = await check(shop, **typed(flavor, 1))
    answer = await place_order(shop, checked)
    assert answer.status_code == 409
    assert order_form.METHOD_REQUIRED in answer.text
    await User.update({User.payment_method: "pm_card_visa"}).where(User.id == shop.user.id)
    assert (await place_order(shop, checked)).status_code == 303


async def test_an_order_that_may_have_failed_can_be_sent_again(
    shop: Visitor, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = await check(shop, **typed(flavor, 1))
    transport: Any = shop.client._transport
    application = transport.app
    while not hasattr(application, "state"):
        application = application.app
    placer = application.state.order_placer

    async def lose_the_answer(*args: Any) -> Any:
        await type(placer).place(placer, *args)
        raise database.CommitOutcomeUnknown

    monkeypatch.setattr(placer, "place", lose_the_answer)
    answer = await place_order(shop, checked)
    assert (answer.status_code, "Reload this page" in answer.text) == (503, True)
    monkeypatch.undo()
    assert (await place_order(shop, checked)).status_code == 303
    assert len(await orders_of(shop)) == 1


async def test_the_key_of_a_form_is_stored_for_its_shop(shop: Visitor, flavor: int) -> None:
    checked = await check(shop, **typed(flavor, 1))
    await place_order(shop, checked)
    key = fields_of(checked.text, SHOP)["key"]
    row = await IdempotencyKey.objects().get(IdempotencyKey.key == key)
    assert row is not None and row.user == shop.user.id


async def test_a_form_without_the_token_of_the_session_orders_nothing(
    shop: Visitor, flavor: int
) -> None:
    checked = await check(shop, **typed(flavor, 1))
    answer = await shop.fill(checked.text, SHOP, action="place", csrf="x")
    assert answer.status_code == 403
    assert await orders_of(shop) == []


async def test_staff_may_order_too_and_customers_land_in_their_shop(
    client: httpx.AsyncClient, hashed: str, flavor: int
) -> None:
    staff = await sign_in(client, await new_user(hashed, admin=True))
    assert (await place_order(staff, await check(staff, **typed(flavor, 1)))).status_code == 303
    user = await new_user(hashed)
    answer = await staff.client.post(
        "/sign-in/", data={"username": user.username, "password": "correct horse"}
    )
    assert answer.headers["location"] == "/shop/"
    away = await client.get("/shop/orders/?before=7", headers={"Cookie": "id=x"})
    assert away.headers["location"] == "/sign-in/?next=/shop/orders/%3Fbefore%3D7"


async def test_a_catalogue_of_thousands_of_flavors_can_be_ordered_from(shop: Visitor) -> None:
    many = [Flavor(name=f"one of many {shop.user.id} {n}", price=100) for n in range(1500)]
    await Flavor.insert(*many)
    flavor = await new_flavor()
    assert (await place_order(shop, await check(shop, **typed(flavor, 1)))).status_code == 303
    is_one = Flavor.name.like(f"one of many {shop.user.id} %")
    await Flavor.update({Flavor.archived: True}).where(is_one)


async def test_the_first_load_is_small_and_from_our_host(shop: Visitor) -> None:
    # Those of other tests, except the first flavor, which later tests order.
    await Flavor.update({Flavor.archived: True}).where(Flavor.id > 1)
    for n in range(30):
        await new_flavor(description=f"A long text about the flavor number {n}. " * 20)
    answer = await shop.client.get(
        SHOP, headers={"Cookie": f"id={shop.session}", "Accept-Encoding": "gzip"}
    )
    links = re.findall(r'(?:href|src)="([^"]+\.(?:css|js|svg))"', answer.text)
    assert len(set(links)) == 4
    headers = {"Accept-Encoding": "gzip"}
    sizes = [int(answer.headers.get("content-length", len(answer.content)))]
    for link in set(links):
        part = await shop.client.get(link, headers=headers)
        assert part.status_code == 200
        name = link.rpartition("/")[2]
        asset = assets.ASSET_BY_NAME.get(name)
        sizes.append(len(asset.compressed) if asset else len(part.content))
    assert sum(sizes) <= FIRST_LOAD_BYTES, sizes
    csp = answer.headers["content-security-policy"]
    assert "default-src 'none'" in csp and "unsafe" not in csp and "http" not in csp
