"""Test the service below a path of its host, behind proxies that keep or remove this path."""

import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Page, expect

from icecream import settings
from tests.browser import (  # noqa: F401  # fixtures
    a_browser,
    a_context,
    a_page,
    a_watch,
    sign_in,
)
from tests.conftest import ADMIN_PASSWORD, METRICS_HEADERS
from tests.processes import Shop

# Addresses are the same on both databases.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
browsing = pytest.mark.needs("chromium")
PAGES = ["/", "/problems", "/schema", "/schema/redoc", "/admin/", "/dashboard/"]
PAGES += ["/shop/", "/shop/orders/", "/shop/account/", "/set-password/"]
# This prefix begins like one of our paths, but is not one of them.
ICE = "/api-ice/v1"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop"), "sqlite:///icecream.sqlite") as shop:
        shop.environment["ICECREAM_PUBLIC_URL"] = f"http://127.0.0.1:{shop.port}{ICE}"
        shop.serve()
        shop.sign_in("admin", ADMIN_PASSWORD)
        yield shop


@pytest.mark.parametrize("cut_off", [False, True], ids=["whole", "cut off"])
def test_every_link_of_every_page_is_beneath_the_prefix(shop: Shop, cut_off: bool) -> None:
    cookie: dict[str, str] = {}

    def get(path: str) -> httpx.Response:
        return shop.http.get(path.removeprefix(ICE) if cut_off else path, headers=cookie)

    sign_in = {"username": "admin", "password": ADMIN_PASSWORD}
    with httpx.Client(base_url=f"{shop.http.base_url}{'' if cut_off else ICE}") as staff:
        redirect = staff.get("/admin/").headers["location"]
        assert redirect == f"{ICE}/sign-in/?next={ICE}/admin/"
        token = staff.get("/admin/api/user/").cookies["csrftoken"]
        fields = {"X-CSRFToken": token, "Cookie": f"csrftoken={token}"}
        answer = staff.post("/admin/public/login/", json=sign_in, headers=fields)
        cookie |= {"Cookie": f"id={answer.cookies['id']}"}
        assert f"Path={ICE};" in answer.headers["set-cookie"]
        for path in PAGES:
            page = staff.get(path, headers=cookie)
            assert page.status_code == 200
            links = re.findall(r'(src|href|spec-url|action)="(/[^"#?]*)', page.text)
            assert links or path == "/admin/"
            for kind, link in links:
                assert link.startswith(f"{ICE}/")
                # Some forms are only sent.
                assert get(link).status_code in (200, 303) or kind == "action"


@pytest.mark.parametrize("prefix", [ICE, ""])
def test_addresses_in_responses_have_the_prefix(shop: Shop, prefix: str) -> None:
    for _ in range(2):
        shop.order()
    page = shop.http.get(f"{prefix}/api/orders/?limit=1")
    link = page.links["next"]["url"]
    assert link.startswith(f"{ICE}/api/orders?")
    assert len(shop.http.get(link.removeprefix(ICE) if not prefix else link).json()) == 1
    problem = shop.http.get(f"{prefix}/api/nowhere").json()
    assert problem["type"] == f"http://127.0.0.1:{shop.port}{ICE}/problems#not-found"
    assert problem["instance"] == f"{ICE}/api/nowhere"
    document = shop.http.get(f"{prefix}/schema/openapi.json").json()
    assert [one["url"] for one in document["servers"]] == [f"http://127.0.0.1:{shop.port}{ICE}"]
    assert shop.http.options(f"{prefix}/api/orders").headers["allow"].startswith("GET")
    assert shop.http.get(f"{prefix}/admin").headers["location"] == f"{ICE}/admin/"
    away = shop.http.get(f"{prefix}/dashboard/?period=7").headers["location"]
    assert away == f"{ICE}/sign-in/?next={ICE}/dashboard/%3Fperiod%3D7"
    assert ICE not in shop.http.get(f"{prefix}/metrics", headers=METRICS_HEADERS).text


def test_a_path_outside_of_the_prefix_is_not_found(shop: Shop) -> None:
    for path in (f"{ICE}x/api/orders/", f"{ICE}{ICE}/api/orders/", "/api-ice/health/live"):
        assert shop.http.get(path).status_code == 404
    assert shop.http.get(ICE).status_code == 200


@browsing
async def test_staff_sign_in_see_the_dashboard_live_and_the_admin(page: Page, shop: Shop) -> None:
    await page.goto(f"{ICE}/dashboard/?period=90d")
    await sign_in(page, ADMIN_PASSWORD)
    await page.wait_for_url(f"**{ICE}/dashboard/?period=90d")
    await expect(page.locator("#live")).to_have_text("Live")
    # Leaving the page while its scripts load would stop them, and they draw the chart.
    await expect(page.locator("#sales canvas")).to_be_visible()
    order = shop.order()
    await expect(page.locator(f"tr[data-order='{order}']")).to_be_visible()
    await page.goto(f"{ICE}/admin/#/orders")
    await expect(page.get_by_role("link", name="Dashboard")).to_have_attribute(
        "href", f"{ICE}/dashboard/"
    )
    await expect(page.get_by_role("row").nth(1)).to_be_visible()


@browsing
async def test_the_api_docs_call_the_api(page: Page) -> None:
    await page.goto(f"{ICE}/schema")
    operation = page.locator("#operations-Signing_in-signIn")
    await operation.locator(".opblock-summary-control").click()
    name = {"username": "admin", "password": ADMIN_PASSWORD}
    await operation.locator("textarea.body-param__text").fill(json.dumps(name))
    async with page.expect_response("**/api/token") as answer:
        await operation.get_by_role("button", name="Execute").click()
    answered = await answer.value
    assert (urlsplit(answered.url).path, answered.status) == (f"{ICE}/api/token", 200)


@pytest.mark.parametrize("path", ["/api", "/admin/", "/schema/ice", "/ice//", "/i%20ce", '/"'])
def test_a_prefix_that_is_ambiguous_with_our_paths_is_refused(path: str) -> None:
    with pytest.raises(settings.BadSetting, match="PUBLIC_URL"):
        settings.parse_settings({"ICECREAM_PUBLIC_URL": f"https://ice.example{path}"})
