"""Take the pictures of the pages for README and docs: make screenshots

They show a temporary shop with the season of `icecream demo`.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import BrowserContext, async_playwright

from tests.processes import ROOT, Shop

DESK, PHONE = {"width": 1240, "height": 900}, {"width": 390, "height": 844}
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


async def take_all(shop: Shop) -> None:
    """Take pictures of the dashboard and the admin, light and dark, and on a phone."""
    # Imported here: the processes of the shop import this file again, and with the fixtures of the
    # tests they would get the database of the tests.
    from tests.browser import ALONE
    from tests.conftest import tool

    url, live = str(shop.http.base_url), "#live[data-state=live]"
    cookie = {"name": "id", "value": shop.http.cookies["id"], "url": url}
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=tool("chromium"), args=[ALONE]) as browser,
    ):
        for name, scheme, size in (
            ("dashboard", "light", DESK),
            ("dashboard-dark", "dark", DESK),
            ("dashboard-phone", "light", PHONE),
        ):
            context = await browser.new_context(
                base_url=url,
                color_scheme=scheme,
                viewport=size,
                locale="en-GB",
            )
            await context.add_cookies([cookie])
            await take(context, "/dashboard/", name, live)
            if name == "dashboard":
                await take(context, "/admin/#/orders", "admin", "tr:nth-child(5) >> visible=true")
            await context.close()


def main() -> None:
    """Create the season of a demo, serve it, and take the pictures."""
    from tests.browser import sign_in_to_admin

    (ROOT / "docs/screenshots").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Shop(Path(folder), "sqlite:///icecream.sqlite") as shop,
    ):
        shop.run("migrate").check_returncode()
        shop.run("demo", "--orders", "5000", "--days", "90").check_returncode()
        shop.serve()
        sign_in_to_admin(shop.http)
        asyncio.run(take_all(shop))


if __name__ == "__main__":
    main()
