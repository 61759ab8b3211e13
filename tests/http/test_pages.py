"""Test the pages, and that they load nothing from other hosts."""

import re

import httpx
import pytest

from icecream import errors
from icecream.http import pages

pytestmark = pytest.mark.anyio
PAGES = ["/", "/problems", "/schema", "/schema/redoc"]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_nothing_but_our_own_assets(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert "<script>" not in answer.text
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', answer.text)
    assert loaded
    for address in loaded:
        assert address.startswith("/"), address
        if address not in ("/admin/", "/dashboard/", "/shop/"):
            # On a busy machine, the database may be too slow for readiness.
            expected = {200, 503} if address == "/health/ready" else {200}
            assert (await client.get(address)).status_code in expected, address


async def test_the_front_page_begins_with_the_pages_of_people(client: httpx.AsyncClient) -> None:
    text = (await client.get("/")).text
    assert re.findall(r"<strong>(\w+)</strong>", text)[:3] == ["Shop", "Dashboard", "Database"]


@pytest.mark.parametrize("name", pages.ASSETS)
async def test_every_asset_has_its_media_type(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/assets/{name}")
    assert answer.status_code == 200
    assert (
        answer.headers["content-type"].split(";")[0] == pages.MEDIA_TYPES[f".{name.split('.')[-1]}"]
    )
    assert "max-age" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "..%2fpages.py", "%2e%2e/pages.py", "front.html", ".", "%00", "icon.svg/x"],
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/assets/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_the_favicon_is_our_icon(client: httpx.AsyncClient) -> None:
    answer = await client.get("/favicon.ico")
    assert answer.content == pages.read_asset("icon.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")


async def test_the_vendor_logo_is_not_fetched() -> None:
    body = pages.read_asset("redoc.standalone.js")
    assert b"cdn." not in body
    assert pages.ICON_URL in body


async def test_every_kind_of_problem_is_explained(client: httpx.AsyncClient) -> None:
    text = (await client.get("/problems")).text
    for kind in errors.Refusal.__subclasses__():
        assert f'<tr id="{kind.code}">' in text


async def test_the_front_page_shows_the_address_of_the_api(client: httpx.AsyncClient) -> None:
    assert "curl http://127.0.0.1:8000/api/token/" in (await client.get("/")).text
