"""Test the dashboard in a real browser, at desktop and phone size."""

import asyncio
import sqlite3
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.browser import (  # noqa: F401  # fixtures
    Watch,
    a_browser,
    a_context,
    a_page,
    a_shop,
    a_watch,
    found_by_axe,
    sign_in,
    use_session,
)
from tests.conftest import ADMIN_PASSWORD
from tests.processes import Shop

# The page does not depend on the database, and a browser is slow.
pytestmark = [pytest.mark.anyio, pytest.mark.needs("chromium"), pytest.mark.only("sqlite")]
LIVE = "#live[data-state=live]"


async def opens(page: Page, shop: Shop, path: str = "/dashboard/") -> None:
    """Open a page with a signed-in session, and wait until it is live."""
    await use_session(page, shop)
    await page.goto(path)
    await page.wait_for_selector(LIVE)


async def at_rest(page: Page) -> None:
    """Wait until the page is live and no request is pending; leaving would cut a request off."""
    await page.wait_for_selector(LIVE)
    await page.wait_for_load_state("networkidle")


def asked(shop: Shop, sql: str) -> Any:
    """Query the database directly, not through the service."""
    with sqlite3.connect(shop.folder / "icecream.sqlite") as connection:
        return connection.execute(sql).fetchone()[0]


async def figure(page: Page, name: str) -> str:
    card = page.locator(".figure").filter(has=page.get_by_text(name, exact=False)).first
    return await card.locator(".value").inner_text()


@pytest.mark.needs("npm")
async def test_the_first_order_replaces_the_first_steps(page: Page, shop: Shop) -> None:
    await opens(page, shop)
    first = page.get_by_role("heading", name="No orders yet")
    await expect(first).to_be_visible()
    assert await found_by_axe(page) == []
    shop.order()
    await expect(first).to_be_hidden()
    await expect(page.get_by_role("row").filter(has_text="paid")).to_have_count(2)


async def test_signing_in_leads_back_to_the_requested_days(page: Page, shop: Shop) -> None:
    await page.goto("/dashboard/?period=7d")
    await sign_in(page, ADMIN_PASSWORD)
    await page.wait_for_selector(LIVE)
    assert page.url == f"http://127.0.0.1:{shop.port}/dashboard/?period=7d"
    current = page.locator(".picker [aria-current=page]")
    await expect(current).to_have_text("7 days")


async def test_the_admin_leads_to_the_pages_of_staff_and_back(page: Page, shop: Shop) -> None:
    await page.goto("/admin/")
    await sign_in(page, ADMIN_PASSWORD)
    await page.get_by_role("link", name="Receive Stock", exact=False).click()
    await page.get_by_role("link", name="Pending orders").click()
    await expect(page.get_by_role("heading", name="Orders")).to_be_visible()
    await page.get_by_role("link", name="Dashboard").click()
    await at_rest(page)
    await page.get_by_role("link", name="Database", exact=True).click()
    await expect(page.get_by_role("link", name="Receive Stock", exact=False)).to_be_visible()


async def test_the_figures_equal_those_of_the_database(page: Page, shop: Shop) -> None:
    for quantity in (1, 2, 3):
        shop.order(quantity)
    shop.all_ended()
    await opens(page, shop)
    orders = asked(shop, "SELECT count(*) FROM orders")
    revenue = asked(shop, "SELECT sum(amount) FROM payment WHERE state = 'succeeded'")
    assert await figure(page, "Orders") == str(orders)
    assert await figure(page, "Revenue") == f"{revenue / 100:,.2f}"
    assert await figure(page, "Paid orders") == str(orders)
    average = asked(shop, "SELECT round(avg(total)) FROM orders")
    assert await figure(page, "Average order") == f"{average / 100:,.2f}"
    await expect(page.locator("#flavors canvas")).to_be_visible()
    drawn = await page.evaluate(
        "Object.values(charts).map((one) => one.getChartObject().data.datasets[0].data)"
    )
    assert [round(sum(amounts) * 100) for amounts in drawn] == [revenue, revenue]
    await expect(page.locator("#sales canvas")).to_be_visible()


async def test_the_chart_scripts_are_loaded_when_visible_and_retried(
    page: Page, watch: Watch, shop: Shop
) -> None:
    await page.set_viewport_size({"width": 390, "height": 500})
    shop.order()
    await opens(page, shop)
    await page.wait_for_selector("tr[data-order]", state="attached")
    assert await page.evaluate("typeof Chart") == "undefined"
    number = shop.order()
    shop.all_ended()
    await expect(page.locator(f"tr[data-order='{number}']")).to_contain_text("paid")
    await page.route("**/chartkick-*.js", lambda route: route.abort(), times=1)
    await page.locator("#sales").scroll_into_view_if_needed()
    await expect(page.locator("#sales canvas")).to_be_visible()
    revenue = asked(shop, "SELECT sum(amount) FROM payment WHERE state = 'succeeded'")
    drawn = await page.evaluate("charts.sales.getChartObject().data.datasets[0].data")
    assert round(sum(drawn) * 100) == revenue
    assert all("ERR_FAILED" in line for line in watch.lines), watch.lines
    watch.lines.clear()


async def test_a_new_order_appears_on_an_open_page(page: Page, shop: Shop) -> None:
    await opens(page, shop)
    before = int(await figure(page, "Orders"))
    number = shop.order(4)
    # Without news, the page would fetch the figures after 30 s: later than this waits.
    await page.wait_for_selector(f"tr[data-order='{number}'].new")
    row = page.locator(f"tr[data-order='{number}']")
    await expect(row).to_contain_text("10.00")
    await expect(row).to_contain_text("paid")
    assert await figure(page, "Orders") == str(before + 1)
    await expect(page.locator("#announcement")).to_have_text("1 new order")


async def test_an_order_placed_during_a_fetch_is_not_missed(page: Page, shop: Shop) -> None:
    async def slowly(route: Route) -> None:
        answer = await route.fetch()
        late.append(shop.order())
        await route.fulfill(response=answer)

    late: list[int] = []
    await opens(page, shop)
    await page.wait_for_load_state("networkidle")
    await page.route("**/dashboard/data?*", slowly, times=1)
    shop.order()
    await page.wait_for_selector("tr[data-order].new")
    await page.wait_for_selector(f"tr[data-order='{late[0]}']")


async def test_a_page_with_invalid_days_is_updated_too(
    page: Page, watch: Watch, shop: Shop
) -> None:
    await opens(page, shop, "/dashboard/?from=2026-02-01&to=2026-01-01")
    await expect(page.get_by_role("alert")).to_contain_text("to must be a later day than from")
    number = shop.order()
    await page.wait_for_selector(f"tr[data-order='{number}']")
    assert watch.lines[0] == "400 GET /dashboard/"
    assert all("status of 400" in line for line in watch.lines[1:])
    watch.lines.clear()


async def test_a_replaced_part_keeps_the_focus_and_the_open_table(page: Page, shop: Shop) -> None:
    kept = shop.order()
    await opens(page, shop)
    await page.get_by_text("As a table").click()
    link = page.locator(f"[data-part=latest] [href='/staff/orders/{kept}/']")
    await link.focus()
    number = shop.order()
    await page.wait_for_selector(f"tr[data-order='{number}']")
    await expect(link).to_be_focused()
    await expect(page.get_by_role("table", name="Sales by day")).to_be_visible()


async def test_a_table_sorts_by_its_headers_and_stays_sorted(page: Page, shop: Shop) -> None:
    for quantity in (2, 10, 1):
        shop.order(quantity)
    await opens(page, shop)
    table = page.get_by_role("table", name="The ten latest orders")
    header = table.get_by_role("columnheader", name="Quantity")
    cells = table.locator("tbody td:nth-child(5)")
    for direction in ("descending", "ascending"):
        await header.get_by_role("button").press("Enter")
        await expect(header).to_have_attribute("aria-sort", direction)
        found = [int(text) for text in await cells.all_inner_texts()]
        assert found == sorted(found, reverse=direction == "descending")
        assert set(found) >= {1, 2, 10}
    number = shop.order(7)
    await page.wait_for_selector(f"tr[data-order='{number}']")
    await expect(header).to_have_attribute("aria-sort", "ascending")
    await expect(header.get_by_role("button")).to_be_focused()
    found = [int(text) for text in await cells.all_inner_texts()]
    assert found == sorted(found)
    assert await found_by_axe(page) == []


async def test_days_can_be_selected_without_javascript(
    browser: Browser, context: BrowserContext, page: Page, shop: Shop
) -> None:
    await opens(page, shop)
    state = await context.storage_state()
    async with await browser.new_context(
        base_url=f"http://127.0.0.1:{shop.port}", storage_state=state, java_script_enabled=False
    ) as plain:
        without = await plain.new_page()
        await without.goto("/dashboard/")
        await without.get_by_role("link", name="90 days").click()
        await expect(without.locator(".picker [aria-current=page]")).to_have_text("90 days")
        await without.get_by_label("From").fill("2026-01-01")
        await without.get_by_label("to, not included").fill("2026-02-01")
        await without.get_by_role("button", name="Show").click()
        await expect(without.locator("header p")).to_have_text("1 Jan 2026 to 31 Jan 2026")
        assert without.url.endswith("/dashboard/?from=2026-01-01&to=2026-02-01")
        await without.get_by_text("As a table").click()
        await expect(without.get_by_role("table", name="Sales by day")).to_be_visible()


async def test_links_lead_to_the_actions_of_an_order_and_back(page: Page, shop: Shop) -> None:
    number = shop.order(3)
    shop.all_ended()
    await opens(page, shop)
    await at_rest(page)
    row = page.locator(f"tr[data-order='{number}']")
    await row.get_by_role("link", name=f"Cancel order {number}").click()
    await expect(page.get_by_role("dialog")).to_contain_text("7.50 EUR are refunded")
    await page.get_by_role("link", name="Change nothing").click()
    await page.get_by_role("link", name="Refund an amount").click()
    await page.get_by_role("dialog").get_by_label("Reason").fill("melted")
    await page.get_by_role("dialog").get_by_role("button", name="Refund").click()
    await expect(page.get_by_role("status")).to_contain_text("Refund of 7.50 EUR started")
    await page.get_by_role("link", name="Dashboard").click()
    await expect(row).to_contain_text("refunded")


async def test_the_csv_is_downloaded(page: Page, shop: Shop) -> None:
    shop.order()
    await opens(page, shop)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="sales by day and flavor").click()
    text = (await (await download.value).path()).read_text()
    assert text.startswith("start,flavor,name,quantity,orders,revenue")
    assert ",Vanilla," in text


@pytest.mark.needs("npm")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_the_page_is_accessible(page: Page, shop: Shop, scheme: Any, width: int) -> None:
    shop.order()
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 740})
    await opens(page, shop)
    await page.get_by_text("As a table").click()
    assert await found_by_axe(page) == []
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide == width


async def test_the_page_works_with_a_keyboard(page: Page, shop: Shop) -> None:
    await opens(page, shop)
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("#content")).to_be_focused()
    summary = page.locator("summary")
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await summary.evaluate("(one) => one === document.activeElement"):
            break
    assert await summary.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("table", name="Sales by day")).to_be_visible()


async def test_charts_follow_the_color_scheme(page: Page, shop: Shop) -> None:
    shop.order()
    await page.emulate_media(color_scheme="light")
    await opens(page, shop)
    await expect(page.locator("#sales canvas")).to_be_visible()
    light = await page.evaluate("Chart.defaults.color")
    await page.emulate_media(color_scheme="dark")
    # Playwright's own function for this wait needs `eval`, which the page forbids.
    for _ in range(100):
        if await page.evaluate("Chart.defaults.color") != light:
            break
        await asyncio.sleep(0.05)
    assert await page.evaluate("Chart.defaults.color") != light


async def test_signing_out_elsewhere_is_shown_on_the_page(
    context: BrowserContext, page: Page, watch: Watch
) -> None:
    await page.goto("/dashboard/")
    await sign_in(page, ADMIN_PASSWORD)
    await page.wait_for_selector(LIVE)
    other = await context.new_page()
    await other.goto("/admin/")
    other.once("dialog", lambda dialog: dialog.accept())
    await other.locator("#user").click()
    await other.get_by_text("Log Out").click()
    await expect(other.get_by_role("button", name="Sign in")).to_be_visible()
    await other.wait_for_load_state("networkidle")
    await other.close()
    await expect(page.locator("#live")).to_contain_text("You are signed out.")
    way = page.locator("#live").get_by_role("link", name="Sign in")
    assert await way.get_attribute("href") == "/sign-in/?next=%2Fdashboard%2F"
    # The browser itself logs these lines for each such response.
    assert {line.split(" ")[0] for line in watch.lines} <= {"401", "error:"}, watch.lines
    watch.lines.clear()


async def test_the_page_survives_a_restart_of_the_service(
    page: Page, watch: Watch, shop: Shop
) -> None:
    await opens(page, shop)
    shop.processes[-1].signal(15)
    shop.processes[-1].wait()
    await expect(page.locator("#live")).to_have_text("Reconnecting")
    await expect(page.get_by_role("heading", name="Latest orders")).to_be_visible()
    shop.serve()
    number = shop.order()
    await page.wait_for_selector(f"tr[data-order='{number}']")
    await expect(page.locator(LIVE)).to_have_text("Live")
    assert all("ERR_" in line for line in watch.lines), watch.lines
    watch.lines.clear()
