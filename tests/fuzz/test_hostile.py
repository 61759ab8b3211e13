"""Test that no hostile value in any field causes a server error or a change.

A value is either accepted, or refused with an answer that names its field.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
import pytest

from icecream import settings
from icecream.http import query_parameters, rate_limits
from icecream.settings import signing_keys
from icecream.tables import Event, Flavor, Order, Payment, StockMove, User
from tests.conftest import Caller, new_flavor, payment_id, place
from tests.fuzz import hostile
from tests.http.test_query_parameters import handlers
from tests.security.calls import Response, call

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
TABLES = (Order, Flavor, Payment, StockMove, Event, User)


class Body(NamedTuple):
    """A request with a valid body."""

    method: str
    path: str
    fields: dict[str, Any]


ORDER = {"quantity": 1, "flavor": "{flavor}"}
REASON = {"reason": "a test"}
BODIES = [
    Body("POST", "/api/token/", {"username": "x", "password": "x"}),
    Body("POST", "/api/token/refresh/", {"refresh": "x.y.z"}),
    Body("POST", "/api/flavors/add/", {"name": "x", "price": 1, "stock": 1}),
    Body("PATCH", "/api/flavors/{flavor}/", {"name": "x", "price": 1, "archived": False}),
    Body("POST", "/api/flavors/{flavor}/stock/", {"quantity": 1, **REASON}),
    Body("POST", "/api/orders/", ORDER),
    Body("POST", "/api/orders/", {"lines": []}),
    Body("POST", "/api/orders/quote/", ORDER),
    Body("POST", "/api/orders/{order}/refund/", {**REASON, "amount": 1}),
    Body("POST", "/api/payments/{payment}/retry/", {**REASON, "reference": "x"}),
    Body("POST", "/api/payments/{payment}/book/", REASON),
    Body("POST", "/api/payments/{payment}/release/", REASON),
    Body("POST", "/api/payments/{payment}/refund/", REASON),
    Body("PUT", "/api/payment-method/", {"reference": "x"}),
]
FIELDS = [(body, name) for body in BODIES for name in body.fields]
HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Expect",
    "Forwarded",
    "Host",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Origin",
    "Prefer",
    "Range",
    "Referer",
    "User-Agent",
    "X-CSRFToken",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-HTTP-Method-Override",
    "X-Request-Id",
)


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of requests come from one address."""
    (key, *_) = signing_keys.load_keys(settings.load())
    values = {"ICECREAM_RATE_LIMIT": "1000000/minute", "ICECREAM_SECRET_KEY": key}
    loaded = settings.parse_settings(values)
    monkeypatch.setattr(settings, "load", lambda: loaded)
    for name in ("LOGIN_ATTEMPT_LIMIT", "FAILED_LOGIN_LIMIT"):
        monkeypatch.setattr(rate_limits, name, rate_limits.limits.parse("1000000/minute"))


class Target:
    """The application, its caller and the objects in its paths."""

    def __init__(self, caller: Caller, objects: dict[str, int]) -> None:
        transport: Any = caller.client._transport
        self.app, self.caller, self.objects = transport.app, caller, objects
        self.token = {"Authorization": f"Bearer {caller.access}"}

    async def send(self, body: Body, kind: str, text: bytes) -> Response:
        headers = self.token | {"Content-Type": kind}
        return await call(self.app, body.method, self.fill_in(body.path), headers, body=text)

    def fill_in(self, template: str) -> str:
        for name, number in self.objects.items():
            template = template.replace(f"{{{name}}}", str(number))
        return template


@pytest.fixture
async def target(customer: Caller, staff: Caller) -> Target:
    flavor = await new_flavor()
    placed = await place(customer.user.id, {flavor: 1})
    objects = {"flavor": flavor, "order": placed.order, "payment": payment_id(placed)}
    return Target(staff, objects)


async def counts() -> list[int]:
    return [await table.count() for table in TABLES]


def check(answer: Response, name: str, value: str) -> bool:
    """Check an answer; return whether the value was accepted."""
    assert answer.status < 500, (name, value[:80], answer)
    if answer.status != 400:
        return answer.status < 300
    problem = answer.json
    pointers = [error["pointer"] for error in problem.get("errors", [])]
    # Some values break the body itself, or add another field.
    broken = problem["code"] == "validation-failed" and pointers in ([""], ["/quantity"])
    assert broken or any(name in pointer for pointer in pointers), (name, value[:80], problem)
    assert len(answer.body) < 2000, (name, value[:80])
    return False


def form_values(fields: dict[str, Any], name: str, value: str) -> bytes:
    return urlencode(fields | {name: value}, errors="surrogatepass").encode()


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize(("body", "name"), FIELDS, ids=[f"{b.path} {n}" for b, n in FIELDS])
async def test_no_value_of_a_body_is_a_server_error(
    target: Target, body: Body, name: str, kind: str
) -> None:
    is_json = kind == "application/json"
    values = hostile.json_texts() if is_json else hostile.plain_texts()
    assert len(values) >= 1000
    fields = msgspec.json.decode(
        target.fill_in(msgspec.json.encode(body.fields).decode().replace('"{flavor}"', "{flavor}"))
    )
    marked = msgspec.json.encode(fields | {name: "\0"})
    before, accepted = await counts(), 0
    for value in values:
        text = value.encode("utf-8", "surrogatepass")
        text = marked.replace(rb'"\u0000"', text) if is_json else form_values(fields, name, value)
        accepted += check(await target.send(body, kind, text), name, value)
    if not accepted or body.path.endswith(("/token/", "/quote/", "/payment-method/")):
        assert await counts() == before
    elif body.path == "/api/flavors/add/":
        assert (await counts())[1] - before[1] == accepted


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (path, name)
        for path, handler in handlers()
        if path.startswith("/api/") and "GET" in handler.http_methods
        for name in query_parameters.declared_parameters(handler)
    ],
)
async def test_no_value_of_a_query_is_a_server_error(target: Target, path: str, name: str) -> None:
    path = target.fill_in(re.sub(r":\w+", "", path))
    values = hostile.plain_texts()
    assert len(values) >= 1000
    before = await counts()
    for value in values:
        # A last day needs a first one.
        first = "from=2020-01-01&" if name == "to" else ""
        query = f"{first}{name}={quote(value, safe='', errors='surrogatepass')}".encode()
        if len(query) < 30_000:
            check(await call(target.app, "GET", path, target.token, query=query), name, value)
    assert await counts() == before


def header_values() -> Iterator[str]:
    for value in hostile.plain_texts():
        if not set("\r\n\0") & set(value) and len(value) < 30_000:
            # The server passes bytes on as they came.
            yield value


@pytest.mark.parametrize("name", HEADERS)
async def test_no_value_of_a_header_field_is_a_server_error(target: Target, name: str) -> None:
    values = list(header_values())
    assert len(values) >= 1000
    before, orders = await counts(), 0
    for value in values:
        for method, path, text in (
            ("GET", "/api/flavors/", b""),
            ("GET", "/api/stats/", b""),
            ("POST", "/api/orders/", b'{"quantity": 1, "flavor": %d}' % target.objects["flavor"]),
            ("GET", "/admin/", b""),
        ):
            headers = target.token | {"Content-Type": "application/json"} | {name: value}
            answer = await call(target.app, method, path, headers, body=text)
            assert answer.status < 500, (name, value[:80], answer)
            if name != "X-Request-Id":
                assert len(value) < 20 or value not in str(answer.headers), (name, value[:80])
            orders += method == "POST" and answer.status == 200
    # A repeated key is a replay.
    if name != "Idempotency-Key":
        assert (await counts())[0] - before[0] == orders


@pytest.mark.parametrize("template", ["/api/orders/{}/", "/api/flavors/{}/", "/api/payments/{}/"])
async def test_no_value_of_a_path_is_a_server_error(target: Target, template: str) -> None:
    before = await counts()
    for value in hostile.plain_texts():
        path = template.format(quote(value, safe="", errors="surrogatepass"))
        if len(path) < 30_000:
            for method in ("GET", "PATCH", "POST", "DELETE"):
                answer = await call(target.app, method, path, target.token, body=b"")
                assert answer.status < 500, (method, path[:80], answer)
    assert await counts() == before
