"""Test a shop's order in a real browser, on a phone."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser import (  # noqa: F401  # fixtures
    Watch,
    a_browser,
    a_context,
    a_page,
    a_watch,
    found_by_axe,
)
from tests.conftest import ADMIN_PASSWORD
from tests.processes import Shop

# The page does not depend on the database, and a browser is slow.
pytestmark = [pytest.mark.anyio, pytest.mark.needs("chromium"), pytest.mark.only("sqlite")]
PASSWORD = "battery staple"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    database, settings = "sqlite:///icecream.sqlite", {"ICECREAM_PAYMENT_FAILURE_RATE": "0"}
    with Shop(tmp_path_factory.mktemp("shop"), database, **settings) as shop:
        shop.serve()
        yield shop


@pytest.mark.needs("npm")
async def test_a_shop_sets_its_password_and_orders_on_a_phone(
    page: Page, watch: Watch, shop: Shop
) -> None:
    shop.run("user", "create", "corner-shop", "--password", ADMIN_PASSWORD)
    address = shop.run("user", "link", "corner-shop").stdout.split()[0]
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto(address[address.index("/set-password/") :])
    assert await page.evaluate("location.href") == f"http://127.0.0.1:{shop.port}/set-password/"
    await expect(page.get_by_label("The part of your link after #")).to_be_hidden()
    assert await found_by_axe(page) == []
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_text("You can sign in as corner-shop now.")).to_be_visible()
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_label("Name").fill("corner-shop")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()

    await page.get_by_label("Vanilla").fill("3")
    await expect(page.locator("#total")).to_have_text("7.50\N{NO-BREAK SPACE}EUR")
    await page.get_by_label("Your order number").fill("PO-17")
    assert await found_by_axe(page) == []
    await page.get_by_role("button", name="Check the order").click()
    await expect(page.get_by_role("heading", name="Check your order")).to_be_visible()
    assert await found_by_axe(page) == []
    await page.get_by_role("button", name="Place the order").click()
    await expect(page.get_by_role("status")).to_contain_text("Paid")
    assert await found_by_axe(page) == []

    for path in ("/shop/orders/", "/shop/account/", "/shop/?again=1"):
        await page.goto(path)
        assert await found_by_axe(page) == []
        # Nothing is cut off at the side of a phone.
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
    await expect(page.get_by_label("Vanilla")).to_have_value("3")
    await expect(page.locator("#total")).to_have_text("7.50\N{NO-BREAK SPACE}EUR")
    assert watch.lines == []
