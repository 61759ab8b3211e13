"""Test HEAD and OPTIONS on every path."""

import asyncio
import logging

import httpx
import pytest

from icecream import app
from tests.conftest import Caller, new_flavor, place

# The database makes no difference here.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
# Values of path parameters, also of objects that do not exist.
OTHERS = {
    "name": "style.css",
    "path": "x",
    "provider": "x",
    "payment": 1,
    "endpoint": 1,
    "api_key": 1,
    "kind": "prices",
}
# Headers that may differ between two responses.
CHANGING = ("x-request-id", "ratelimit", "content-length")


def same(head: httpx.Response, get: httpx.Response) -> None:
    assert head.status_code == get.status_code
    assert head.content == b""
    fields = [
        {name: value for name, value in one.headers.items() if name not in CHANGING}
        for one in (head, get)
    ]
    assert fields[0] == fields[1]
    assert head.headers.keys() == get.headers.keys()


def paths(method: str) -> list[str]:
    routes = app.litestar().routes
    return sorted(route.path_format for route in routes if method in getattr(route, "methods", ()))


async def test_head_equals_get_without_a_body_for_every_path(staff: Caller) -> None:
    flavor = await new_flavor()
    await place(staff.user.id, {flavor: 1})
    order = (await staff.get("/api/orders/?limit=1")).json()[0]["id"]
    streams = {"/api/events", "/dashboard/live"}
    for template in set(paths("GET")) - streams:
        values = OTHERS | {"flavor": flavor, "order": order, "user": staff.user.id}
        path = template.format(**values)
        same(await staff.request("HEAD", path), await staff.get(path))


async def test_head_of_a_list_that_has_not_changed_is_304(staff: Caller) -> None:
    tag = (await staff.request("HEAD", "/api/flavors/")).headers["etag"]
    seen = {"If-None-Match": tag}
    same(
        await staff.request("HEAD", "/api/flavors/", headers=seen),
        await staff.get("/api/flavors/", headers=seen),
    )
    assert (await staff.request("HEAD", "/api/flavors/", headers=seen)).status_code == 304


async def test_head_leaves_no_stream_open(staff: Caller) -> None:
    for _ in range(15):
        answer = await asyncio.wait_for(staff.request("HEAD", "/api/events/"), 10)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.content == b""


async def test_head_of_a_path_without_get_lists_the_allowed_methods(customer: Caller) -> None:
    answer = await customer.request("HEAD", "/api/orders/quote/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")


async def test_head_is_in_the_log_as_head(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="icecream.access")
    await client.head("/health/live")
    await asyncio.sleep(0)
    assert "HEAD /health/live 200" in caplog.text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/api/orders", "GET, HEAD, OPTIONS, POST"),
        ("/api/orders/", "GET, HEAD, OPTIONS, POST"),
        ("/api/flavors/1", "GET, HEAD, OPTIONS, PATCH"),
        ("/api/payments/1", "GET, HEAD, OPTIONS"),
        ("/api/payments/1/retry/", "OPTIONS, POST"),
        ("/api/payment-method", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/api/token/", "OPTIONS, POST"),
        ("/schema/openapi.json", "GET, HEAD, OPTIONS"),
        ("/dashboard/", "GET, HEAD, OPTIONS"),
        ("/admin/", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        ("/admin/api/tables/flavor/", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    ],
)
async def test_options_lists_the_methods_without_a_token(
    client: httpx.AsyncClient, path: str, allowed: str
) -> None:
    answer = await client.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")


async def test_options_and_a_refused_method_list_the_same_methods(
    staff: Caller, client: httpx.AsyncClient
) -> None:
    for template in paths("OPTIONS"):
        path = template.format(**OTHERS, flavor=1, order=1, user=1)
        answer = await client.options(path)
        assert answer.status_code == 204, path
        refused = await staff.request("TRACE", path)
        assert (refused.status_code, refused.headers["allow"]) == (405, answer.headers["allow"])


async def test_options_of_an_unknown_path_is_404(client: httpx.AsyncClient) -> None:
    answer = await client.options("/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
