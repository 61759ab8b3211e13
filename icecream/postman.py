"""The API's document becomes a Postman collection that can be run from top to bottom."""

import json
from typing import Any

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
# What a request sends from a variable: the caller's own, what an earlier answer gave, and a name
# that is new whenever the collection is run again.
SENT = {
    "username": "{{username}}",
    "password": "{{password}}",
    "refresh": "{{refresh}}",
    "name": "Choclate {{$guid}}",
}
# What is kept of an answer that has it.
KEPT = ("access", "refresh")


def collection(document: dict[str, Any], address: str) -> dict[str, Any]:
    """A collection (format 2.1.0) of all operations, a folder per tag.

    Its variables: `address`, `username`, `password`, and the tokens that signing in stores.
    """
    variables = {"address": address, "username": "admin", "password": ""} | dict.fromkeys(KEPT, "")
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
                    _item(path, method, operation)
                    for path, methods in document["paths"].items()
                    for method, operation in methods.items()
                    if tag["name"] in operation["tags"]
                ],
            }
            for tag in document["tags"]
        ],
    }


def _item(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    request = {
        "method": method.upper(),
        "url": _url(path, operation.get("parameters", [])),
        "description": operation["description"],
    }
    if operation.get("security") == [{}]:
        request["auth"] = {"type": "noauth"}
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        body = {name: SENT.get(name, value) for name, value in example.items()}
        request["header"] = [{"key": "Content-Type", "value": "application/json"}]
        request["body"] = {
            "mode": "raw",
            "raw": json.dumps(body, indent=2),
            "options": {"raw": {"language": "json"}},
        }
    script = {
        "type": "text/javascript",
        "exec": _script(*next(iter(operation["responses"].items()))),
    }
    return {
        "name": operation["summary"],
        "request": request,
        "event": [{"listen": "test", "script": script}],
    }


def _url(path: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    query = [
        {"key": one["name"], "value": "", "description": one["description"], "disabled": True}
        for one in parameters
    ]
    return {
        "raw": "{{address}}" + path,
        "host": ["{{address}}"],
        "path": path.split("/")[1:],
        "query": query,
    }


def _script(status: str, answer: dict[str, Any]) -> list[str]:
    """Test for the documented status, and keep what later requests send."""
    ((example,),) = (content["examples"].values() for content in answer["content"].values())
    kept = [name for name in KEPT if name in example["value"]]
    return [
        f'pm.test("{answer["description"]}", () => {{',
        f"    pm.response.to.have.status({status});",
        *(f'    pm.collectionVariables.set("{name}", pm.response.json().{name});' for name in kept),
        "});",
    ]
