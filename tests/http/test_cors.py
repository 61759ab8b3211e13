"""Test what pages of other origins may send and read (in a browser: tests/http/test_browser.py)."""

from typing import Any

import httpx
import pytest

from icecream import app
from icecream.http import cors, methods, middleware
from tests.conftest import Caller

# This code does not depend on the database.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
SHOP = "https://shop.example"


@pytest.fixture
async def asked() -> httpx.AsyncClient:
    whole = cors.across_origins(methods.Methods(app.litestar()), (SHOP, "https://b.example"))
    transport = httpx.ASGITransport(middleware.Edge(whole, https=False), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def lower(names: str) -> set[str]:
    return set(names.lower().split(", "))


async def test_every_field_of_the_document_may_be_sent_or_read(client: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
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
    assert {"Idempotency-Key", "If-Match", "Prefer"} <= sent <= set(cors.SENT)
    assert {"ETag", "Link", "As-Of"} <= read
    assert read - {"Access-Control-Allow-Origin"} <= set(cors.READ)


async def test_an_answer_names_the_origin_and_what_it_may_read(
    asked: httpx.AsyncClient, customer: Caller
) -> None:
    access = {"Authorization": f"Bearer {customer.access}", "Origin": SHOP}
    for path, headers, status in (
        ("/api/flavors/", access, 200),
        ("/api/flavors/", {"Origin": SHOP}, 401),
        ("/api/flavors/x", access, 404),
        ("/api/orders/cancel/", access, 404),
    ):
        answer = await asked.get(path, headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "Origin" in answer.headers["vary"]
        exposed = answer.headers["access-control-expose-headers"]
        assert {"etag", "link", "retry-after", "x-request-id"} <= lower(exposed)


async def test_a_preflight_allows_what_the_api_takes(asked: httpx.AsyncClient) -> None:
    for path in ("/api/orders/", "/api/payments/1", "/api/flavors/1", "/nowhere"):
        fields = {
            "Origin": SHOP,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,idempotency-key,if-match,prefer",
        }
        answer = await asked.options(path, headers=fields)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert {"patch", "post"} <= lower(answer.headers["access-control-allow-methods"])
        allowed = lower(answer.headers["access-control-allow-headers"])
        assert {"authorization", "idempotency-key", "if-match", "prefer"} <= allowed
        assert answer.headers["x-request-id"]


async def test_another_origin_is_not_allowed(asked: httpx.AsyncClient) -> None:
    fields = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    preflight = await asked.options("/api/orders/", headers=fields)
    assert preflight.status_code == 400
    for answer in (preflight, await asked.get("/api/orders/", headers=fields)):
        assert "access-control-allow-origin" not in answer.headers


async def test_options_that_are_no_preflight_say_what_the_path_takes(
    asked: httpx.AsyncClient,
) -> None:
    answer = await asked.options("/api/token/", headers={"Origin": SHOP})
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, POST")
    assert answer.headers["access-control-allow-origin"] == SHOP
