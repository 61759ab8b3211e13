"""Test the OpenAPI document of the API."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from icecream.http import openapi
from tests.conftest import Caller, new_flavor, place
from tests.processes import ROOT

pytestmark = pytest.mark.anyio
KINDS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/schema/openapi.json")
    found: dict[str, Any] = msgspec.json.decode(answer.content)
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
        "get /api/events",
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
        "get /api/stats",
        "get /api/dashboard",
    }


async def test_every_operation_has_a_description(document: dict[str, Any]) -> None:
    ids = set()
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        ids.add(operation["operationId"])
    assert len(ids) == len(operations(document))


async def test_every_response_has_an_example_and_every_refusal_is_a_problem(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            assert "X-Request-Id" in answer["headers"], (name, status)
            if status in ("204", "304"):
                assert "content" not in answer, name
                continue
            kinds = set(answer["content"]) - ({"text/csv"} if name == "get /api/stats" else set())
            good = "text/event-stream" if name == "get /api/events" else "application/json"
            assert kinds == {good if status < "400" else "application/problem+json"}, name
            for kind, content in answer["content"].items():
                assert content["examples"], (name, status)
                for example in content["examples"].values():
                    assert set(example) <= {"summary", "description", "value"}, (name, status)
                    if kind == "application/problem+json":
                        assert example["value"]["status"] == int(status), (name, status)


async def test_operations_with_a_token_document_it_and_the_401_response(
    document: dict[str, Any],
) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"].lower()) == ("http", "bearer")
    for name, operation in operations(document):
        opened = name.split()[1].startswith("/api/token")
        assert (operation.get("security") == [{}]) == opened, name
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"], name
        assert "Retry-After" in operation["responses"]["429"]["headers"], name


async def test_every_body_has_three_media_types_and_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        method = name.split()[0]
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            assert sorted(content) == sorted(KINDS), name
            for kind in content.values():
                schema = document["components"]["schemas"][kind["schema"]["$ref"].split("/")[-1]]
                (alternative, *_) = schema.get("oneOf", [schema])
                if method == "patch":
                    assert kind["example"], name
                else:
                    assert set(kind["example"]) == set(alternative["required"]), name
                assert schema["additionalProperties"] is False, name
            assert {"400", "413", "415"} <= set(operation["responses"]), name


async def test_every_limit_of_the_input_is_documented_exactly(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    order, flavor = schemas["NewOrder"]["properties"], schemas["NewFlavor"]["properties"]
    limits = [
        (order["quantity"], 1, 100_000),
        (order["flavor"], 1, 2**63 - 1),
        (flavor["price"], 0, 100_000_000),
        (flavor["stock"]["anyOf"][0], 0, 10**12),
    ]
    for field, least, most in limits:
        assert (field["minimum"], field["maximum"]) == (least, most)
        assert isinstance(field["maximum"], int)
    for name in (schemas["Credentials"]["properties"]["username"], flavor["name"]):
        assert (name["minLength"], name["maxLength"]) == (1, 100)


async def test_patterns_work_in_other_languages(document: dict[str, Any]) -> None:
    pattern = document["components"]["schemas"]["NewFlavor"]["properties"]["name"]["pattern"]
    assert "\\ud800" not in pattern
    assert re.search(pattern, "Eis \U0001f366")
    for bad in ("", "a\n", "a\0b", "\x85"):
        assert not re.search(pattern, bad)


async def test_exactly_the_used_schemas_are_documented(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    used = set(re.findall(r"#/components/schemas/(\w+)", msgspec.json.encode(document).decode()))
    assert used == set(schemas)
    for name, schema in schemas.items():
        assert schema["description"], name
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
    assert codes("/api/flavors/add", "403") == {"forbidden"}


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
        said = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        schema = said["content"]["application/json"]["schema"]
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
def test_linters_find_nothing(document: dict[str, Any], linter: str, tmp_path: Path) -> None:
    """Check the document with Spectral (OWASP's rules) and Redocly (its recommended rules)."""
    path = tmp_path / "openapi.json"
    path.write_bytes(msgspec.json.encode(document))
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
