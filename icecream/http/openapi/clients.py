"""The document for generators of clients: the same operations, with JSON only.

Generators make one type of each body. They do not know what to do with three media types of one
body, with JSON or CSV as the answer, or with a choice between sets of required members. Some make
members with a default required, and some round the limits of large numbers.
"""

import json
from typing import Any

from litestar import Request
from litestar.enums import RequestEncodingType
from litestar.openapi.plugins import JsonRenderPlugin

from icecream.http import bodies
from icecream.http.openapi.components import all_operations

CSV_PARAMETER = {"$ref": "#/components/parameters/Format"}
# In Go, NewX is the constructor of a type X; in Java, the generated client has a class Pair itself.
RENAMED = {"NewWebhookEndpointView": "CreatedWebhookEndpoint", "Pair": "TokenPair"}
# The largest whole number that is exact as a floating point number.
MAX_EXACT = 2**53 - 1
JSON = RequestEncodingType.JSON.value


def for_generators(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document without what generators do not know."""
    reduced = _rename_types(document)
    components = reduced["components"]
    del components["parameters"]["Format"], components["schemas"]["FileFormat"]
    for operation in all_operations(reduced):
        if CSV_PARAMETER in operation.get("parameters", ()):
            operation["parameters"].remove(CSV_PARAMETER)
        _keep(operation.get("requestBody", {}), JSON, bodies.JSON_LINES)
        if operation.get("security") == [{}]:
            # Both mean that no token is needed.
            operation["security"] = []
        for response in operation["responses"].values():
            _keep(response, JSON)
    for body in (*components["responses"].values(), *components["requestBodies"].values()):
        _keep(body, JSON)
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema.pop("oneOf", None)
    _simplify(reduced)
    return reduced


def _rename_types(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy with other names of types."""
    text = json.dumps(document)
    for name, other in RENAMED.items():
        text = text.replace(f'/schemas/{name}"', f'/schemas/{other}"')
    copy: dict[str, Any] = json.loads(text)
    for name, other in RENAMED.items():
        copy["components"]["schemas"][other] = copy["components"]["schemas"].pop(name)
    return copy


def _simplify(node: Any) -> None:
    """Remove defaults, the value null as the only one, and limits that a generator would round."""
    if isinstance(node, dict):
        if node.get("const", 0) is None:
            del node["const"]
        if isinstance(node.get("type"), str):
            node.pop("default", None)
        limit = node.get("maximum")
        if isinstance(limit, int) and limit > MAX_EXACT:
            del node["maximum"]
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        _simplify(part)


def _keep(body: dict[str, Any], *media_types: str) -> None:
    """Keep the first of these media types that the body has, if any, and remove all others."""
    content = body.get("content", {})
    for kind in media_types:
        if kind in content:
            body["content"] = {kind: content[kind]}
            return


class ClientsPlugin(JsonRenderPlugin):
    """Serves this document."""

    def __init__(self) -> None:
        super().__init__(path="/clients.json")
        self._body = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the document as JSON; it is the same for all requests."""
        self._body = self._body or self.render_json(request, for_generators(openapi_schema))
        return self._body
