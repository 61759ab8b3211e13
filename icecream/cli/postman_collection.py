"""Conversion of the API document into a Postman collection that can run from top to bottom."""

import json
from typing import Any

from icecream.http import openapi

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
JSON = "application/json"
PASSWORD = "{{password}}"  # nosec B105  # the name of a variable
DELIVERY = "{{delivery}}"
# Members of requests with values from variables: the caller's own, stored ones, and a name
# that is new in each run of the collection.
VALUE_BY_MEMBER = {
    "username": "{{username}}",
    "password": PASSWORD,
    "current_password": PASSWORD,
    "new_password": PASSWORD,
    "refresh": "{{refresh}}",
    "name": "Choclate {{$guid}}",
    "delivery": DELIVERY,
}
# Operations about what another operation on the same object creates.
NEEDS_OTHERS = {"replayWebhook"}
# The members of responses that are stored, each with its variable.
TOKEN_VARIABLES = {"access": "access", "refresh": "refresh"}
VARIABLES_BY_OPERATION = {
    "signIn": TOKEN_VARIABLES,
    "refreshToken": TOKEN_VARIABLES,
    "changePassword": TOKEN_VARIABLES,
    "createKey": {"id": "api_key"},
    "createWebhook": {"id": "endpoint"},
    "testWebhook": {"id": "delivery"},
    "addFlavor": {"id": "flavor"},
    "placeOrder": {"order_id": "order"},
    "listPayments": {"at(-1).id": "payment"},
}


def build_collection(document: dict[str, Any], address: str) -> dict[str, Any]:
    """Return a collection (format 2.1.0) of all operations that end, with one folder per tag.

    Its variables are `address`, `username`, `password`, `kind`, and the stored members of
    responses.
    """
    document = openapi.expand(document)
    stored = [name for members in VARIABLES_BY_OPERATION.values() for name in members.values()]
    empty = dict.fromkeys(["password", *stored], "")
    # The example of a file to import is one of receipts.
    variables = {"address": address, "username": "admin", "kind": "stock"} | empty
    return {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{access}}"}]},
        "variable": [{"key": key, "value": value} for key, value in variables.items()],
        "item": [
            {
                "name": tag["name"],
                "description": tag["description"],
                "item": [
                    _build_item(path, method, operation, document["components"]["schemas"])
                    for path, method, operation in _operations(document, tag["name"])
                ],
            }
            for tag in document["tags"]
        ],
    }


def _operations(document: dict[str, Any], tag: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, method and operation of a tag's operations, in the order of a run."""
    found = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"] and not _is_endless(operation)
    ]

    def place(number: int) -> tuple[int, int]:
        path, method, operation = found[number]
        needs_others = operation["operationId"] in NEEDS_OTHERS
        if method != "delete" and not needs_others:
            return number, 0
        # After the last operation on the same object or on a part of it.
        same = path.rpartition("/")[0] if needs_others else path
        last = max(n for n, other in enumerate(found) if other[0].startswith(same))
        return last, 1 if needs_others else 2

    return [found[number] for number in sorted(range(len(found)), key=place)]


def _is_endless(operation: dict[str, Any]) -> bool:
    """Return whether the response never ends; a run of the collection would hang."""
    return any(
        "text/event-stream" in response.get("content", ())
        for response in operation["responses"].values()
    )


def _build_item(
    path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]
) -> dict[str, Any]:
    parameters = operation.get("parameters", [])
    request = {
        "method": method.upper(),
        "url": _build_url(path, parameters),
        "header": _parameters(parameters, "header"),
        "description": operation["description"],
    }
    if operation.get("security") == [{}]:
        request["auth"] = {"type": "noauth"}
    if "requestBody" in operation:
        kind, text = _build_body(operation["requestBody"]["content"], schemas)
        request["header"] += [{"key": "Content-Type", "value": kind}]
        language = "json" if kind == JSON else "text"
        request["body"] = {
            "mode": "raw",
            "raw": text,
            "options": {"raw": {"language": language}},
        }
    return {
        "name": operation["summary"],
        "request": request,
        "event": [
            {
                "listen": "test",
                "script": {"type": "text/javascript", "exec": _build_script(operation)},
            }
        ],
    }


def _build_body(content: dict[str, Any], schemas: dict[str, Any]) -> tuple[str, str]:
    """Return the media type of an example of a body, and its text."""
    if JSON not in content:
        kind, media = next(iter(content.items()))
        return kind, media["examples"]["file"]["value"]
    (example,) = schemas[content[JSON]["schema"]["$ref"].rpartition("/")[2]]["examples"]
    body = {name: VALUE_BY_MEMBER.get(name, value) for name, value in example.items()}
    # The id of a delivery is a number.
    return JSON, json.dumps(body, indent=2).replace(f'"{DELIVERY}"', DELIVERY)


def _parameters(parameters: list[dict[str, Any]], place: str) -> list[dict[str, Any]]:
    """Return the parameters of one place; they are disabled until the user selects them."""
    return [
        {
            "key": parameter["name"],
            "value": "",
            "description": parameter["description"],
            "disabled": True,
        }
        for parameter in parameters
        if parameter["in"] == place
    ]


def _build_url(path: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    path = path.replace("{", ":").replace("}", "")
    names = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
    return {
        "raw": "{{address}}" + path,
        "host": ["{{address}}"],
        "path": path.split("/")[1:],
        "query": _parameters(parameters, "query"),
        "variable": [{"key": name, "value": f"{{{{{name}}}}}"} for name in names],
    }


def _build_script(operation: dict[str, Any]) -> list[str]:
    """Return a test for a documented success, which stores members for later requests."""
    statuses = sorted(int(status) for status in operation["responses"] if status < "300")
    refusals = json.dumps(operation["responses"].get("409", {}))
    if "invalid-transition" in refusals or "not-parked" in refusals:
        # The payment may end before the next request, and no payment is parked.
        statuses.append(409)
    stored = VARIABLES_BY_OPERATION.get(operation["operationId"], {}).items()
    statement = "    pm.collectionVariables.set({}, pm.response.json().{});"
    return [
        f"pm.test({json.dumps(operation['summary'])}, () => {{",
        f"    pm.expect(pm.response.code).to.be.oneOf({statuses});",
        *(statement.format(json.dumps(variable), member) for member, variable in stored),
        "});",
    ]
