"""Test a morning of staff, and a shop's order on a phone, on a season of the demo, in a browser.

The sums on the pages are compared with those of the database.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from icecream.pages import formatting
from tests.browser import (  # noqa: F401  # fixtures
    Watch,
    a_browser,
    a_context,
    a_page,
    a_watch,
    sign_in,
)
from tests.conftest import ADMIN_PASSWORD
from tests.processes import Shop, until

# The pages do not depend on the database, and a browser is slow.
pytestmark = [pytest.mark.anyio, pytest.mark.needs("chromium"), pytest.mark.only("sqlite")]
SHOP, PASSWORD = "Gelato Corner", "battery staple"
REFUNDED = "p.kind = 'refund' AND p.state = 'succeeded'"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    database, settings = "sqlite:///icecream.sqlite", {"ICECREAM_PAYMENT_FAILURE_RATE": "0"}
    with Shop(tmp_path_factory.mktemp("season"), database, **settings) as shop:
        shop.run("migrate").check_returncode()
        shop.run("demo", "--orders", "600", "--days", "30").check_returncode()
        shop.run("user", "create", SHOP, "--password", PASSWORD).check_returncode()
        shop.serve()
        yield shop
        shop.run("doctor").check_returncode()


def read(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, read beside the service."""
    with closing(sqlite3.connect(shop.folder / "icecream.sqlite")) as connection:
        return connection.execute(query).fetchall()


def read_sums(shop: Shop, condition: str) -> list[str]:
    """Return the number of orders and the sum of their totals, as a page shows them."""
    ((number, total),) = read(
        shop, f"SELECT count(*), COALESCE(sum(total), 0) FROM orders WHERE {condition}"
    )
    return [formatting.number(number), formatting.money(total, "EUR")]


async def test_a_morning_of_staff(page: Page, shop: Shop) -> None:
    today = datetime.now(UTC).date()
    tomorrow = today + timedelta(1)
    await page.set_viewport_size({"width": 1440, "height": 900})
    await page.goto("/dashboard/?period=30d")
    await sign_in(page, ADMIN_PASSWORD)
    month = f"created_at >= '{today - timedelta(29)}'"
    ((orders,),) = read(shop, f"SELECT count(*) FROM orders WHERE {month}")
    await expect(page.locator(".figure .value").first).to_have_text(formatting.number(orders))

    # What came in since yesterday.
    yesterday = today - timedelta(1)
    await page.goto(f"/staff/orders/?placed_from={yesterday}")
    came_in = read_sums(shop, f"created_at >= '{yesterday}'")
    await expect(page.locator(".sums strong")).to_have_text(came_in)

    # What leaves the store tomorrow, on the screen and on paper.
    await page.goto(f"/staff/packing/?date={tomorrow}")
    packable = f"delivery_date = '{tomorrow}' AND status = 'paid' AND fulfilment = 'unfulfilled'"
    quantities = read(
        shop,
        "SELECT f.name, sum(l.quantity), count(*) FROM orders o JOIN order_line l"
        f' ON l."order" = o.id JOIN flavor f ON f.id = l.flavor WHERE {packable}'
        " GROUP BY f.name ORDER BY f.name",
    )
    assert quantities
    cells = page.get_by_role("table").locator("tbody th, tbody td")
    texts = await cells.all_inner_texts()
    shown = [texts[n : n + 6] for n in range(0, len(texts), 6)]
    assert [(one[0], one[3], one[4], one[5]) for one in shown] == [
        (name, formatting.number(quantity), "0", str(number))
        for name, quantity, number in quantities
    ]
    await page.emulate_media(media="print")
    await expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    assert (await page.pdf()).startswith(b"%PDF")
    await page.emulate_media(media="screen")

    # Pack them, and deliver them.
    (number, _) = read_sums(shop, packable)
    await page.get_by_role("button", name="Mark these packed").click()
    await page.get_by_role("button", name="Mark packed", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text(f"{number} orders marked packed.")
    packed = f"delivery_date = '{tomorrow}' AND fulfilment = 'packed'"
    assert read_sums(shop, packed)[0] == number
    await page.goto(f"/staff/orders/?delivery_date={tomorrow}&fulfilment=packed")
    for box in await page.get_by_label("Select order").all():
        await box.check()
    await page.get_by_role("button", name="Mark delivered").click()
    await page.get_by_role("button", name="Mark delivered").click()
    await expect(page.get_by_role("status")).to_have_text(f"{number} orders marked delivered.")
    assert read_sums(shop, packed)[0] == "0"

    # One line of a delivered order has melted.
    ((order, flavor, price),) = read(
        shop,
        "SELECT o.id, f.name, l.unit_price FROM orders o JOIN order_line l"
        f' ON l."order" = o.id JOIN flavor f ON f.id = l.flavor WHERE o.delivery_date ='
        f" '{tomorrow}' AND fulfilment = 'delivered' AND l.quantity > 1 LIMIT 1",
    )
    await page.goto(f"/staff/orders/{order}/")
    await page.get_by_role("link", name="Refund lines").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label(flavor).fill("1")
    await dialog.get_by_label("Reason").select_option("melted")
    await dialog.get_by_label("What happened").fill("soft at the door")
    await dialog.get_by_role("button", name="Show the amount").click()
    amount = formatting.money(price, "EUR")
    await page.get_by_role("button", name=f"Refund {amount}").click()
    await expect(page.get_by_role("status")).to_contain_text(f"Refund of {amount} started")
    refund = f'SELECT count(*) FROM payment p WHERE {REFUNDED} AND p."order" = {order}'
    until(lambda: read(shop, refund) == [(1,)], "the refund ends")

    # The dashboard has the refund.
    ((refunds, returned),) = read(
        shop,
        f'SELECT count(*), sum(amount) FROM payment p JOIN orders o ON o.id = p."order"'
        f" WHERE {REFUNDED} AND {month}",
    )
    await page.goto("/dashboard/?period=30d")
    payments = page.get_by_role("table", name="Payments of the orders of these days")
    row = payments.get_by_role("row", name="refund succeeded").locator("td")
    await expect(row).to_have_text([formatting.number(refunds), formatting.money(returned, "EUR")])


async def test_an_order_of_a_shop_on_a_phone(page: Page, shop: Shop) -> None:
    await page.emulate_media(color_scheme="dark")
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto("/shop/")
    await page.get_by_label("Name").fill(SHOP)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("Chocolate").fill("3")
    await page.get_by_label("Lemon sorbet").fill("2")
    await page.get_by_label("Your order number").fill("PO-17")
    tomorrow = datetime.now(UTC).date() + timedelta(1)
    await page.get_by_label("Delivery date").fill(str(tomorrow))
    total = formatting.money(3 * 260 + 2 * 220, "EUR")
    await expect(page.locator("#total")).to_have_text(total)
    await page.get_by_role("button", name="Check the order").click()
    await page.get_by_role("button", name="Place the order").click()
    await expect(page.get_by_role("status")).to_contain_text("Paid")
    mine = "reference = 'PO-17' AND \"user\" = (SELECT id FROM users WHERE username ="
    ((stored, day, status),) = read(
        shop, f"SELECT total, delivery_date, status FROM orders WHERE {mine} '{SHOP}')"
    )
    assert (formatting.money(stored, "EUR"), day, status) == (total, str(tomorrow), "paid")
    await page.goto("/shop/orders/")
    await expect(page.get_by_role("main")).to_contain_text(total)
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
