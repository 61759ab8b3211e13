"""Take the pictures of the pages for README and docs: make screenshots

They show a temporary service with the season of `icecream demo`.
"""

import asyncio
import secrets
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.async_api import BrowserContext, ViewportSize, async_playwright

from tests.processes import ROOT, Shop

DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)
CUSTOMER = "Gelato Corner"
# The largest size of a picture in bytes: a reader loads the pictures with the README.
LARGEST = 170_000


async def take(context: BrowserContext, path: str, name: str, ready: str) -> None:
    """Take a picture of a page once the expected element is visible."""
    page = await context.new_page()
    await page.goto(path)
    await page.wait_for_selector(ready)
    await page.wait_for_load_state("networkidle")
    await page.evaluate("document.fonts.ready")
    file = ROOT / "docs/screenshots" / f"{name}.png"
    await page.screenshot(path=file, animations="disabled")
    await page.close()
    size = file.stat().st_size
    sys.stdout.write(f"{file.relative_to(ROOT)}  {size // 1000} kB\n")
    if size > LARGEST:
        sys.exit(f"{file} is larger than {LARGEST // 1000} kB.")


class Picture(NamedTuple):
    """A picture of a page: its name, the page, an element that shows that it is ready."""

    name: str
    path: str
    ready: str
    size: ViewportSize = DESK
    scheme: Literal["light", "dark"] = "light"


def pictures_for_staff(order: int, today: date) -> list[Picture]:
    """Return the pictures of the pages for staff; `order` has a refunded line."""
    live, tomorrow = "#live[data-state=live]", today + timedelta(1)
    return [
        Picture("dashboard", "/dashboard/", live),
        Picture("dashboard-dark", "/dashboard/", live, scheme="dark"),
        Picture("dashboard-phone", "/dashboard/", live, PHONE),
        Picture("orders", "/staff/orders/?status=paid&fulfilment=unfulfilled", "tbody tr"),
        Picture("order", f"/staff/orders/{order}/", "#history"),
        Picture("packing-list", f"/staff/packing/?date={tomorrow}", ".customer"),
    ]


async def take_all(url: str, pictures: list[tuple[str, Picture]]) -> None:
    """Take pictures, each with the cookie of a session."""
    # Imported here: the processes of the service import this file again, and with the fixtures of
    # the tests they would get the database of the tests.
    from tests.browser import ALONE
    from tests.conftest import tool

    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=tool("chromium"), args=[ALONE]) as browser,
    ):
        for session, one in pictures:
            context = await browser.new_context(
                base_url=url, color_scheme=one.scheme, viewport=one.size, locale="en-GB"
            )
            await context.add_cookies([{"name": "id", "value": session, "url": url}])
            await take(context, one.path, one.name, one.ready)
            await context.close()


def refund_a_line(shop: Shop) -> int:
    """Refund two of a line of a delivered order, as melted; return the order."""
    week_ago = datetime.now(UTC).date() - timedelta(7)
    query = {"user": "all", "fulfilment": "delivered", "created_from": f"{week_ago}T00:00:00Z"}
    for order in shop.http.get("/api/orders/", params=query).raise_for_status().json():
        line = order["lines"][0]
        if order["status"] == "paid" and len(order["lines"]) > 1 and line["quantity"] > 2:
            body = {"reason": "soft at the door", "reason_code": "melted"}
            lines = [{"flavor": line["flavor"], "quantity": 2}]
            address = f"/api/orders/{order['id']}/refund/"
            shop.http.post(address, json=body | {"lines": lines}).raise_for_status()
            number: int = order["id"]
            return number
    sys.exit("The season has no such order.")


def open_session(shop: Shop, name: str, password: str) -> str:
    """Sign in to the pages and to the API, and return the cookie of the session."""
    shop.http.post("/sign-in/", data={"username": name, "password": password})
    shop.sign_in(name, password)
    session: str = shop.http.cookies["id"]
    shop.http.cookies.clear()
    return session


def main() -> None:
    """Create the season of a demo, serve it, and take the pictures."""
    from tests.conftest import ADMIN_PASSWORD

    (ROOT / "docs/screenshots").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Shop(Path(folder), "sqlite:///icecream.sqlite") as shop,
    ):
        shop.run("migrate").check_returncode()
        shop.run("demo", "--orders", "5000", "--days", "90").check_returncode()
        password = secrets.token_urlsafe()
        shop.run("user", "create", CUSTOMER, "--password", password).check_returncode()
        shop.serve()
        customer = open_session(shop, CUSTOMER, password)
        own = Picture("shop-phone", f"/shop/?again={shop.order(3, 2)}", ".sum", PHONE)
        staff = open_session(shop, "admin", ADMIN_PASSWORD)
        chosen = pictures_for_staff(refund_a_line(shop), datetime.now(UTC).date())
        shop.all_ended()
        asyncio.run(
            take_all(str(shop.http.base_url), [*((staff, one) for one in chosen), (customer, own)])
        )


if __name__ == "__main__":
    main()
