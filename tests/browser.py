"""A real browser, and a check of what pages do in the background; the fixtures need a `shop`."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    Response,
    async_playwright,
    expect,
)

from tests.conftest import ADMIN_PASSWORD, tool
from tests.processes import PATIENCE, ROOT, Shop

# The same time limit as for other processes: a busy machine is not an error of a page.
expect.set_options(timeout=PATIENCE * 1000)

# What Piccolo Admin keeps in the browser: how it looks, and no data.
DISPLAY_SETTINGS = {"darkMode", "defaultTimezone", "piccoloAdminDefaultLanguage"}
AXE = ROOT / ".ci/node_modules/axe-core/axe.min.js"
# No request of a page leaves this machine.
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@pytest.fixture(name="browser", scope="module")
async def a_browser(opened: None) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = playwright.chromium
        async with await chromium.launch(executable_path=tool("chromium"), args=[ALONE]) as browser:
            yield browser


@pytest.fixture(name="shop", scope="module")
def a_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A service with SQLite whose admin is signed in, to the API and to the pages."""
    database, settings = "sqlite:///icecream.sqlite", {"ICECREAM_PAYMENT_FAILURE_RATE": "0"}
    with Shop(tmp_path_factory.mktemp("shop"), database, **settings) as shop:
        shop.serve()
        shop.sign_in("admin", ADMIN_PASSWORD)
        sign_in_to_admin(shop.http)
        yield shop


class Watch:
    """Records requests, responses and messages that a page should not cause, one line each."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.lines: list[str] = []
        self.add, self.origin = self.lines.append, origin
        context.on("request", lambda request: self._sent(request.url))
        context.on("requestfailed", lambda request: self._failed(request.url, str(request.failure)))
        context.on("response", self._answered)
        context.on("console", lambda message: self._logged(message.type, message.text))
        context.on("weberror", lambda error: self.add(f"uncaught: {error.error}"))

    def _sent(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.add(f"left the host: {url}")

    def _failed(self, url: str, why: str) -> None:
        # A page that is left, closed or reloaded ends its own requests.
        if why != "net::ERR_ABORTED":
            self.add(f"failed: {url} {why}")

    def _answered(self, answer: Response) -> None:
        if answer.status >= 400:
            self.add(f"{answer.status} {answer.request.method} {urlsplit(answer.url).path}")

    def _logged(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.add(f"{kind}: {text}")


@pytest.fixture(name="context")
async def a_context(browser: Browser, shop: Shop) -> AsyncIterator[BrowserContext]:
    async with await browser.new_context(base_url=str(shop.http.base_url)) as context:
        context.set_default_timeout(PATIENCE * 1000)
        yield context


@pytest.fixture(name="watch")
async def a_watch(context: BrowserContext, shop: Shop) -> AsyncIterator[Watch]:
    watch = Watch(context, f"http://127.0.0.1:{shop.port}")
    yield watch
    for page in context.pages:
        await page.wait_for_load_state("networkidle")
    assert watch.lines == [], watch.lines
    state = await context.storage_state(indexed_db=True)
    stored = {item["name"] for origin in state["origins"] for item in origin["localStorage"]}
    assert stored <= DISPLAY_SETTINGS, stored
    assert not [origin for origin in state["origins"] if origin.get("indexedDB")]
    for page in context.pages:
        assert await page.evaluate("sessionStorage.length") == 0


@pytest.fixture(name="page")
async def a_page(context: BrowserContext, watch: Watch) -> Page:
    return await context.new_page()


async def sign_in(page: Page, password: str) -> None:
    await page.get_by_label("Name").fill("admin")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def use_session(page: Page, shop: Shop) -> None:
    """Give the browser the session of the admin who is signed in."""
    cookie = shop.http.cookies["id"]
    await page.context.add_cookies(
        [{"name": "id", "value": cookie, "url": str(shop.http.base_url)}]
    )


async def found_by_axe(page: Page) -> list[str]:
    """Return the accessibility problems of the page, by the rules of WCAG and good practice."""
    await page.evaluate(AXE.read_text())
    found: dict[str, Any] = await page.evaluate("axe.run()")
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


def sign_in_to_admin(http: httpx.Client) -> None:
    """Sign in without a browser; the client then has the session cookie."""
    body = {"username": "admin", "password": ADMIN_PASSWORD}
    assert http.post("/sign-in/", data=body).has_redirect_location
