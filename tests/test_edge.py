"""What holds for every answer."""

import logging

import httpx
import pytest

from tests.conftest import Caller

pytestmark = pytest.mark.anyio
PATHS = ["/health/live", "/api/orders/", "/nowhere", "/api/token/", "/schema/openapi.json"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "default-src" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers
    assert len(headers["x-request-id"]) >= 16


async def test_personal_data_is_not_stored_by_anybody(customer: Caller) -> None:
    assert (await customer.get("/api/orders/")).headers["cache-control"] == "no-store"


async def test_a_request_id_is_taken_over_and_told_in_problems(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"X-Request-Id": "abc-123"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "abc-123"


@pytest.mark.parametrize("bad", [b"", b"x" * 129, b"a b", b"a\x07b", b"\xff"])
async def test_a_request_id_that_could_spoil_the_log_is_replaced(
    client: httpx.AsyncClient, bad: bytes
) -> None:
    answer = await client.get("/health/live", headers=[(b"X-Request-Id", bad)])
    assert answer.headers["x-request-id"].encode() != bad


async def test_each_request_is_one_line_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="icecream.access")
    await client.get("/health/live?secret=1")
    (record,) = [one for one in caplog.records if one.name == "icecream.access"]
    assert record.getMessage().startswith("GET /health/live 200 ")
    assert "secret" not in record.getMessage()


async def test_a_path_cannot_forge_a_line_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="icecream.access")
    await client.get("/nowhere%0AERROR%00forged")
    assert "GET /nowhere%0AERROR%00forged 404" in caplog.text
