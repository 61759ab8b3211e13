"""Test that a handler accepts only the query parameters that it declares, as often as it allows."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from icecream import app
from icecream.http import query_parameters
from tests.conftest import Caller, place
from tests.dashboard.test_dashboard import session
from tests.test_app import check_problem

# The database makes no difference here.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
# Paths that ignore unknown query parameters: pages without data, and paths that are called by
# programs which may add to an address. The dashboard's page checks its query in its own code.
PASSED_OVER = {
    "/",
    "/admin",
    "/api/payments/webhooks/{provider:str}",
    "/assets/{name:str}",
    "/dashboard",
    "/favicon.ico",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/problems",
    "/schema",
    "/schema/clients.json",
    "/schema/openapi.json",
    "/schema/redoc",
    "/schema/{path:str}",
    # Links to these pages come from messages, or carry the page to open afterwards.
    "/set-password",
    "/sign-in",
    # These check their query in their own code, to show errors of the query on the page.
    "/staff/orders",
    "/staff/orders/file.csv",
    "/staff/orders/{order:int}",
}


def handlers() -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in app.litestar().routes:
        for handler in getattr(route, "route_handlers", []):
            if "OPTIONS" not in handler.http_methods:
                yield route.path, handler


async def test_an_unknown_parameter_is_refused_everywhere(staff: Caller) -> None:
    # The dashboard accepts the admin's cookie.
    cookie = {"Cookie": f"id={await session(staff.user)}"}
    passed_over = {"/admin"}
    for path, handler in handlers():
        if handler.opt.get("any_query"):
            passed_over.add(path)
            continue
        address = re.sub(r"\{\w+:(int|str)\}", "1", path) + "?surprise=1"
        for method in handler.http_methods:
            answer = await staff.request(method, address, json={}, headers=cookie)
            if answer.headers["content-type"].startswith("text/html"):
                assert (answer.status_code, "surprise" in answer.text) == (400, True), path
                continue
            problem = check_problem(answer, 400, "unknown-parameter")
            assert problem["errors"][0]["pointer"] == "/surprise", path
    assert passed_over == PASSED_OVER


@pytest.mark.parametrize("path", sorted({"/health/live", "/", "/problems", "/favicon.ico"}))
async def test_pages_without_data_ignore_unknown_parameters(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.get(f"{path}?utm_source=mail&x=1&x=2")).status_code == 200


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        (
            "/api/orders/?statuss=paid",
            "There is no query parameter 'statuss' (did you mean status?).",
        ),
        ("/api/orders/?Limit=2", "There is no query parameter 'Limit' (did you mean limit?)."),
        ("/api/orders/?page=2", "There is no query parameter 'page'."),
        ("/api/flavors/?limit=2", "There is no query parameter 'limit'."),
        ("/api/orders/?limit=x", "limit must be a whole number from 1 to 500."),
        ("/api/orders/?limit=0", "limit must be a whole number from 1 to 500."),
        ("/api/orders/?limit=1&limit=2", "limit must be sent once, not 2 times."),
        ("/api/orders/?" + "status=paid&" * 7, "status must be sent at most 6 times."),
        ("/api/flavors/?archived=maybe", "archived must be true or false."),
        ("/api/orders/?sort=name", "sort must be one of id, -id, total, -total."),
        ("/api/events/?after=-1", "after must be a whole number from 0 to 9223372036854775807."),
        ("/api/payments/?order=null", "order must be a whole number from 1 to 922337203685477"),
        ("/api/payments/?state=gone", "state must be one of new, sent, unknown, parked"),
        (
            "/api/payments/?state_=new",
            "There is no query parameter 'state_' (did you mean state?).",
        ),
        ("/api/dashboard/?through=2026-01-01", "There is no query parameter 'through'."),
        (
            "/api/orders/?created_from=today",
            "created_from must be a time with its offset, such as 2025-05-13T10:22:06Z.",
        ),
    ],
)
async def test_a_refusal_names_the_allowed_values(staff: Caller, address: str, detail: str) -> None:
    answer = await staff.get(address)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail)


async def test_a_refusal_of_any_value_is_a_readable_sentence(staff: Caller) -> None:
    tried = 0
    for path, handler in handlers():
        address = re.sub(r"\{\w+:int\}", "1", path)
        for name, one in query_parameters.declared_parameters(handler).items():
            for bad in ("", "null", "x", "-1", "1.5", "9" * 30, "\0", "x" * 300):
                answer = await staff.get(address, params={name: bad})
                assert answer.status_code < 500
                if answer.headers["content-type"] == "application/problem+json":
                    detail = answer.json()["detail"]
                    assert not re.search(r"`|Expected|regex|\^|enum value", detail), (name, bad)
                    tried += 1
            assert "of another type" not in one.allowed, (path, name)
    assert tried > 50


async def test_a_filter_may_be_repeated_and_stays_in_the_link(
    customer: Caller, flavor: int
) -> None:
    numbers = [(await place(customer.user.id, {flavor: 1})).order for _ in range(3)]
    await customer.post(f"/api/orders/{numbers[1]}/cancel/")
    seen: list[dict[str, Any]] = []
    address = "/api/orders/?status=canceled&status=pending&limit=2"
    first = await customer.get(address)
    seen += first.json() + (await customer.get(first.links["next"]["url"])).json()
    assert [one["id"] for one in seen] == numbers
    assert "canceled" in {one["status"] for one in seen}
    only = (await customer.get("/api/orders/?status=canceled")).json()
    assert [one["id"] for one in only] == [numbers[1]]


async def test_a_call_without_a_query_is_not_checked(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(query_parameters, "check_parameters")
    answer = await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    assert answer.json()["status"] == "Order placed"


async def test_a_stream_continues_from_the_last_event_id_parameter(staff: Caller) -> None:
    """Such scripts send the last id in the query, because custom headers need a preflight."""
    async with asyncio.timeout(10):
        answer = await staff.get("/api/events/?lastEventId=99999999999")
    problem = check_problem(answer, 400, "validation-failed")
    assert problem["errors"][0]["pointer"] == "/lastEventId"


async def test_each_position_of_a_stream_is_checked_also_one_that_is_not_used(
    staff: Caller,
) -> None:
    headers = {"Last-Event-ID": "0"}
    async with asyncio.timeout(10):
        answer = await staff.get("/api/events/?lastEventId=", headers=headers)
    problem = check_problem(answer, 400, "validation-failed")
    assert problem["errors"][0]["pointer"] == "/lastEventId"


async def test_the_parameters_of_a_handler_are_read_once(customer: Caller) -> None:
    """Litestar copies the handler for each guard; a cache with it as key would grow forever."""
    await customer.get("/api/orders/?limit=1")
    before = query_parameters.declared_parameters.cache_info().currsize
    for _ in range(3):
        assert (await customer.get("/api/orders/?limit=1")).status_code == 200
    assert query_parameters.declared_parameters.cache_info().currsize == before
