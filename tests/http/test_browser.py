"""Test the pages in a real browser, which also reports console messages and failed requests."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Error, Locator, Page, expect

from icecream import errors
from tests import servers
from tests.browser import (  # noqa: F401  # fixtures
    Watch,
    a_browser,
    a_context,
    a_page,
    a_watch,
    sign_in,
)
from tests.conftest import ADMIN_PASSWORD
from tests.processes import Shop

# The pages do not depend on the database, and a browser is slow.
pytestmark = [pytest.mark.anyio, pytest.mark.needs("chromium"), pytest.mark.only("sqlite")]


@pytest.fixture(scope="module")
def elsewhere() -> int:
    """Return the port of the other origin whose pages may call the service."""
    return servers.free_port()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, elsewhere: int) -> Iterator[Shop]:
    database = "sqlite:///icecream.sqlite"
    settings = {
        "ICECREAM_PAYMENT_FAILURE_RATE": "0",
        "ICECREAM_CORS_ORIGINS": f"http://127.0.0.1:{elsewhere}",
    }
    with Shop(tmp_path_factory.mktemp("shop"), database, **settings) as shop:
        shop.serve()
        shop.sign_in("admin", ADMIN_PASSWORD)
        yield shop


async def test_every_link_of_the_front_page_works(page: Page) -> None:
    await page.goto("/")
    links = await page.locator("nav a").all()
    assert len(links) == 8
    for link in links:
        async with page.context.expect_page() as opened:
            await link.click(modifiers=["ControlOrMeta"])
        await (await opened.value).wait_for_url(f"**{await link.get_attribute('href')}**")


async def test_the_link_in_a_problem_leads_to_its_row(page: Page) -> None:
    for kind in errors.Refusal.__subclasses__():
        await page.goto(f"/problems#{kind.code}")
        await expect(page.locator("tr:target code")).to_have_text(kind.code)


async def tried(operation: Locator, body: dict[str, object]) -> dict[str, object]:
    """Fill in the body of an operation in Swagger UI and send it; return the displayed response."""
    await operation.locator(".opblock-summary-control").click()
    await operation.locator("textarea.body-param__text").fill(json.dumps(body))
    await operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    shown: dict[str, object] = json.loads(await answer.locator("code").first.inner_text())
    return shown


async def test_an_order_is_placed_from_swagger_ui(page: Page, shop: Shop) -> None:
    # The browser may know the service by another name than the document, and the policy of the
    # pages forbids other hosts.
    document = shop.http.get("/schema/openapi.json").json()
    document["servers"] = [{"url": "https://ice.example.org"}]
    await page.route("**/schema/openapi.json", lambda route: route.fulfill(json=document))
    await page.goto("/schema")
    name = {"username": "admin", "password": ADMIN_PASSWORD}
    pair = await tried(page.locator("#operations-Signing_in-signIn"), name)

    await page.locator(".auth-wrapper").get_by_role("button", name="Authorize").click()
    dialog = page.locator(".modal-ux")
    await dialog.locator("input").fill(str(pair["access"]))
    await dialog.get_by_role("button", name="Apply credentials").click()
    await dialog.get_by_role("button", name="Close").last.click()

    order = {"quantity": 3, "flavor": 1}
    placed = await tried(page.locator("#operations-Orders-placeOrder"), order)
    assert placed["status"] == "Order placed"
    assert shop.all_ended() == {"paid": 1}
    listed = shop.http.get("/api/orders/").json()
    assert [(one["id"], one["quantity"]) for one in listed] == [(placed["order_id"], 3)]


async def test_redoc_shows_every_operation(page: Page, shop: Shop) -> None:
    document = shop.http.get("/schema/openapi.json").json()
    operations = [one for path in document["paths"].values() for one in path.values()]
    await page.goto("/schema/redoc")
    for one in operations:
        shown = page.locator(f"[id$='/operation/{one['operationId']}']")
        await expect(shown.get_by_role("heading", name=one["summary"])).to_be_visible()


async def test_a_wrong_password_is_reported_in_the_form(page: Page, watch: Watch) -> None:
    await page.goto("/admin/")
    await sign_in(page, "not the password")
    await expect(page.get_by_role("alert")).to_contain_text("No account")
    # The browser itself logs this line for each such response.
    refused = (
        "error: Failed to load resource: the server responded with a status of 401 (Unauthorized)"
    )
    assert sorted(watch.lines) == ["401 POST /sign-in/", refused]
    watch.lines.clear()


async def test_a_form_shows_staff_its_result_or_the_reason_of_the_failure(
    page: Page, watch: Watch, shop: Shop
) -> None:
    placed = shop.http.post("/api/orders/", json={"flavor": 1, "quantity": 2}).json()
    shop.all_ended()
    page.on("dialog", lambda dialog: dialog.accept())
    await page.goto("/admin/#/orders")
    await sign_in(page, ADMIN_PASSWORD)
    await page.get_by_role("link", name="Refund An Order", exact=False).click()
    await page.locator("[name=order]").fill(str(placed["order_id"]))
    await page.locator("[name=reason]").fill("melted on the way")
    await page.locator("[name=amount]").fill("99999")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_text("Only 5.00 EUR is left.")).to_be_visible()
    assert [line for line in watch.lines if "error" not in line] == [
        "422 POST /admin/api/forms/refund-an-order/"
    ]
    watch.lines.clear()
    await page.locator("[name=amount]").fill("")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.locator("#success_message")).to_contain_text("Refund of 5.00 EUR")
    assert shop.http.get(f"/api/orders/{placed['order_id']}/").json()["status"] in (
        "refunding",
        "refunded",
    )


async def test_staff_sign_in_to_the_admin_edit_a_flavor_and_sign_out(
    page: Page, shop: Shop
) -> None:
    await page.goto("/admin/#/flavor")
    await sign_in(page, ADMIN_PASSWORD)
    await expect(page).to_have_title("Ice Cream Distribution")
    row = page.get_by_role("row").filter(has_text="Vanilla")
    await row.locator("[href='#/flavor/1/']").click()
    await page.locator("[name=name]").fill("Vanilla Sky")
    await page.locator("[name=price]").fill("2.75")
    async with page.expect_response("**/admin/api/tables/flavor/1/*") as answer:
        await page.get_by_role("button", name="Save").click()
    assert (await answer.value).ok
    (flavor,) = shop.http.get("/api/flavors/").json()
    assert (flavor["name"], flavor["price"], flavor["stock"]) == ("Vanilla Sky", 275, None)

    page.once("dialog", lambda dialog: dialog.accept())
    await page.locator("#user").click()
    # No MFA provider is set up, so the link to its page is hidden.
    await expect(page.get_by_text("MFA Setup")).to_be_hidden()
    await page.get_by_text("Log Out").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()


CALLS = """async ([base, token]) => {
  const call = async (path, method, headers, body) => {
    const fields = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const answer = await fetch(base + path, { method, headers: { ...fields, ...headers }, body });
    return [answer.status, Object.fromEntries(answer.headers)];
  };
  const order = JSON.stringify({ flavor: 1, quantity: 1 });
  const key = { "Idempotency-Key": "from-elsewhere", Prefer: "wait=0" };
  const flavors = await call("/api/flavors/", "GET");
  return {
    flavors,
    same: await call("/api/flavors/", "GET", { "If-None-Match": flavors[1].etag }),
    stale: await call("/api/flavors/1", "PATCH", { "If-Match": '"999"' }, '{"price": 1}'),
    placed: await call("/api/orders/", "POST", key, order),
    again: await call("/api/orders/", "POST", key, order),
    page: await call("/api/orders/?limit=1", "GET"),
    stats: await call("/api/stats/?format=json", "GET"),
    refused: await call("/api/orders/", "GET", { Authorization: "Bearer nobody" }),
    nowhere: await call("/nowhere", "GET", { "X-Request-Id": "elsewhere" }),
  };
}"""


async def called_from(port: int, browser: Browser, shop: Shop, token: str) -> Any:
    """Load a page from this port; return the responses of the service that it can read."""

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\n\r\nA page"
        )
        writer.close()

    async with (
        await asyncio.start_server(page, "127.0.0.1", port),
        await browser.new_context() as context,
    ):
        there = await context.new_page()
        await there.goto(f"http://127.0.0.1:{port}/")
        return await there.evaluate(CALLS, [f"http://127.0.0.1:{shop.port}", token])


async def test_a_page_of_an_allowed_origin_reads_header_fields(
    browser: Browser, shop: Shop, elsewhere: int
) -> None:
    shop.order()
    token = shop.http.headers["Authorization"].removeprefix("Bearer ")
    results = await called_from(elsewhere, browser, shop, token)
    statuses = {name: status for name, (status, _) in results.items()}
    fields = {name: fields for name, (_, fields) in results.items()}
    assert statuses == {
        "flavors": 200,
        "same": 304,
        "stale": 412,
        "placed": 200,
        "again": 200,
        "page": 200,
        "stats": 200,
        "refused": 401,
        "nowhere": 404,
    }
    assert fields["flavors"]["etag"]
    assert fields["placed"]["preference-applied"] == "wait=0"
    assert fields["again"]["idempotent-replayed"] == "true"
    assert 'rel="next"' in fields["page"]["link"]
    assert fields["stats"]["as-of"]
    assert fields["refused"]["www-authenticate"].startswith("Bearer")
    assert fields["nowhere"]["x-request-id"] == "elsewhere"
    assert all(fields[name]["ratelimit"] for name in ("page", "refused", "stale"))


async def test_a_page_of_another_origin_reads_nothing(browser: Browser, shop: Shop) -> None:
    with pytest.raises(Error, match="Failed to fetch"):
        await called_from(servers.free_port(), browser, shop, "nobody")
