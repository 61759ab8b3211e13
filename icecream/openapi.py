"""What the API's document says of every operation: its bodies, its answers, its refusals."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from litestar import Router
from litestar.datastructures import ResponseHeader
from litestar.enums import RequestEncodingType
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Contact,
    Example,
    License,
    OpenAPI,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Schema,
    Server,
    Tag,
)
from msgspec import UNSET, Meta, Struct, UnsetType

from icecream import __version__, bodies, errors

DESCRIPTION = """
Shops sign in, see the flavors and place orders; payment happens in the background.

1. `POST /api/token/` with your name and password gives an `access` token.

2. Send it as `Authorization: Bearer <access>` (in Swagger UI: **Authorize**).

3. `POST /api/orders/` with a `flavor` and a `quantity`; its `status` is in `GET /api/orders/`.

Bodies may be JSON, URL-encoded forms or multipart forms. Every path answers with and without a
slash at its end. A list is the whole list, or with `limit` a page with a `Link` to the next
(RFC 8288). Every error is a problem document (RFC 9457) that names the field. Money is whole minor
units, such as cents; times are UTC.
"""
TAGS = [
    Tag("Signing in", "Tokens: an access token for 15 minutes, a refresh token for 7 days."),
    Tag("Flavors", "What can be ordered."),
    Tag("Orders", "Placing orders and following them."),
    Tag("Stats", "How much was ordered."),
]
PROBLEM = "application/problem+json"
# Of a whole list: as many as any reader of the document can count. Our ids go further.
MOST_ITEMS = 2**31 - 1
Moment = Annotated[datetime, Meta(tz=True, extra_json_schema={"maxLength": 27})]
URI, KEBAB = {"format": "uri"}, r"^[a-z]+(-[a-z]+)*$"
# Told, not checked: what the database holds is shown.
Name = Annotated[str, Meta(extra_json_schema={"maxLength": 100, "pattern": r"\S"})]
Word = Annotated[str, Meta(max_length=100, pattern=KEBAB)]
Text = Annotated[str, Meta(max_length=errors.LONGEST, pattern=r"\S")]
Path = Annotated[str, Meta(max_length=errors.LONGEST, pattern="^(/|$)")]
REFERENCE = "#/components/schemas/{name}"
# Text in UTF-8 has none, and few readers of a pattern can read of them.
SURROGATES = r"\ud800-\udfff"


class FieldError(Struct):
    """What is wrong with one field; `pointer` is a JSON Pointer (RFC 6901), empty for the body."""

    pointer: Path
    code: Word
    detail: Text


class Problem(Struct, rename={"kind": "type"}):
    """What went wrong (RFC 9457). Some kinds have further members."""

    kind: Annotated[Text, Meta(description="Where it is explained.", extra_json_schema=URI)]
    title: Text
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Text
    instance: Annotated[Path, Meta(description="The path that was called.")]
    code: Annotated[Word, Meta(description="For programs; it never changes.")]
    request_id: Annotated[
        str, Meta(max_length=128, pattern="^[!-~]+$", description="Names this request in our logs.")
    ]
    errors: Annotated[list[FieldError], Meta(max_length=100)] | UnsetType = UNSET


# What any call that needs a token may meet, and any that brings a body.
CALL = (
    errors.Unauthenticated(),
    errors.QuotaExceeded("Too many requests; try again in 42 s."),
    errors.InternalError(),
    errors.Unavailable(),
)
BODY = (
    errors.ValidationFailed("", "missing", "A body is required."),
    errors.PayloadTooLarge(),
    errors.UnsupportedMediaType(),
)
# Whatever is answered somewhere, for its schema.
_answered: list[Any] = [Problem]


def answers(
    status: int, body: Any, example: Any, *refusals: errors.Refusal
) -> dict[int, ResponseSpec]:
    """All answers of an operation: the expected one, and the refusals, each with an example."""
    _answered.append(body)
    good = ResponseSpec(
        body,
        description=HTTPStatus(status).phrase,
        examples=[Example(value=example)],
        generate_examples=False,
    )
    by_status = attrgetter("status")
    groups = groupby(sorted(refusals, key=by_status), by_status)
    return {status: good} | {status: _refused(*group) for status, group in groups}


def _refused(*refusals: errors.Refusal) -> ResponseSpec:
    titles = dict.fromkeys(refusal.title() for refusal in refusals)
    return ResponseSpec(
        Problem,
        description=" ".join(f"{title}." for title in titles),
        examples=[
            Example(summary=refusal.detail, value=_document(refusal)) for refusal in refusals
        ],
        generate_examples=False,
        media_type=PROBLEM,
    )


def _document(refusal: errors.Refusal) -> dict[str, Any]:
    return refusal.document(
        address="https://ice.example.org", instance="/api/orders", request_id="6b8a81ca2f68bbd6"
    )


def _text(description: str, example: str, pattern: str) -> OpenAPIHeader:
    schema = Schema(
        type=OpenAPIType.STRING, examples=[example], pattern=pattern, max_length=errors.LONGEST
    )
    return OpenAPIHeader(description=description, schema=schema)


def _seconds(example: int) -> OpenAPIHeader:
    schema = Schema(type=OpenAPIType.INTEGER, examples=[example], minimum=1, maximum=2**31 - 1)
    return OpenAPIHeader(description="Seconds to wait.", schema=schema)


ALWAYS = {
    "X-Request-Id": _text("Names this request in our logs.", "6b8a81ca2f68bbd6", "^[!-~]+$"),
    "Access-Control-Allow-Origin": _text(
        "For a page of an origin that is allowed to call.",
        "https://shop.example.org",
        r"^(\*$|[a-z-]+://)",
    ),
    "RateLimit-Policy": _text(
        "How much is allowed: quota, window in seconds.",
        '"default";q=6000;w=60',
        r'^"[a-z]+";q=\d+;w=\d+$',
    ),
    "RateLimit": _text(
        "What is left: calls, seconds.", '"default";r=5999;t=60', r'^"[a-z]+";r=\d+;t=\d+$'
    ),
}
SOMETIMES = {
    "401": {"WWW-Authenticate": _text("How to sign in.", 'Bearer realm="icecream"', "^Bearer ")},
    "429": {"Retry-After": _seconds(42)},
    "503": {"Retry-After": _seconds(1)},
}
LINK = _text(
    "The next page (RFC 8288), unless this is the last.",
    '</api/orders?limit=100&after=aWQ6MTAw>; rel="next"',
    '^<.+>; rel="next"$',
)


@dataclass
class ApiOperation(Operation):
    """An operation with what is true of all of them."""

    def __post_init__(self) -> None:
        content: dict[str, OpenAPIMediaType] = getattr(self.request_body, "content", None) or {}
        if RequestEncodingType.JSON in content:
            for form in bodies.FORMS:
                content[form.value] = content[RequestEncodingType.JSON.value]
        responses: dict[str, Any] = self.responses or {}
        for status, response in responses.items():
            response.headers = {**ALWAYS, **SOMETIMES.get(status, {})}
        if any(getattr(one, "name", "") == "limit" for one in self.parameters or ()):
            responses["200"].headers["Link"] = LINK


def _schemas() -> dict[str, Any]:
    kinds = [*bodies.Body.__subclasses__(), *_answered]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    for schema in schemas.values():
        for field in schema["properties"].values():
            if "pattern" in field:
                field["pattern"] = field["pattern"].replace(SURROGATES, "")
    # RFC 9457 3.2: some kinds have further members.
    schemas["Problem"]["additionalProperties"] = True
    return schemas


def _example(schema: dict[str, Any]) -> dict[str, Any]:
    """A body with what it must have."""
    return {name: schema["properties"][name]["examples"][0] for name in schema["required"]}


def _sized(node: Any) -> None:
    """Say of whole numbers and of lists how large they get, where their types do not."""
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

    Litestar's leave out a minimum of 0, the docstrings, and that unknown members are refused, and
    make floats of bounds: that of an id becomes more than 64 bits.
    """

    def to_schema(self) -> dict[str, Any]:
        """The document, always in the same order."""
        document, schemas = super().to_schema(), _schemas()
        examples = {
            REFERENCE.format(name=kind.__name__): _example(schemas[kind.__name__])
            for kind in bodies.Body.__subclasses__()
        }
        for item in document["paths"].values():
            content = item.get("post", {}).get("requestBody", {}).get("content", {})
            for media in content.values():
                media["example"] = examples[media["schema"]["$ref"]]
            for parameter in item.get("get", {}).get("parameters", []):
                # It is there or it is not; there is no way to send null.
                kind, _ = parameter["schema"].pop("oneOf")
                parameter["schema"] |= kind
        used = document["components"]["schemas"]
        document["components"]["schemas"] = {name: schemas[name] for name in used}
        document["paths"] = dict(sorted(document["paths"].items()))
        document["servers"][0]["x-internal"] = False
        _sized(document)
        return document


class Config(OpenAPIConfig):
    """Litestar's configuration of our kind of document."""

    def to_openapi_schema(self) -> OpenAPI:
        """The document, so far without its paths."""
        return Document(**vars(super().to_openapi_schema()))


def config(*pages: OpenAPIRenderPlugin, csp: str) -> OpenAPIConfig:
    """Litestar's configuration, with the pages that show the document."""
    return Config(
        title="Ice Cream Distribution",
        version=__version__,
        description=DESCRIPTION.strip(),
        contact=Contact(name="Ice Cream Distribution"),
        license=License(name="MIT", identifier="MIT"),
        servers=[Server(url="/", description="Where this document is: local or in production.")],
        tags=TAGS,
        use_handler_docstrings=True,
        render_plugins=[*pages, JsonRenderPlugin()],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            opt={"exclude_from_auth": True},
            response_headers=[ResponseHeader(name="Content-Security-Policy", value=csp)],
        ),
    )
