"""Test the pages of Piccolo Admin in a real browser: what they offer, and amounts of money."""

import re
import sqlite3
from typing import Any

import pytest
from playwright.async_api import Dialog, Page, expect

from tests.browser import (  # noqa: F401  # fixtures
    Watch,
    a_browser,
    a_context,
    a_page,
    a_shop,
    a_watch,
    use_session,
)
from tests.processes import Shop

# The pages do not depend on the database, and a browser is slow.
pytestmark = [pytest.mark.anyio, pytest.mark.needs("chromium"), pytest.mark.only("sqlite")]


async def opens(page: Page, shop: Shop, path: str) -> None:
    """Open a page of the admin with a signed-in session."""
    await use_session(page, shop)
    await page.goto(f"/admin/#/{path}")
    await page.wait_for_load_state("networkidle")


def asked(shop: Shop, sql: str) -> Any:
    with sqlite3.connect(shop.folder / "icecream.sqlite") as connection:
        return connection.execute(sql).fetchone()[0]


async def test_a_read_only_table_offers_no_changes(page: Page, shop: Shop) -> None:
    number = shop.order(4)
    shop.all_ended()
    await opens(page, shop, "orders")
    await expect(page.get_by_role("row").filter(has_text="10.00")).to_have_count(1)
    await expect(page.get_by_text("Add Row")).to_be_hidden()
    await expect(page.get_by_role("checkbox").locator("visible=true")).to_have_count(0)
    await page.get_by_role("link", name=str(number), exact=True).click()
    await expect(page.get_by_role("heading", name=f"orders {number}")).to_be_visible()
    await expect(page.get_by_role("button", name="Save")).to_be_hidden()
    await expect(page.locator("[name=total]")).to_have_value("10.00")
    await expect(page.locator("[name=total]")).not_to_be_editable()
    await expect(page.locator("[name=status]")).to_be_disabled()
    for link in await page.locator("#app a:visible").evaluate_all("all => all.map(a => a.href)"):
        assert not link.endswith("/add/"), link


async def test_flavors_and_accounts_can_be_changed_but_not_deleted(page: Page, shop: Shop) -> None:
    for table in ("flavor", "users"):
        await opens(page, shop, table)
        await expect(page.get_by_text("Add Row")).to_be_visible()
        await expect(page.get_by_role("checkbox").first).to_be_visible()
        await page.get_by_role("checkbox").nth(1).check()
        await expect(page.get_by_text("Update 1 rows")).to_be_visible()
        await opens(page, shop, f"{table}/1/")
        await expect(page.get_by_role("button", name="Save")).to_be_visible()
        for selector in ("#delete", "[data-uitest=drop_down_button]"):
            await expect(page.locator(selector).locator("visible=true")).to_have_count(0)


async def test_a_refund_shows_what_is_left_and_asks_once(page: Page, shop: Shop) -> None:
    number, questions = shop.order(4), list[str]()
    shop.all_ended()

    async def answer(dialog: Dialog) -> None:
        questions.append(dialog.message)
        await (dialog.accept() if len(questions) > 1 else dialog.dismiss())

    page.on("dialog", answer)
    await opens(page, shop, f"forms/refund-an-order-{number}/")
    facts = (
        f"Order {number} of admin is paid: total 10.00 EUR, refunded 0.00 EUR, "
        "left to refund 10.00 EUR."
    )
    await expect(page.get_by_text(facts)).to_be_visible()
    await page.locator("[name=reason]").fill("melted")
    await page.locator("[name=amount]").fill("2.60")
    await page.get_by_role("button", name="Submit").click()
    await page.wait_for_load_state("networkidle")
    assert asked(shop, f'SELECT count(*) FROM payment WHERE "order" = {number}') == 1
    await page.get_by_role("button", name="Submit").click()
    await expect(page.locator("#success_message")).to_contain_text("Refund of 2.60 EUR")
    assert len(questions) == 2
    assert re.match(rf"Refund an order: 2\.60\?\n\n{re.escape(facts)}", questions[0])


async def test_a_new_account_is_active(page: Page, shop: Shop) -> None:
    await opens(page, shop, "users/add/")
    await expect(page.locator("[name=active]")).to_have_value("true")


async def test_a_price_is_typed_as_people_write_it(page: Page, watch: Watch, shop: Shop) -> None:
    await opens(page, shop, "flavor/1/")
    price = page.locator("[name=price]")
    await expect(price).to_have_value("2.50")
    await price.fill("2.60")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Successfully saved")).to_be_visible()
    assert asked(shop, "SELECT price FROM flavor WHERE id = 1") == 260
    await price.fill("1,234")
    await page.get_by_role("button", name="Save").click()
    message = "price field - must be an amount in EUR, such as 2.60"
    await expect(page.get_by_text(message)).to_be_visible()
    assert asked(shop, "SELECT price FROM flavor WHERE id = 1") == 260
    assert all("422" in line for line in watch.lines), watch.lines
    watch.lines.clear()
