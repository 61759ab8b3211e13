"""The whole API document, with schemas by msgspec."""

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
Shops sign in, see the flavors and place orders; payment happens in the background.

1. `POST /api/token/` with your name and password gives an `access` token.

2. Send it as `Authorization: Bearer <access>` (in Swagger UI: **Authorize**).

3. `POST /api/orders/` with a `flavor` and a `quantity`; its `status` is in `GET /api/orders/`.

Bodies may be JSON, URL-encoded forms or multipart forms. Every path answers with and without a
slash at its end. A list is the whole list, or with `limit` a page with a `Link` to the next
(RFC 8288). Every error is a problem document (RFC 9457) that names the field; an unknown query
parameter is an error too. Money is whole minor units, such as cents; times are UTC.
"""
TAGS = [
    Tag("Signing in", "Tokens: an access token for 15 minutes, a refresh token for 7 days."),
    Tag("Flavors", "What can be ordered."),
    Tag("Orders", "Placing orders and following them."),
    Tag("Payments", "What you pay with; and for staff, what became of each payment."),
    Tag("Stats", "How much was ordered."),
]
# For a complete list: the largest number that every reader of the document supports. Our ids may be
# larger.
MOST_ITEMS = 2**31 - 1
REFERENCE = "#/components/schemas/{name}"
# UTF-8 has no surrogates, and few readers of a pattern support them.
SURROGATES = r"\ud800-\udfff"


def _schemas() -> dict[str, Any]:
    taken = fields.Body.__subclasses__()
    _, schemas = msgspec.json.schema_components(
        [*taken, *operations.answered], ref_template=REFERENCE
    )
    for kind in taken:
        if kind.alternatives:
            schemas[kind.__name__]["oneOf"] = [{"required": names} for names in kind.alternatives]
    for schema in schemas.values():
        for field in schema["properties"].values():
            if "pattern" in field:
                field["pattern"] = field["pattern"].replace(SURROGATES, "")
    # RFC 9457, 3.2: some problem types have further members.
    schemas["Problem"]["additionalProperties"] = True
    return schemas


def _example(kind: type[fields.Body], schema: dict[str, Any]) -> dict[str, Any]:
    """Return an example of a body, with its required members, or else its typical ones."""
    names = schema["required"] or kind.typical
    return {name: schema["properties"][name]["examples"][0] for name in names}


def _sized(node: Any) -> None:
    """Add limits to whole numbers and lists whose types have none."""
    if isinstance(node, dict):
        if node.get("type") == "integer":
            node.setdefault("format", "int64")
        if node.get("type") == "array":
            node.setdefault("maxItems", MOST_ITEMS)
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        _sized(part)


class Document(OpenAPI):
    """Litestar's document, with schemas by msgspec.

    Litestar's own schemas lack a minimum of 0, the docstrings, and the refusal of unknown members.
    They also turn bounds into floats, so the bound of an id needs more than 64 bits.
    """

    def to_schema(self) -> dict[str, Any]:
        """Return the document, always in the same order."""
        document, schemas = super().to_schema(), _schemas()
        examples = {
            REFERENCE.format(name=kind.__name__): _example(kind, schemas[kind.__name__])
            for kind in fields.Body.__subclasses__()
        }
        for operation in (one for item in document["paths"].values() for one in item.values()):
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
        _sized(document)
        return document


class Config(OpenAPIConfig):
    """Litestar's configuration for our class of document."""

    def to_openapi_schema(self) -> OpenAPI:
        """Return the document, still without its paths."""
        return Document(**vars(super().to_openapi_schema()))


def config(*pages: OpenAPIRenderPlugin, csp: str) -> OpenAPIConfig:
    """Return Litestar's configuration, with the pages that show the document."""
    return Config(
        title="Ice Cream Distribution",
        version=__version__,
        description=DESCRIPTION.strip(),
        contact=Contact(name="Ice Cream Distribution"),
        license=License(name="MIT", identifier="MIT"),
        servers=[
            Server(
                url=settings.load().prefix or "/",
                description="Where this document is: local or in production.",
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
