"""Test the page with the packing list: its days, CSV, and marking its orders packed."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from icecream import settings
from icecream.pages import formatting
from icecream.tables import Event, Order, User
from tests.conftest import carry_out, new_flavor, new_user, place
from tests.staff.browsing import Browser, browse, hidden, messages

pytestmark = pytest.mark.anyio
PAGE = "/staff/packing/"


@pytest.fixture
async def browser(client: httpx.AsyncClient, hashed: str) -> Browser:
    return await browse(client, await new_user(hashed, admin=True))


async def new_order(shop: User, flavor: int, day: date, quantity: int = 1, **values: str) -> int:
    """Place and pay an order for a delivery date."""
    order = (await place(shop.id, {flavor: quantity})).order
    await carry_out(order)
    await Order.update(delivery_date=day, **values).where(Order.id == order)
    return order


async def test_the_list_of_a_day_by_flavor_and_by_customer(browser: Browser, hashed: str) -> None:
    shop, flavor, day = await new_user(hashed), await new_flavor(), date(2031, 5, 2)
    first = await new_order(shop, flavor, day, 2, reference="PO-7", note="At the back <door>.")
    await new_order(shop, flavor, day, 3)
    text = (await browser.get(f"{PAGE}?date={day}")).text
    assert (
        "2 May 2031: 2 orders".replace(" May ", "\N{NO-BREAK SPACE}May\N{NO-BREAK SPACE}") in text
    )
    assert "<strong>5</strong>" in text and shop.username in text
    assert f"Order {first}</a>, reference PO-7" in text
    assert "At the back &lt;door&gt;." in text
    assert shop.username not in (await browser.get(f"{PAGE}?date={day + timedelta(1)}")).text


async def test_the_page_begins_with_today_in_the_time_zone(browser: Browser) -> None:
    today = datetime.now(settings.load().zone).date()
    text = (await browser.get(PAGE)).text
    assert f'value="{today}"' in text and f'href="?date={today}" aria-current="page"' in text


async def test_orders_without_a_date_have_their_own_list(browser: Browser, hashed: str) -> None:
    shop = await new_user(hashed)
    order = (await place(shop.id, {await new_flavor(): 1})).order
    await carry_out(order)
    assert f"Order {order}</a>" in (await browser.get(f"{PAGE}?date=none")).text


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Etc/GMT-14"])
async def test_the_list_without_a_date_begins_with_a_day_in_the_time_zone(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    zoned = msgspec.structs.replace(settings.load(), time_zone=zone)
    monkeypatch.setattr(settings, "load", lambda: zoned)
    first = datetime.now(ZoneInfo(zone)).date() - timedelta(days=31)
    text = (await browser.get(f"{PAGE}?date=none")).text
    assert f"Orders placed since {formatting.day(first)}." in text


@pytest.mark.parametrize("day", ["x", "2026-02-30", "2026-1-1"])
async def test_a_wrong_day_is_refused(browser: Browser, day: str) -> None:
    answer = await browser.get(f"{PAGE}?date={day}")
    assert answer.status_code == 400 and "date must be a day" in answer.text


async def test_the_orders_of_the_page_are_marked_packed_once(browser: Browser, hashed: str) -> None:
    shop, flavor, day = await new_user(hashed), await new_flavor(), date(2031, 5, 3)
    shown = [await new_order(shop, flavor, day) for _ in range(2)]
    page = await browser.get(f"{PAGE}?date={day}")
    later = await new_order(shop, flavor, day)
    form = {name: hidden(page, name) for name in ("key", "date", "orders")}
    for _ in range(2):
        answer = await browser.send(f"{PAGE}packed/", **form)
        assert answer.status_code == 303
        page = await browser.get(answer.headers["location"])
        assert messages(page) == ["2 orders marked packed."]
    rows = await Order.select(Order.id, Order.fulfilment).where(Order.user == shop.id)
    packed = {row["id"] for row in rows if row["fulfilment"] == "packed"}
    assert packed == set(shown)
    assert hidden(page, "orders") == str(later)
    by = await Event.select(Event.by).where(Event.order == shown[0], Event.type == "packed")
    assert [row["by"] for row in by] == [browser.user.id]


async def test_an_order_that_cannot_be_packed_is_named(browser: Browser, hashed: str) -> None:
    pending = (await place((await new_user(hashed)).id, {await new_flavor(): 1})).order
    answer = await browser.send(f"{PAGE}packed/", key="a-key", orders=str(pending))
    page = await browser.get(answer.headers["location"])
    (message,) = messages(page)
    assert (
        message.startswith("0 orders marked packed.") and f"Order {pending} is pending" in message
    )


@pytest.mark.parametrize("orders", ["", "x", "1,,2", ",".join(["1"] * 501)])
async def test_wrong_orders_are_refused(browser: Browser, orders: str) -> None:
    answer = await browser.send(f"{PAGE}packed/", key="a-key", orders=orders)
    assert answer.status_code == 400


async def test_the_list_is_downloaded_as_csv(browser: Browser, hashed: str) -> None:
    shop, day = await new_user(hashed), date(2031, 5, 4)
    order = await new_order(shop, await new_flavor(), day, 4)
    answer = await browser.get(f"{PAGE}list.csv?date={day}")
    assert 'filename="packing-list-2031-05-04.csv"' in answer.headers["content-disposition"]
    header, row = answer.text.splitlines()
    assert header.startswith("user,customer,order,")
    assert row.startswith(f"{shop.id},{shop.username},{order},") and row.endswith(",4")
