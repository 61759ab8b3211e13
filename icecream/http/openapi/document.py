"""The whole API document, with schemas by msgspec."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
from litestar import Router
from litestar.datastructures import ResponseHeader
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Contact, License, OpenAPI, Server, Tag

from icecream import __version__, fields, settings
from icecream.http.openapi import operations

DESCRIPTION = """
Shops sign in, list the flavors and place orders. Payments are carried out in the background.

1. `POST /api/token/` with your name and password returns an `access` token.

2. Send it as `Authorization: Bearer <access>` (in Swagger UI: **Authorize**).

3. `POST /api/orders/` with a `flavor` and a `quantity`. `GET /api/orders/` shows the `status`.

Bodies may be JSON, URL-encoded forms or multipart forms. Each path works with and without a slash
at its end. A list request returns the whole list, or with `limit` a page with a `Link` to the next
page (RFC 8288). Each error is a problem document (RFC 9457) that names the field. An unknown query
parameter is an error too. Amounts of money are whole minor units, such as cents. Times are UTC.
"""
TAGS = [
    Tag(
        "Signing in", "Tokens: an access token is valid for 15 minutes, a refresh token for 7 days."
    ),
    Tag("Flavors", "The flavors that can be ordered."),
    Tag("Orders", "Place orders and follow their status."),
    Tag("Payments", "Your payment method. For staff: all payments and their state."),
    Tag("Stats", "Sales figures."),
    Tag("Your account", "Who you are, your password, and signing out."),
]
# For a complete list: the largest number that every reader of the document supports. Our ids may be
# larger.
MAX_ITEMS = 2**31 - 1
SCHEMA_REFERENCE = "#/components/schemas/{name}"
# UTF-8 has no surrogates, and few readers of a pattern support them.
SURROGATE_RANGE = r"\ud800-\udfff"


def _build_schemas() -> dict[str, Any]:
    bodies = fields.Body.__subclasses__()
    _, schemas = msgspec.json.schema_components(
        [*bodies, *operations.response_types], ref_template=SCHEMA_REFERENCE
    )
    for kind in bodies:
        if kind.alternatives:
            schemas[kind.__name__]["oneOf"] = _one_set_of(kind.alternatives)
    for schema in schemas.values():
        for field in schema["properties"].values():
            if "pattern" in field:
                field["pattern"] = field["pattern"].replace(SURROGATE_RANGE, "")
    # RFC 9457, 3.2: some problem types have further members.
    schemas["Problem"]["additionalProperties"] = True
    return schemas


def _one_set_of(alternatives: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Return the schemas of the sets of members; no member of another set goes with a set."""
    members = dict.fromkeys(chain(*alternatives))
    return [
        {
            "required": names,
            "not": {"anyOf": [{"required": [name]} for name in members if name not in names]},
        }
        for names in alternatives
    ]


def _body_example(kind: type[fields.Body], schema: dict[str, Any]) -> dict[str, Any]:
    """Return an example of a body, with its required members, or else its typical ones."""
    names = schema["required"] or kind.typical
    return {name: schema["properties"][name]["examples"][0] for name in names}


def _add_limits(node: Any) -> None:
    """Add limits to whole numbers and lists whose types have none."""
    if isinstance(node, dict):
        if node.get("type") == "integer":
            node.setdefault("format", "int64")
        if node.get("type") == "array":
            node.setdefault("maxItems", MAX_ITEMS)
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        _add_limits(part)


class Document(OpenAPI):
    """Litestar's document, with schemas by msgspec.

    Litestar's own schemas lack a minimum of 0, the docstrings, and the refusal of unknown members.
    They also turn bounds into floats, so the bound of an id needs more than 64 bits.
    """

    def to_schema(self) -> dict[str, Any]:
        """Return the document, always in the same order."""
        document, schemas = super().to_schema(), _build_schemas()
        examples = {
            SCHEMA_REFERENCE.format(name=kind.__name__): _body_example(kind, schemas[kind.__name__])
            for kind in fields.Body.__subclasses__()
        }
        for operation in (
            operation for item in document["paths"].values() for operation in item.values()
        ):
            for media in operation.get("requestBody", {}).get("content", {}).values():
                media["example"] = examples[media["schema"]["$ref"]]
            for parameter in operation.get("parameters", []):
                # A parameter is present or absent; null cannot be sent.
                for kind in parameter["schema"].pop("oneOf", ())[:1]:
                    parameter["schema"] = kind | parameter["schema"]
        used = document["components"]["schemas"]
        document["components"]["schemas"] = {name: schemas[name] for name in used}
        document["paths"] = dict(sorted(document["paths"].items()))
        document["servers"][0]["x-internal"] = False
        _add_limits(document)
        return document


class DocumentConfig(OpenAPIConfig):
    """Litestar's configuration for our class of document."""

    def to_openapi_schema(self) -> OpenAPI:
        """Return the document, still without its paths."""
        return Document(**vars(super().to_openapi_schema()))


def openapi_config(*pages: OpenAPIRenderPlugin, csp: str) -> OpenAPIConfig:
    """Return Litestar's configuration, with the pages that show the document."""
    return DocumentConfig(
        title="Ice Cream Distribution",
        version=__version__,
        description=DESCRIPTION.strip(),
        contact=Contact(name="Ice Cream Distribution"),
        license=License(name="MIT", identifier="MIT"),
        servers=[
            Server(
                url=settings.load().prefix or "/",
                description="The local or production server of this document.",
            )
        ],
        tags=TAGS,
        use_handler_docstrings=True,
        render_plugins=[*pages, JsonRenderPlugin()],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            opt={"exclude_from_auth": True, "any_query": True},
            response_headers=[ResponseHeader(name="Content-Security-Policy", value=csp)],
        ),
    )
