"""Test what applies to every response: security headers, request ids and log lines."""

import asyncio
import logging
import re
from typing import Any

import httpx
import msgspec
import pytest

from icecream import app
from icecream.http import middleware
from icecream.orders import placing
from tests.conftest import METRICS_HEADERS, Caller, records_of

pytestmark = pytest.mark.anyio
PATHS = ["/health/live", "/api/orders/", "/nowhere", "/api/token/", "/schema/openapi.json"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_response_has_the_security_headers(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "default-src" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers
    assert len(headers["x-request-id"]) >= 16


async def test_responses_with_personal_data_are_not_cached(customer: Caller) -> None:
    assert (await customer.get("/api/orders/")).headers["cache-control"] == "no-store"


async def test_a_request_id_is_accepted_and_repeated_in_problems(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"X-Request-Id": "abc-123"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "abc-123"


@pytest.mark.parametrize(
    "bad", [b"", b"x" * 65, b"a b", b"a\x07b", b"\xff", b"pm_card_visa", b"eyJh.eyJz.c2ln"]
)
async def test_a_request_id_that_is_unsafe_in_the_log_is_replaced(
    client: httpx.AsyncClient, bad: bytes
) -> None:
    answer = await client.get("/health/live", headers=[(b"X-Request-Id", bad)])
    assert answer.headers["x-request-id"].encode() != bad


async def test_several_lines_of_a_header_field_are_joined(customer: Caller, flavor: int) -> None:
    def lines(name: str, *values: str) -> list[tuple[str, str]]:
        access = ("Authorization", f"Bearer {customer.access}")
        return [access, *((name, value) for value in values)]

    ask, order = customer.client.request, {"flavor": flavor, "quantity": 1}
    prefer = lines("Prefer", "return=minimal", "wait=0")
    answer = await ask("POST", "/api/orders/", json=order, headers=prefer)
    assert answer.headers["preference-applied"] == "wait=0"
    for keys in (("a", "b"), ("a", "a"), ('"a"', '"a"')):
        twice = lines("Idempotency-Key", *keys)
        answer = await ask("POST", "/api/orders/", json=order, headers=twice)
        assert answer.json()["code"] == "idempotency-key-invalid"
    tag = (await customer.get("/api/flavors/")).headers["etag"]
    for tags in ((tag, '"x"'), ('"x"', tag)):
        seen = lines("If-None-Match", *tags)
        assert (await ask("GET", "/api/flavors/", headers=seen)).status_code == 304


def access_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = records_of(caplog, middleware.log)
    return [line for record in records for line in record.getMessage().split("\n")]


async def test_each_request_is_one_line_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="icecream.access")
    headers = {"X-Request-Id": "mine"}
    answers = [client.get(path, headers=headers) for path in ("/health/live?secret=1", "/nowhere")]
    await asyncio.gather(*answers)
    await asyncio.sleep(0)
    lines = access_lines(caplog)
    for line, sent in zip(
        sorted(lines, key=len), ("/nowhere 404", "/health/live 200"), strict=True
    ):
        assert re.fullmatch(rf"\S+ \S+ INFO \[mine\] icecream.access: GET {sent} \S+ ms", line)


async def test_requests_that_are_refused_in_an_outage_are_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="icecream.access")
    log = middleware.AccessLog(as_json=False)
    for status in [503, 503, 200, 503]:
        log.add("GET", "/api/flavors/", "/api/flavors", status, 0.001)
    log.close()
    await asyncio.sleep(0)
    lines = access_lines(caplog)
    assert [line.split("GET ")[1][:17] for line in lines] == [
        "/api/flavors/ 503",
        "/api/flavors/ 200",
    ]
    assert "2 more requests got status 503." in caplog.text


async def test_a_line_may_be_json(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="icecream.access")
    middleware.request_id.set("abc")
    log = middleware.AccessLog(as_json=True)
    log.add("GET", "/api/orders/", "/api/orders", 200, 0.0123)
    log.add("GET", "/pm_card_visa", "unknown", 404, 0.001)
    log.add("GET", "/admin/pm_card_visa", "/admin", 404, 0.001)
    await asyncio.sleep(0)
    first, *others = map(msgspec.json.decode, access_lines(caplog))
    assert first.pop("timestamp").startswith("20")
    assert first == {
        "level": "info",
        "logger": "icecream.access",
        "event": "request",
        "request_id": "abc",
        "method": "GET",
        "path": "/api/orders/",
        "status": 200,
        "milliseconds": 12.3,
    }
    assert [other["path"] for other in others] == ["/[hidden]", "/admin/[hidden]"]


async def test_a_request_that_is_canceled_by_the_stop_is_503_and_not_500(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(placing.OrderPlacer, "place", cancelled)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"quantity": 1, "flavor": 1}'}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"authorization", f"Bearer {customer.access}".encode()),
        (b"content-type", b"application/json"),
    ]
    scope: Any = {
        "type": "http",
        "http_version": "1.0",
        "method": "POST",
        "path": "/api/orders",
        "raw_path": b"/api/orders",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "scheme": "http",
        "root_path": "",
    }
    with pytest.raises(asyncio.CancelledError):
        await app.create()(scope, receive, send)
    start, body = sent
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert msgspec.json.decode(body["body"])["code"] == "unavailable"


async def test_a_path_cannot_forge_a_line_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="icecream.access")
    await client.get("/nowhere%0AERROR%00forged")
    await asyncio.sleep(0)
    assert "GET /nowhere%0AERROR%00forged 404" in caplog.text


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (["ice"], 200),
        (["ice:8000"], 200),
        (["[2001:db8::1]:80"], 200),
        ([""], 200),
        (["ice:"], 200),
        (["ice:65536"], 400),
        (["ice:99999999"], 400),
        (["ice:x"], 400),
        (["[::1"], 400),
        (["a b"], 400),
        (["ice/admin"], 400),
        (["user@ice"], 400),
        (["ice", "ice"], 400),
    ],
)
@pytest.mark.parametrize("path", ["/health/live", "/dashboard/", "/admin/", "/nowhere"])
async def test_an_invalid_host_is_refused_everywhere(
    client: httpx.AsyncClient, path: str, hosts: list[str], status: int
) -> None:
    answer = await client.get(path, headers=httpx.Headers([("host", host) for host in hosts]))
    assert (answer.status_code == 400) == (status == 400)
    assert answer.status_code < 500
    if status == 400:
        assert answer.json()["code"] == "host-invalid"


@pytest.mark.parametrize(
    "path",
    [
        "//api/orders/",
        "/api//orders/",
        "/api/orders//",
        "/%61pi/orders/",
        "/api%2Forders/",
        "/api/%6Frders/",
        "/metric%73",
        "//metrics",
        "/admin//",
        "/%61dmin/",
        "/dashboard%2f",
        "/health/%6cive",
        "/nowhere/%c3%a9",
    ],
)
async def test_a_path_has_one_spelling(client: httpx.AsyncClient, path: str) -> None:
    request = client.build_request("GET", "/", headers=METRICS_HEADERS)
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = await client.send(request)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("path", ["/admin/api/tables/users/%00/", "/nowhere/%C3%A9%20x"])
async def test_a_path_may_have_encoded_characters_that_need_it(
    client: httpx.AsyncClient, path: str
) -> None:
    assert not middleware._is_unusual(path.encode())
    assert (await client.get(path)).status_code in (401, 404)
