"""Test what pages of other origins may send and read (in a browser: tests/http/test_browser.py)."""

import httpx
import pytest

from icecream import app
from icecream.http import cors, methods, middleware, openapi
from tests.conftest import Caller

# This code does not depend on the database.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
SHOP = "https://shop.example"


@pytest.fixture
async def cors_client() -> httpx.AsyncClient:
    whole = cors.add_cors(methods.HeadAndOptions(app.litestar()), (SHOP, "https://b.example"))
    transport = httpx.ASGITransport(
        middleware.OuterMiddleware(whole, https=False), raise_app_exceptions=False
    )
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def lower(names: str) -> set[str]:
    return set(names.lower().split(", "))


async def test_every_field_of_the_document_may_be_sent_or_read(client: httpx.AsyncClient) -> None:
    document = openapi.expand((await client.get("/schema/openapi.json")).json())
    operations = [one for item in document["paths"].values() for one in item.values()]
    sent = {
        parameter["name"]
        for one in operations
        for parameter in one.get("parameters", ())
        if parameter["in"] == "header"
    }
    read = {
        name
        for one in operations
        for answer in one["responses"].values()
        for name in answer.get("headers", ())
    }
    assert {"Idempotency-Key", "If-Match", "Prefer"} <= sent <= set(cors.ALLOWED_HEADERS)
    assert {"ETag", "Link", "As-Of"} <= read
    assert read - {"Access-Control-Allow-Origin"} <= set(cors.EXPOSED_HEADERS)


async def test_a_response_names_the_origin_and_the_readable_fields(
    cors_client: httpx.AsyncClient, customer: Caller
) -> None:
    access = {"Authorization": f"Bearer {customer.access}", "Origin": SHOP}
    for path, headers, status in (
        ("/api/flavors/", access, 200),
        ("/api/flavors/", {"Origin": SHOP}, 401),
        ("/api/flavors/x", access, 404),
        ("/api/orders/cancel/", access, 404),
    ):
        answer = await cors_client.get(path, headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "Origin" in answer.headers["vary"]
        exposed = answer.headers["access-control-expose-headers"]
        assert {"etag", "link", "retry-after", "x-request-id"} <= lower(exposed)


async def test_a_preflight_allows_the_methods_and_fields_of_the_api(
    cors_client: httpx.AsyncClient,
) -> None:
    for path in ("/api/orders/", "/api/payments/1", "/api/flavors/1", "/nowhere"):
        fields = {
            "Origin": SHOP,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,idempotency-key,if-match,prefer",
        }
        answer = await cors_client.options(path, headers=fields)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert {"patch", "post"} <= lower(answer.headers["access-control-allow-methods"])
        allowed = lower(answer.headers["access-control-allow-headers"])
        assert {"authorization", "idempotency-key", "if-match", "prefer"} <= allowed
        assert answer.headers["x-request-id"]


async def test_another_origin_is_not_allowed(cors_client: httpx.AsyncClient) -> None:
    fields = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    preflight = await cors_client.options("/api/orders/", headers=fields)
    assert preflight.status_code == 400
    for answer in (preflight, await cors_client.get("/api/orders/", headers=fields)):
        assert "access-control-allow-origin" not in answer.headers


async def test_options_without_a_preflight_lists_the_methods_of_the_path(
    cors_client: httpx.AsyncClient,
) -> None:
    answer = await cors_client.options("/api/token/", headers={"Origin": SHOP})
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, POST")
    assert answer.headers["access-control-allow-origin"] == SHOP
