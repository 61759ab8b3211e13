"""Test the pages for staff in a real browser: a morning's work, at desktop and phone size."""

import pytest
from playwright.async_api import Page, expect

from tests.browser import (  # noqa: F401  # fixtures
    Watch,
    a_browser,
    a_context,
    a_page,
    a_shop,
    a_watch,
    found_by_axe,
    use_session,
)
from tests.processes import Shop

# The page does not depend on the database, and a browser is slow.
pytestmark = [pytest.mark.anyio, pytest.mark.needs("chromium"), pytest.mark.only("sqlite")]
LIST = "/staff/orders/"
SIZES = ((1440, "light"), (390, "dark"))


async def check(page: Page, shop: Shop, path: str) -> None:
    """Open a page at each size: it has no accessibility problem, and is not wider than it."""
    await use_session(page, shop)
    for width, scheme in SIZES:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": 740})
        await page.goto(path)
        assert await found_by_axe(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.needs("npm")
async def test_orders_are_searched_filtered_and_packed_on_a_phone(page: Page, shop: Shop) -> None:
    numbers = [shop.order(), shop.order()]
    shop.all_ended()
    await check(page, shop, LIST)
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.type(str(numbers[0]))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name=str(numbers[0]), exact=True)).to_be_visible()
    await page.goto(LIST)
    await page.get_by_label("unfulfilled").check()
    await page.wait_for_url("**/?*fulfilment=unfulfilled*")
    await page.get_by_label(f"Select order {numbers[0]}").check()
    await page.get_by_role("button", name="Mark packed").click()
    await expect(page.get_by_role("heading", name="1 order will become packed")).to_be_visible()
    assert await found_by_axe(page) == []
    await page.get_by_role("button", name="Mark packed").click()
    await expect(page.get_by_role("status")).to_have_text("1 order marked packed.")
    await expect(page.get_by_label(f"Select order {numbers[0]}")).to_have_count(0)
    await expect(page.get_by_label(f"Select order {numbers[1]}")).to_be_visible()


@pytest.mark.needs("npm")
async def test_a_step_is_asked_in_a_dialog_and_refused_in_it(
    page: Page, watch: Watch, shop: Shop
) -> None:
    number = shop.order(4)
    shop.all_ended()
    await check(page, shop, f"{LIST}{number}/")
    refund = page.get_by_role("link", name="Refund an amount", exact=True)
    await refund.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"order {number} of admin")
    assert await found_by_axe(page) == []
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await refund.click()
    await dialog.get_by_label("Amount").fill("99.99")
    await dialog.get_by_label("Reason").fill("melted")
    await dialog.get_by_role("button", name="Refund an amount").click()
    await expect(dialog.get_by_role("alert")).to_have_text("Only 10.00 EUR is left.")
    await dialog.get_by_label("Amount").fill("2.50")
    await dialog.get_by_role("button", name="Refund an amount").click()
    await expect(page.get_by_role("status")).to_contain_text("Refund of 2.50 EUR started")
    assert all("409" in line for line in watch.lines), watch.lines
    watch.lines.clear()
