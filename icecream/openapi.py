"""What the API's document says of every operation: its bodies, its answers, its refusals."""

from dataclasses import dataclass
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

from icecream import __version__, bodies, errors, settings

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
    Tag("Health", "For load balancers and orchestrators."),
]
PROBLEM = "application/problem+json"
URI, KEBAB = {"format": "uri"}, r"^[a-z]+(-[a-z]+)*$"
REFERENCE = "#/components/schemas/{name}"
# Text in UTF-8 has none, and few readers of a pattern can read of them.
SURROGATES = r"\ud800-\udfff"


class FieldError(Struct):
    """What is wrong with one field; `pointer` is a JSON Pointer (RFC 6901), empty for the body."""

    pointer: str
    code: str
    detail: str


class Problem(Struct, rename={"kind": "type"}):
    """What went wrong (RFC 9457). Some kinds have further members."""

    kind: Annotated[str, Meta(description="Where it is explained.", extra_json_schema=URI)]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: Annotated[str, Meta(description="The path that was called.")]
    code: Annotated[str, Meta(description="For programs; it never changes.", pattern=KEBAB)]
    request_id: Annotated[str, Meta(description="Names this request in our logs.")]
    errors: list[FieldError] | UnsetType = UNSET


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


def _header(description: str, example: str | int) -> OpenAPIHeader:
    kind = OpenAPIType.STRING if isinstance(example, str) else OpenAPIType.INTEGER
    schema = Schema(type=kind, examples=[example])
    return OpenAPIHeader(description=description, schema=schema)


ALWAYS = {"X-Request-Id": _header("Names this request in our logs.", "6b8a81ca2f68bbd6")}
COUNTED = {
    "RateLimit-Policy": _header(
        "How much is allowed: quota, window in seconds.", '"default";q=6000;w=60'
    ),
    "RateLimit": _header("What is left: calls, seconds.", '"default";r=5999;t=60'),
}
SOMETIMES = {
    "401": {"WWW-Authenticate": _header("How to sign in.", 'Bearer realm="icecream"')},
    "429": {"Retry-After": _header("Seconds to wait.", 42)},
    "503": {"Retry-After": _header("Seconds to wait.", 1)},
}


LINK = _header(
    "The next page (RFC 8288), unless this is the last.", '</api/orders?...>; rel="next"'
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
            counted = COUNTED if "429" in responses else {}
            refused = SOMETIMES.get(status, {}) if PROBLEM in response.content else {}
            response.headers = {**ALWAYS, **counted, **refused}
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
        used = document["components"]["schemas"]
        document["components"]["schemas"] = {name: schemas[name] for name in used}
        document["paths"] = dict(sorted(document["paths"].items()))
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
        servers=[Server(url=settings.load().address)],
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
