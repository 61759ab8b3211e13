"""The API's document."""

from typing import Any

import httpx
import msgspec
import pytest

from tests.conftest import Caller

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
        "get /api/flavors",
        "post /api/flavors/add",
        "get /api/orders",
        "post /api/orders",
        "get /api/my-orders",
        "get /api/stats",
        "get /health/live",
        "get /health/ready",
    }


async def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    ids = set()
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        ids.add(operation["operationId"])
    assert len(ids) == len(operations(document))


async def test_every_answer_has_an_example_and_every_refusal_is_a_problem(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            (kind, content), *others = answer["content"].items()
            assert others == []
            assert content["examples"], (name, status)
            expected = "json" if name.endswith("/ready") or status < "400" else "problem+json"
            assert kind in (f"application/{expected}", "application/problem+json"), (name, status)
            assert "X-Request-Id" in answer["headers"], (name, status)


async def test_what_needs_a_token_says_so_and_what_it_answers_without(
    document: dict[str, Any],
) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"].lower()) == ("http", "bearer")
    for name, operation in operations(document):
        opened = name.split()[1].startswith(("/api/token", "/health"))
        assert (operation.get("security") == [{}]) == opened, name
        if not name.startswith("get /health"):
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"], name
            assert "Retry-After" in operation["responses"]["429"]["headers"], name


async def test_every_body_comes_in_three_kinds_with_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if name.startswith("post"):
            content = operation["requestBody"]["content"]
            assert sorted(content) == sorted(KINDS), name
            for kind in content.values():
                schema = document["components"]["schemas"][kind["schema"]["$ref"].split("/")[-1]]
                for field in schema["required"]:
                    assert schema["properties"][field]["examples"], (name, field)
            assert {"400", "413", "415"} <= set(operation["responses"]), name


async def test_a_page_of_a_list_tells_of_its_link(document: dict[str, Any]) -> None:
    for path in ("/api/orders", "/api/my-orders"):
        operation = document["paths"][path]["get"]
        assert "Link" in operation["responses"]["200"]["headers"]
        assert [one["name"] for one in operation["parameters"]] == ["limit", "after"]


async def test_what_is_answered_is_what_the_document_says(
    document: dict[str, Any], customer: Caller, flavor: int
) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/api/orders", {"quantity": 1, "flavor": flavor}),
        ("GET", "/api/orders", None),
        ("GET", "/api/flavors", None),
        ("POST", "/api/flavors/add", {"name": "As documented"}),
        ("GET", "/api/stats", None),
    ]
    for method, path, body in calls:
        answer = await customer.request(method, path, json=body)
        said = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        schema = said["content"]["application/json"]["schema"]
        found = answer.json()
        if schema.get("type") == "array":
            schema, found = schema["items"], found[0]
        properties = document["components"]["schemas"][schema["$ref"].split("/")[-1]]
        assert set(found) == set(properties["properties"]), path
