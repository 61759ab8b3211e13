"""Test the OpenAPI document of the API."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from icecream import states
from icecream.http import openapi
from icecream.idempotency import keys
from icecream.webhooks import messages
from tests.conftest import Caller, new_flavor, place
from tests.processes import ROOT

pytestmark = pytest.mark.anyio
WITH_CSV = {"get /api/stats", "get /api/packing-list", "get /api/orders", "get /api/my-orders"}
MOST_BYTES = 150 * 1024
JSON_LINES = "application/x-ndjson"
SUCCESSES = {
    "get /api/events": {"text/event-stream"},
    "post /api/import/{kind}": {JSON_LINES},
    "get /api/export/{kind}": {JSON_LINES, "text/csv"},
}
KINDS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]


@pytest.fixture
async def served(client: httpx.AsyncClient) -> bytes:
    """Return the document as it is served."""
    return (await client.get("/schema/openapi.json")).content


@pytest.fixture
async def document(served: bytes) -> dict[str, Any]:
    """Return the document without references, except those to types."""
    return openapi.expand(msgspec.json.decode(served))


def type_of(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a type, also if the schema only refers to it."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


async def test_every_endpoint_of_the_contract_is_there(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert {name for name, _ in operations(document)} == {
        "post /api/token",
        "post /api/token/refresh",
        "post /api/token/revoke",
        "get /api/me",
        "post /api/me/password",
        "get /api/keys",
        "post /api/keys",
        "delete /api/keys/{api_key}",
        "get /api/events",
        "post /api/import/{kind}",
        "get /api/export/{kind}",
        "get /api/flavors",
        "post /api/flavors/add",
        "get /api/flavors/{flavor}",
        "patch /api/flavors/{flavor}",
        "post /api/flavors/{flavor}/stock",
        "get /api/orders",
        "post /api/orders",
        "post /api/orders/quote",
        "get /api/orders/states",
        "get /api/orders/{order}",
        "post /api/orders/{order}/cancel",
        "post /api/orders/{order}/pay",
        "post /api/orders/{order}/refund",
        "post /api/orders/fulfilment",
        "get /api/packing-list",
        "get /api/my-orders",
        "get /api/payments",
        "get /api/payments/{payment}",
        "post /api/payments/{payment}/retry",
        "post /api/payments/{payment}/book",
        "post /api/payments/{payment}/release",
        "post /api/payments/{payment}/refund",
        "get /api/payment-method",
        "put /api/payment-method",
        "delete /api/payment-method",
        "get /api/webhooks",
        "post /api/webhooks",
        "get /api/webhooks/{endpoint}",
        "patch /api/webhooks/{endpoint}",
        "delete /api/webhooks/{endpoint}",
        "post /api/webhooks/{endpoint}/rotate",
        "get /api/webhooks/{endpoint}/deliveries",
        "post /api/webhooks/{endpoint}/test",
        "post /api/webhooks/{endpoint}/replay",
        "get /api/stats",
        "get /api/dashboard",
    }


async def test_every_operation_has_a_description(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["description"], name
        assert operation["tags"], name
    for word in ("summary", "operationId"):
        values = {operation[word] for _, operation in operations(document)}
        assert len(values) == len(operations(document)), word


async def test_every_response_has_an_example_and_every_refusal_is_a_problem(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            assert "RateLimit" in answer["headers"], (name, status)
            if status in ("204", "304"):
                assert "content" not in answer, name
                continue
            kinds = set(answer["content"]) - ({"text/csv"} if name in WITH_CSV else set())
            good = SUCCESSES.get(name, {"application/json"})
            assert kinds == (good if status < "400" else {"application/problem+json"}), name
            for kind, content in answer["content"].items():
                schema = content["schema"]
                kept = type_of(document, schema.get("items", schema)).get("examples")
                assert kept or content["examples"], (name, status)
                for example in content.get("examples", {}).values():
                    assert set(example) <= {"summary", "description", "value"}, (name, status)
                    if kind == "application/problem+json":
                        assert example["value"]["status"] == int(status), (name, status)


async def test_operations_with_a_token_document_it_and_the_401_response(
    document: dict[str, Any],
) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    # One validator knows the scheme only in lower case.
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for name, operation in operations(document):
        opened = name.split()[1].startswith("/api/token")
        assert (operation.get("security") == [{}]) == opened, name
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"], name
        assert "Retry-After" in operation["responses"]["429"]["headers"], name


async def test_every_body_has_three_media_types_and_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        method = name.split()[0]
        if "requestBody" in operation and name != "post /api/import/{kind}":
            content = operation["requestBody"]["content"]
            assert sorted(content) == sorted(KINDS), name
            for kind in content.values():
                schema = type_of(document, kind["schema"])
                (example,) = schema["examples"]
                (alternative, *_) = schema.get("oneOf", [schema])
                if method == "patch":
                    assert example, name
                else:
                    assert set(example) == set(alternative["required"]), name
                assert schema["additionalProperties"] is False, name
            assert {"400", "413", "415"} <= set(operation["responses"]), name


async def test_every_limit_of_the_input_is_documented_exactly(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    order, flavor = schemas["NewOrder"]["properties"], schemas["NewFlavor"]["properties"]
    limits = [
        (order["quantity"], 1, 100_000),
        (type_of(document, order["flavor"]), 1, 2**63 - 1),
        (type_of(document, flavor["price"]), 0, 100_000_000),
        (flavor["stock"]["anyOf"][0], 0, 10**12),
    ]
    for field, least, most in limits:
        assert (field["minimum"], field["maximum"]) == (least, most)
        assert isinstance(field["maximum"], int)
    for name in (schemas["Credentials"]["properties"]["username"], flavor["name"]):
        assert (name["minLength"], name["maxLength"]) == (1, 100)


async def test_patterns_work_in_other_languages(document: dict[str, Any]) -> None:
    assert "\\ud800" not in json.dumps(document)
    pattern = document["components"]["schemas"]["NewFlavor"]["properties"]["name"]["pattern"]
    assert re.search(pattern, "Eis \U0001f366")
    for bad in ("", "a\n", "a\0b", "\x85"):
        assert not re.search(pattern, bad)


async def test_exactly_the_used_schemas_are_documented(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    used = set(re.findall(r"#/components/schemas/(\w+)", msgspec.json.encode(document).decode()))
    assert used == set(schemas)
    for name, schema in schemas.items():
        assert "properties" not in schema or schema["description"], name
    assert schemas["Problem"]["additionalProperties"] is True


async def test_each_operation_documents_its_own_refusals(document: dict[str, Any]) -> None:
    def codes(path: str, status: str) -> set[str]:
        content = document["paths"][path]["post"]["responses"][status]["content"]
        examples = content["application/problem+json"]["examples"].values()
        return {example["value"]["code"] for example in examples}

    assert codes("/api/orders", "409") == {
        "idempotency-key-in-use",
        "insufficient-stock",
        "payment-method-required",
    }
    assert codes("/api/flavors/add", "409") == {"name-taken", "sku-taken", "idempotency-key-in-use"}
    assert codes("/api/flavors/add", "403") == {"forbidden", "insufficient-scope"}


async def test_the_link_of_a_list_page_is_documented(document: dict[str, Any]) -> None:
    for path in ("/api/orders", "/api/my-orders", "/api/payments"):
        operation = document["paths"][path]["get"]
        assert "Link" in operation["responses"]["200"]["headers"]
        assert {"limit", "after"} <= {one["name"] for one in operation["parameters"]}


async def test_responses_conform_to_the_document(
    document: dict[str, Any], customer: Caller, staff: Caller, flavor: int
) -> None:
    placed = await place(customer.user.id, {flavor: 1})
    number, payment = placed.order, placed.payment
    order, quick = {"quantity": 1, "flavor": flavor}, {"Prefer": "wait=0"}
    headers = document["components"]["headers"]
    on_each_success = [name for name, one in headers.items() if one.get("x-on-each-success")]
    assert on_each_success == ["RateLimit-Policy", "X-Request-Id"]
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/api/orders", order),
        ("POST", "/api/orders/quote", {"lines": [order]}),
        ("GET", "/api/orders", None),
        ("GET", "/api/orders/states", None),
        ("GET", "/api/orders/{order}", None),
        ("POST", "/api/orders/{order}/cancel", None),
        ("GET", "/api/flavors", None),
        ("GET", "/api/flavors/{flavor}", None),
        ("POST", "/api/flavors/add", {"name": "As documented"}),
        ("GET", "/api/payment-method", None),
        ("PUT", "/api/payment-method", {"reference": "pm_1"}),
        ("GET", "/api/payments", None),
        ("GET", "/api/payments/{payment}", None),
        ("GET", "/api/stats", None),
        ("GET", "/api/stats?interval=day", None),
        ("GET", "/api/dashboard", None),
    ]
    for method, path, body in calls:
        address = path.format(order=number, flavor=flavor, payment=payment)
        path = path.partition("?")[0]
        staffs = any(word in address for word in ("payments", "dashboard", "?"))
        caller = staff if staffs else customer
        answer = await caller.request(method, address, json=body, headers=quick)
        assert all(name in answer.headers for name in on_each_success), path
        said = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        schema = said["content"]["application/json"]["schema"]
        if path == "/api/stats":
            schema = type_of(document, schema)
        found = answer.json()
        for alternative in schema.get("oneOf", []):
            if (alternative.get("type") == "array") == isinstance(found, list):
                schema = alternative
        if schema.get("type") == "array":
            schema, found = schema["items"], found[0]
        properties = document["components"]["schemas"][schema["$ref"].split("/")[-1]]
        assert set(found) == set(properties["properties"]), path


async def test_refusals_conform_to_the_document(document: dict[str, Any], customer: Caller) -> None:
    forged, scarce = {"Authorization": "Bearer x.y.z"}, await new_flavor(stock=1)
    calls: list[tuple[int, str, str, dict[str, Any]]] = [
        (400, "POST", "/api/orders", {"json": {"x" * 100_000: 1}}),
        (400, "GET", "/api/orders", {"params": {"after": "nonsense"}}),
        (401, "GET", "/api/orders", {"headers": forged}),
        (401, "POST", "/api/token", {"data": {"username": "nobody", "password": "nothing"}}),
        (403, "POST", "/api/flavors/add", {"json": {"name": "Mine", "price": 1}}),
        (400, "GET", "/api/orders", {"params": {"status": "gone"}}),
        (400, "POST", "/api/orders", {"headers": {"Idempotency-Key": "a b"}, "json": {}}),
        (403, "GET", "/api/orders", {"params": {"user": "all"}}),
        (409, "POST", "/api/orders", {"json": {"flavor": scarce, "quantity": 2}}),
        (409, "POST", "/api/orders/quote", {"json": {"flavor": scarce, "quantity": 2}}),
        (413, "POST", "/api/orders", {"content": b" " * 2_000_000}),
        (415, "POST", "/api/orders", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
    ]
    for status, method, path, call in calls:
        answer = await customer.request(method, path, **call)
        assert answer.status_code == status, answer.text
        problem = msgspec.convert(answer.json(), openapi.Problem)
        assert problem.status == status
        said = document["paths"][path][method.lower()]["responses"][str(status)]["headers"]
        for name, header in said.items():
            # This header is absent: no page of an allowed origin made the call.
            if name != "Access-Control-Allow-Origin":
                pattern = header["schema"].get("pattern", "^[0-9]+$")
                assert re.search(pattern, answer.headers[name]), (status, path, name)


LINTERS = {
    "spectral": ["lint", f"--ruleset={ROOT}/.ci/spectral.yaml", "--fail-severity=warn"],
    "redocly": ["lint", "--max-problems=20", "--format=stylish"],
}


@pytest.mark.slow
@pytest.mark.needs("npm")
@pytest.mark.only("sqlite")
@pytest.mark.parametrize("linter", LINTERS)
def test_linters_find_nothing(served: bytes, linter: str, tmp_path: Path) -> None:
    """Check the document with Spectral (OWASP's rules) and Redocly (its recommended rules)."""
    path = tmp_path / "openapi.json"
    # A server on the internet has https.
    path.write_bytes(served.replace(b"http://127.0.0.1:8000", b"https://ice.example.org"))
    run = subprocess.run(
        [ROOT / ".ci/node_modules/.bin" / linter, *LINTERS[linter], path],
        cwd=tmp_path,
        env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout


def test_the_members_of_an_order_are_one_set_or_the_other(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["NewOrder"]

    def valid(*members: str) -> bool:
        def fits(one: dict[str, Any]) -> bool:
            others = [other["required"][0] for other in one["not"]["anyOf"]]
            return {*one["required"]} <= {*members} and not {*others} & {*members}

        return sum(fits(one) for one in schema["oneOf"]) == 1

    assert valid("quantity", "flavor") and valid("quantity", "sku") and valid("lines")
    assert not any(map(valid, ("quantity", "flavor", "sku")))
    assert not valid("quantity", "flavor", "sku")
    assert not valid("quantity", "lines") and not valid("sku", "lines")


async def test_the_document_says_each_thing_once(served: bytes) -> None:
    assert len(served) <= MOST_BYTES
    parts = msgspec.json.decode(served)["components"]
    text = served.decode()
    for kind in set(parts) - {"securitySchemes"}:
        for name in parts[kind]:
            assert f'"#/components/{kind}/{name}"' in text, name
    # Generators make types of these parts, each with its name.
    named = [*parts["parameters"], *parts["responses"], *parts["schemas"]]
    assert len(named) == len(set(named))


def parts_of(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from parts_of(part)


async def test_generators_understand_every_type(document: dict[str, Any]) -> None:
    for part in parts_of(document["components"]["schemas"]):
        for name, member in part.get("properties", {}).items():
            assert member.get("type") != "null", name
    for part in parts_of(document):
        for limit in {"minimum", "maximum"} & part.keys():
            if isinstance(part[limit], int | float) and part.get("type") == "integer":
                assert isinstance(part[limit], int)
                assert -(2**63) <= part[limit] < 2**63
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                assert type_of(document, parameter["schema"])["examples"], name
        for response in operation["responses"].values():
            content = response.get("content", {}).get("application/json", {"schema": {}})
            assert "oneOf" not in content["schema"], name


async def test_the_server_has_an_address(document: dict[str, Any]) -> None:
    (server,) = document["servers"]
    assert server["url"] == "http://127.0.0.1:8000"


async def test_the_idempotency_key_has_one_limit(document: dict[str, Any]) -> None:
    found = {
        parameter["schema"]["maxLength"]
        for _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "Idempotency-Key"
    }
    assert found == {keys.MAX_KEY_LENGTH}


async def test_every_type_of_event_is_documented(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["EventType"]["enum"] == list(messages.EVENT_TYPES)
    history = schemas["Happening"]["properties"]["type"]
    assert type_of(document, history)["enum"] == list(states.EVENTS)


async def test_forms_have_no_lists_of_objects(document: dict[str, Any]) -> None:
    for path in ("/api/orders", "/api/orders/quote", "/api/orders/{order}/refund"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        without = {"anyOf": [{"required": ["lines"]}]}
        assert [content[kind]["schema"].get("not") for kind in KINDS] == [None, without, without]


async def test_the_document_for_generators_has_json_bodies_only(
    served: bytes, client: httpx.AsyncClient
) -> None:
    complete = msgspec.json.decode(served)
    reduced = (await client.get("/schema/clients.json")).json()
    assert reduced == openapi.for_generators(complete)
    for name, operation in operations(openapi.expand(reduced)):
        if "requestBody" in operation:
            kind = JSON_LINES if name == "post /api/import/{kind}" else KINDS[0]
            assert list(operation["requestBody"]["content"]) == [kind], name
        if name == "get /api/export/{kind}":
            continue
        for response in operation["responses"].values():
            assert "text/csv" not in response.get("content", ()), name
        assert "format" not in [one["name"] for one in operation.get("parameters", ())], name
    for schema in reduced["components"]["schemas"].values():
        assert "properties" not in schema or "oneOf" not in schema
    assert "text/csv" not in json.dumps(reduced["components"]["responses"])
    for part in parts_of(reduced):
        if isinstance(part.get("type"), str | list):
            assert not {"default", "const"} & part.keys()
            assert part.get("maximum", 0) < 2**53
    assert {name for name, _ in operations(reduced)} == {name for name, _ in operations(complete)}
