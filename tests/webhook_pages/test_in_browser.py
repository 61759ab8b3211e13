"""Test the pages for webhooks in a real browser: accessible, whole on a phone, without a script."""

import re
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
from tests.processes import Shop, until

# The pages do not depend on the database, and a browser is slow.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.needs("chromium"),
    pytest.mark.needs("npm"),
    pytest.mark.only("sqlite"),
]
URL = "https://127.0.0.1.nowhere.example/a-long-path-without-a-break-for-the-phone/of-a-receiver"


@pytest.fixture(scope="module", autouse=True)
def one_endpoint(shop: Shop) -> int:
    """An endpoint with a message that was sent without success."""
    endpoint: int = shop.http.post("/api/webhooks/", json={"url": URL}).json()["id"]
    shop.http.post(f"/api/webhooks/{endpoint}/test/").raise_for_status()
    shop.order()
    log = f"/api/webhooks/{endpoint}/deliveries/"
    until(lambda: any(one["tries"] for one in shop.http.get(log).json()), "a message was sent")
    return endpoint


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1280, "dark"), (390, "dark")])
@pytest.mark.parametrize("role", ["staff", "shop"])
async def test_the_pages_are_accessible_and_whole(
    page: Page, shop: Shop, one_endpoint: int, role: str, width: int, scheme: Any
) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 844})
    await use_session(page, shop)
    if role == "shop":
        shop.run("user", "create", "kiosk", "--password", "vanilla-sky-43")
        await page.context.clear_cookies()
        await page.goto("/sign-in/?next=/webhooks/")
        await page.get_by_label("Name").fill("kiosk")
        await page.get_by_label("Password").fill("vanilla-sky-43")
        await page.get_by_role("button", name="Sign in").click()
    await page.goto("/webhooks/")
    await page.get_by_text("Only some events").click()
    await expect(page.get_by_label("order.paid", exact=True)).to_be_visible()
    assert await found_by_axe(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    await page.get_by_label("URL", exact=True).fill(URL)
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("textbox", name="The secret")).to_have_value(
        re.compile("^whsec_")
    )
    if role == "staff":
        assert await found_by_axe(page) == []
        await page.goto(f"/webhooks/{one_endpoint}/")
        await page.locator("summary").first.click()
    assert await found_by_axe(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width


async def test_an_endpoint_is_tested_and_deleted_with_the_keyboard(page: Page, shop: Shop) -> None:
    await use_session(page, shop)
    await page.goto("/webhooks/")
    await page.get_by_label("URL", exact=True).fill(URL)
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Send a test message").press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("A test message is on its way.")
    await expect(page.get_by_role("rowheader", name="webhook.test")).to_be_visible()
    await page.get_by_role("button", name="Delete").press("Enter")
    question = page.get_by_role("dialog", name="Delete this endpoint?")
    await expect(question.get_by_role("button", name="Delete")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("is deleted.")
