"""The whole API document, with schemas by msgspec."""

from collections.abc import Sequence
from inspect import cleandoc
from itertools import chain
from typing import Any

import msgspec
from litestar import Router
from litestar.datastructures import ResponseHeader
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Contact, License, OpenAPI, Server, Tag

from icecream import __version__, fields, settings
from icecream.http import bodies
from icecream.http.openapi import clients, components, operations

DESCRIPTION = """
Shops sign in, list the flavors and place orders. Payments are carried out in the background.

1. `POST /api/token/` with your name and password returns an `access` token.

2. Send it as `Authorization: Bearer <access>` (in Swagger UI: **Authorize**).

   A program may send an API key instead, from `POST /api/keys/`.

3. `POST /api/orders/` with a `flavor` and a `quantity`. `GET /api/orders/` shows the `status`.

Bodies may be JSON, URL-encoded forms or multipart forms. Each path works with and without a slash
at its end. A list request returns the whole list, or with `limit` a page with a `Link` to the next
page (RFC 8288). Each error is a problem document (RFC 9457) that names the field. An unknown query
parameter is an error too. Amounts of money are whole minor units, such as cents. Times are UTC.
Each response has an `X-Request-Id`, which our logs show too.
"""
TAGS = [
    Tag(
        "Signing in", "Tokens: an access token is valid for 15 minutes, a refresh token for 7 days."
    ),
    Tag("Flavors", "The flavors that can be ordered."),
    Tag("Orders", "Place orders and follow their status."),
    Tag("Fulfilment", "For staff: packing and delivering orders."),
    Tag("Payments", "Your payment method. For staff: all payments and their state."),
    Tag("Stats", "Sales figures."),
    Tag("Webhooks", "Have events sent to your own program, signed as in Standard Webhooks 1.0.0."),
    Tag("Import and export", "For staff: files with many rows, as CSV or JSON lines."),
    Tag("Your account", "Who you are, your password, and signing out."),
]
# For a complete list: the largest number that every reader of the document supports. Our ids may be
# larger.
MAX_ITEMS = 2**31 - 1
SCHEMA_REFERENCE = "#/components/schemas/{name}"
# What Litestar writes, and what a document without it says too.
DEFAULTS: dict[str, Any] = {"default": None} | dict.fromkeys(
    ("allowEmptyValue", "allowReserved", "deprecated", "required"), False
)
# UTF-8 has no surrogates, and few readers of a pattern support them.
SURROGATE_RANGE = r"\ud800-\udfff"


def _build_schemas() -> dict[str, Any]:
    bodies = fields.Body.__subclasses__()
    _, schemas = msgspec.json.schema_components(
        [*bodies, *operations.response_types], ref_template=SCHEMA_REFERENCE
    )
    for kind in bodies:
        schema = schemas[kind.__name__]
        schema["examples"] = [_body_example(kind, schema)]
        if kind.alternatives:
            schema["oneOf"] = _one_set_of(kind.alternatives)
    for name, example in operations.type_examples.items():
        schemas[name]["examples"] = [example]
    for name, schema in schemas.items():
        # Its name says the same. Generators confuse a type with a member of the same name.
        del schema["title"]
        if name.lower() in schema["properties"]:
            schema["title"] = f"{name}View"
        schema["description"] = cleandoc(schema["description"])
        for member in schema["properties"].values():
            if member.get("type") == "null":
                # Generators know no type that is always null.
                member |= {"type": ["integer", "null"], "const": None, "format": "int64"}
                member |= {"minimum": 0, "maximum": fields.MAX_ID}
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


def _describe_forms(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Exclude lists of objects from the forms of a body: a form cannot send them."""
    for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
        if media_type not in bodies.FORM_TYPES:
            continue
        members = schemas[media["schema"]["$ref"].rpartition("/")[2]]["properties"]
        if lists := [name for name, member in members.items() if _is_list_of_objects(member)]:
            media["schema"] = media["schema"] | {"not": {"anyOf": [{"required": lists}]}}


def _is_list_of_objects(schema: dict[str, Any]) -> bool:
    kinds = schema.get("anyOf", [schema])
    return any("$ref" in kind.get("items", ()) for kind in kinds)


def _name_choices(document: dict[str, Any]) -> None:
    """Name the bodies of responses that are of one type or another: generators need a name."""
    for operation in components.all_operations(document):
        for response in operation["responses"].values():
            for media in response.get("content", {}).values():
                if "oneOf" in media["schema"]:
                    name = f"{operation['operationId'][0].upper()}{operation['operationId'][1:]}"
                    media["schema"]["description"] = f"The answer of `{operation['operationId']}`."
                    document["components"]["schemas"][name] = media["schema"]
                    media["schema"] = {"$ref": SCHEMA_REFERENCE.format(name=name)}


def _tidy(node: Any) -> None:
    """Add limits to whole numbers and lists without limits, and remove what is the default."""
    if isinstance(node, dict):
        for name, value in DEFAULTS.items():
            if name in node and node[name] is value:
                del node[name]
        if "pattern" in node and isinstance(node["pattern"], str):
            node["pattern"] = node["pattern"].replace(SURROGATE_RANGE, "")
        if node.get("type") == "integer":
            node.setdefault("format", "int64")
        if node.get("type") == "array":
            node.setdefault("maxItems", MAX_ITEMS)
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        _tidy(part)


class Document(OpenAPI):
    """Litestar's document, with schemas by msgspec.

    Litestar's own schemas lack a minimum of 0, the docstrings, and the refusal of unknown members.
    They also turn bounds into floats, so the bound of an id needs more than 64 bits.
    """

    def to_schema(self) -> dict[str, Any]:
        """Return the document, always in the same order."""
        document, schemas = super().to_schema(), _build_schemas()
        for operation in components.all_operations(document):
            _describe_forms(operation, schemas)
            for parameter in operation.get("parameters", []):
                schema = parameter["schema"]
                # A parameter is present or absent; null cannot be sent.
                for kind in schema.pop("oneOf", ())[:1]:
                    schema = parameter["schema"] = kind | schema
                # The parameter says it already.
                del schema["description"]
        used = document["components"]["schemas"]
        document["components"]["schemas"] = {name: schemas[name] for name in used}
        _name_choices(document)
        document["paths"] = dict(sorted(document["paths"].items()))
        document["servers"][0]["x-internal"] = False
        _tidy(document)
        components.share_equal_parts(document)
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
                url=settings.load().address,
                description="The local or production server of this document.",
            )
        ],
        tags=TAGS,
        use_handler_docstrings=True,
        render_plugins=[*pages, JsonRenderPlugin(), clients.ClientsPlugin()],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            opt={"exclude_from_auth": True, "any_query": True},
            response_headers=[ResponseHeader(name="Content-Security-Policy", value=csp)],
        ),
    )
