"""Test that no hostile value in any field causes a server error or a change.

A value is either accepted, or refused with an answer that names its field.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
import pytest

from icecream import app, settings
from icecream.accounts import api_keys
from icecream.http import openapi, query_parameters, rate_limits
from icecream.settings import signing_keys
from icecream.tables import Event, Flavor, Order, Payment, StockMove, User
from icecream.webhooks import endpoint_types, endpoints
from tests.conftest import Caller, new_flavor, payment_id, place
from tests.fuzz import hostile
from tests.http.test_query_parameters import handlers
from tests.security.calls import Response, call

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
# These write nothing, or nothing that is counted.
UNCOUNTED = ("/token/", "/refresh/", "/revoke/", "/password/", "/quote/", "/payment-method/")
TABLES = (Order, Flavor, Payment, StockMove, Event, User)


class Body(NamedTuple):
    """A request with a valid body."""

    method: str
    path: str
    fields: dict[str, Any]


ORDER = {"quantity": 1, "flavor": "{flavor}"}
TODAY = datetime.now(UTC).date().isoformat()
ADDED = {"reference": "x", "note": "x", "delivery_date": TODAY}
PRODUCT_DATA = {
    "unit": "tub",
    "pack_size": 1,
    "net_content_ml": 1,
    "on_sale_from": TODAY,
    "min_quantity": 1,
    "quantity_multiple": 1,
    "low_stock_threshold": 1,
}
SCOPES = {"scopes": ["read"]}
REASON = {"reason": "a test"}
WHY = {**REASON, "internal_note": "x"}
GOODS = {**REASON, "reason_code": "melted", "restock": False}
DESCRIPTION = {"description": "x"}
REST = {"archived": False, "stock": None}
WEBHOOK = {"url": "https://shop.example.org/", "description": "x", "types": None}
PERIOD = {"since": "2025-05-13T10:22:05Z", "until": "2025-05-13T10:22:06Z"}
BODIES = [
    Body("POST", "/api/token/", {"username": "x", "password": "x"}),
    Body("POST", "/api/token/refresh/", {"refresh": "x.y.z"}),
    Body("POST", "/api/token/revoke/", {"refresh": "x.y.z", "all": False}),
    Body("POST", "/api/me/password/", {"current_password": "x", "new_password": "an allowed one"}),
    Body("POST", "/api/keys/", {"name": "x", **SCOPES, "expires_at": "2999-01-01T00:00:00Z"}),
    Body("POST", "/api/keys/", {"name": "x", **SCOPES, "user": 1}),
    Body("POST", "/api/flavors/add/", {"name": "x", "price": 1, "stock": 1, **DESCRIPTION}),
    Body("POST", "/api/flavors/add/", {"name": "x", "sku": "x"}),
    Body("POST", "/api/flavors/add/", {"name": "x", "allergens": ["milk"]}),
    Body("POST", "/api/flavors/add/", {"name": "x", "on_sale_to": TODAY}),
    Body("POST", "/api/flavors/add/", {"name": "x", **PRODUCT_DATA}),
    Body("PATCH", "/api/flavors/{flavor}/", {"name": "x", "price": 1, **DESCRIPTION, **REST}),
    Body("PATCH", "/api/flavors/{flavor}/", {"sku": "x"}),
    Body("PATCH", "/api/flavors/{flavor}/", {"allergens": ["milk"]}),
    Body("PATCH", "/api/flavors/{flavor}/", {"on_sale_to": TODAY}),
    Body("PATCH", "/api/flavors/{flavor}/", PRODUCT_DATA),
    Body("POST", "/api/flavors/{flavor}/stock/", {"quantity": 1, **REASON}),
    Body("POST", "/api/orders/", ORDER | ADDED),
    Body("POST", "/api/orders/", {"sku": "x"}),
    Body("POST", "/api/orders/", {"lines": []}),
    Body("POST", "/api/orders/quote/", ORDER | ADDED),
    Body("POST", "/api/orders/quote/", {"sku": "x"}),
    Body("POST", "/api/orders/quote/", {"lines": []}),
    Body("POST", "/api/orders/{order}/refund/", {**WHY, "amount": 1}),
    Body("POST", "/api/orders/{order}/refund/", GOODS),
    Body("POST", "/api/orders/{order}/refund/", {"lines": []}),
    Body("POST", "/api/orders/fulfilment/", {"orders": [1], "to": "packed", **WHY}),
    Body("POST", "/api/payments/{payment}/retry/", {**WHY, "reference": "x"}),
    Body("POST", "/api/payments/{payment}/book/", WHY),
    Body("POST", "/api/payments/{payment}/release/", WHY),
    Body("POST", "/api/payments/{payment}/refund/", WHY),
    Body("PUT", "/api/payment-method/", {"reference": "x"}),
    Body("POST", "/api/webhooks/", WEBHOOK),
    Body("PATCH", "/api/webhooks/{endpoint}/", WEBHOOK | {"enabled": True}),
    Body("POST", "/api/webhooks/{endpoint}/rotate/", {"overlap_hours": 0}),
    Body("POST", "/api/webhooks/{endpoint}/replay/", {"delivery": 1}),
    Body("POST", "/api/webhooks/{endpoint}/replay/", PERIOD),
]
FIELDS = [(body, name) for body in BODIES for name in body.fields]
KINDS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
ADMIN = Body("GET", "/admin/", {})
ME = Body("GET", "/api/me/", {})
QUOTE = Body("POST", "/api/orders/quote/", ORDER)
# Requests that read a header field, besides two that get every field.
READERS = {
    "Accept": [Body("GET", "/api/stats/", {})],
    "Accept-Encoding": [Body("GET", "/pages/dashboard.js", {})],
    "Authorization": [ADMIN, Body("GET", "/metrics", {})],
    "Cookie": [ADMIN, Body("GET", "/dashboard/", {})],
    "Host": [ADMIN, Body("GET", "/", {})],
    "Idempotency-Key": [Body("POST", "/api/orders/", ORDER)],
    "If-None-Match": [Body("GET", "/api/flavors/", {})],
    "If-Match": [Body("PATCH", "/api/flavors/{flavor}/", {"price": 1})],
    "Last-Event-ID": [Body("GET", "/api/events/", {})],
    "Origin": [ADMIN],
    "Prefer": [Body("POST", "/api/orders/", ORDER)],
    "Sec-Fetch-Site": [Body("POST", "/admin/api/forms/", {})],
    "Stripe-Signature": [Body("POST", "/api/payments/webhooks/stripe/", {})],
    "X-CSRFToken": [Body("POST", "/admin/api/tables/flavor/", {"name": "x"})],
}
HEADERS = (
    *READERS,
    "Accept-Language",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Expect",
    "Forwarded",
    "Range",
    "Referer",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-HTTP-Method-Override",
    "X-Request-Id",
)


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of requests come from one address."""
    monkeypatch.setattr(api_keys, "MAX_KEYS", 1_000_000)
    (key, *_) = signing_keys.load_keys(settings.load())
    values = {"ICECREAM_RATE_LIMIT": "1000000/minute", "ICECREAM_SECRET_KEY": key}
    loaded = settings.parse_settings(values)
    monkeypatch.setattr(settings, "load", lambda: loaded)
    monkeypatch.setattr(rate_limits, "LOGIN_ATTEMPT_LIMITS", [])
    monkeypatch.setattr(
        rate_limits, "FAILED_LOGIN_LIMIT", rate_limits.limits.parse("1000000/minute")
    )


class Target:
    """The application, its caller and the objects in its paths."""

    def __init__(self, caller: Caller, objects: dict[str, int]) -> None:
        transport: Any = caller.client._transport
        self.app, self.caller, self.objects = transport.app, caller, objects
        self.token = {"Authorization": f"Bearer {caller.access}"}

    async def send(self, body: Body, headers: dict[str, str], text: bytes) -> Response:
        headers = self.token | headers
        return await call(self.app, body.method, self.fill_in(body.path), headers, body=text)

    def fields(self, body: Body) -> dict[str, Any]:
        """Return the valid fields of a body."""
        text = msgspec.json.encode(body.fields).decode().replace('"{flavor}"', "{flavor}")
        fields: dict[str, Any] = msgspec.json.decode(self.fill_in(text))
        return fields

    def fill_in(self, template: str) -> str:
        for name, number in self.objects.items():
            template = template.replace(f"{{{name}}}", str(number))
        return template


@pytest.fixture
async def target(customer: Caller, staff: Caller) -> Target:
    flavor = await new_flavor()
    placed = await place(customer.user.id, {flavor: 1})
    new = endpoint_types.NewWebhookEndpoint("https://shop.example.org/")
    objects = {
        "flavor": flavor,
        "order": placed.order,
        "payment": payment_id(placed),
        "endpoint": (await endpoints.create_endpoint(new, user=staff.user.id)).id,
    }
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
    # Some values break the body itself, or add another field. An allowed new password needs the
    # current one, and allowed lines of a refund need a reason. A period must end after it begins.
    others = ([""], ["/quantity"], ["/current_password"], ["/reason"], ["/until"])
    broken = problem["code"] == "validation-failed" and pointers in others
    assert broken or any(name in pointer for pointer in pointers), (name, value[:80], problem)
    assert len(answer.body) < 2000, (name, value[:80])
    return False


def to_bytes(value: str) -> bytes:
    """Return the text as it is sent; some values are bytes that are not UTF-8."""
    return value.encode("utf-8", "surrogateescape")


def encode(fields: dict[str, Any], name: str, value: str, kind: str) -> bytes:
    """Return a body in which the value is the field's."""
    if kind == KINDS[0]:
        # The value is a text in JSON.
        return msgspec.json.encode(fields | {name: "\0"}).replace(rb'"\u0000"', to_bytes(value))
    if kind == KINDS[1]:
        return urlencode(fields | {name: value}, doseq=True, errors="surrogateescape").encode()
    head = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    parts = [
        (one, part)
        for one, sent in (fields | {name: value}).items()
        for part in (sent if isinstance(sent, list) else [sent])
    ]
    return (
        b"".join(head % (one.encode(), to_bytes(str(part))) for one, part in parts) + b"--x--\r\n"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("body", "name"), FIELDS, ids=[f"{b.path} {n}" for b, n in FIELDS])
async def test_no_value_of_a_body_is_a_server_error(
    target: Target, body: Body, name: str, kind: str
) -> None:
    values = hostile.json_texts() if kind == KINDS[0] else hostile.plain_texts()
    assert len(values) >= 1000
    fields = target.fields(body)
    if kind != KINDS[0]:
        fields = {one: value for one, value in fields.items() if value is not None}
    before, accepted = await counts(), 0
    for value in values:
        text = encode(fields, name, value, kind)
        answer = await target.send(body, {"Content-Type": kind}, text)
        accepted += check(answer, name, value)
    if not accepted or body.path.endswith(UNCOUNTED):
        assert await counts() == before
    elif body.path == "/api/flavors/add/":
        assert (await counts())[1] - before[1] == accepted


@pytest.mark.parametrize("name", ["quantity", "flavor"])
async def test_no_value_of_a_line_is_a_server_error(target: Target, name: str) -> None:
    body = Body("POST", "/api/orders/quote/", {})
    line = target.fields(QUOTE)
    for value in hostile.json_texts():
        text = b'{"lines": [%s]}' % encode(line, name, value, KINDS[0])
        check(await target.send(body, {"Content-Type": KINDS[0]}, text), name, value)


def test_every_field_of_every_body_and_every_header_field_is_tried() -> None:
    tried: dict[tuple[str, str], set[str]] = {}
    for body in BODIES:
        path = body.path.rstrip("/")
        tried.setdefault((body.method.lower(), path), set()).update(body.fields)
    document = openapi.expand(app.litestar().openapi_schema.to_schema())
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            fields = operation.get("parameters", [])
            assert {one["name"] for one in fields if one["in"] == "header"} <= {*HEADERS}
            content = operation.get("requestBody", {}).get("content", {})
            if KINDS[0] not in content:
                # See `test_imports`.
                assert not content or path == "/api/import/{kind}", path
            else:
                name = content[KINDS[0]]["schema"]["$ref"].rpartition("/")[2]
                assert tried.pop((method, path)) == schemas[name]["properties"].keys(), path
    assert tried == {}


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
        query = f"{first}{name}={quote(value, safe='', errors='surrogateescape')}".encode()
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
    for body in (*READERS.get(name, ()), ME, QUOTE):
        text = msgspec.json.encode(target.fields(body)) if body.method != "GET" else b""
        for value in values:
            headers = {"Content-Type": KINDS[0], name: value}
            answer = await target.send(body, headers, text)
            assert answer.status < 500, (name, value[:80], answer)
            if name != "X-Request-Id":
                assert len(value) < 20 or value not in str(answer.headers), (name, value[:80])
            orders += body.path == "/api/orders/" and answer.status == 200
    # A repeated key is a replay.
    if name != "Idempotency-Key":
        assert (await counts())[0] - before[0] == orders


def templates() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each path with a parameter, with `{}` for its value, and its methods."""
    methods: dict[str, set[str]] = {}
    for path, handler in handlers():
        if "{" in path:
            methods.setdefault(re.sub(r"\{.*?\}", "{}", path), set()).update(handler.http_methods)
    for path, found in methods.items():
        yield path, tuple(sorted({*found} - {"HEAD"}))


@pytest.mark.parametrize(("template", "methods"), list(templates()))
async def test_no_value_of_a_path_is_a_server_error(
    target: Target, template: str, methods: tuple[str, ...]
) -> None:
    # A short number may be the id of another test's order, which staff may cancel.
    values = [one for one in hostile.plain_texts() if not re.fullmatch("[1-9][0-9]{0,8}", one)]
    assert len(values) >= 1000
    before = await counts()
    for value in values:
        path = template.format(quote(value, safe="", errors="surrogateescape"))
        if len(path) < 30_000:
            for method in methods:
                answer = await call(target.app, method, path, target.token, body=b"")
                assert answer.status < 500, (method, path[:80], answer)
    assert await counts() == before
