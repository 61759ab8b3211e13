"""Test the pages of staff in a real browser: accessible, and whole on a phone."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser import (  # noqa: F401  # fixtures
    a_browser,
    a_context,
    a_page,
    a_shop,
    a_watch,
    found_by_axe,
    use_session,
)
from tests.processes import Shop

# The pages do not depend on the database, and a browser is slow.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.needs("chromium"),
    pytest.mark.needs("npm"),
    pytest.mark.only("sqlite"),
]
PAGES = (
    "/staff/flavors/",
    "/staff/flavors/new/",
    "/staff/flavors/1/",
    "/staff/customers/",
    "/staff/customers/new/",
    "/staff/customers/1/",
    "/staff/packing/?date=none",
    "/staff/orders/1/?do=refund-lines",
)


@pytest.fixture(scope="module", autouse=True)
def one_order(shop: Shop) -> None:
    shop.order()
    shop.all_ended()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1280, "light"), (390, "dark")])
async def test_the_pages_are_accessible_and_whole(
    page: Page, shop: Shop, width: int, scheme: Any
) -> None:
    await use_session(page, shop)
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 844})
    for path in PAGES:
        await page.goto(path)
        assert await found_by_axe(page) == [], path
        assert await page.evaluate("document.documentElement.scrollWidth") == width, path
        if width > 1000:
            # The pages, the search and "Sign out" are in one line.
            header = await page.locator("header").bounding_box()
            assert header and header["height"] < 80, path


async def test_the_list_is_packed_with_the_keyboard_after_one_question(
    page: Page, shop: Shop
) -> None:
    await use_session(page, shop)
    await page.goto("/staff/packing/?date=none")
    await page.get_by_role("button", name="Mark these packed").press("Enter")
    question = page.get_by_role("dialog", name="Mark 1 order packed?")
    await expect(question).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(question).to_be_hidden()
    await page.get_by_role("button", name="Mark these packed").press("Enter")
    await expect(question.get_by_role("button", name="Mark packed")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("1 order marked packed.")
    await expect(page.get_by_role("button", name="Mark these packed")).to_have_count(0)
    await page.emulate_media(media="print")
    await expect(page.get_by_role("heading", name="Packing list")).to_be_visible()
    await expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
