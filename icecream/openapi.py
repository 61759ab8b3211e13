"""What the API's document says of every operation: its bodies, its answers, its refusals."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from litestar import Router
from litestar.datastructures import ResponseHeader
from litestar.enums import RequestEncodingType
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Contact,
    Example,
    License,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Schema,
    Server,
    Tag,
)
from msgspec import UNSET, Struct, UnsetType

from icecream import __version__, bodies, errors, settings

DESCRIPTION = """
Shops sign in, see the flavors and place orders; payment happens in the background.

1. `POST /api/token/` with your name and password gives an `access` token.
2. Send it as `Authorization: Bearer <access>` (here: **Authorize**).
3. `POST /api/orders/` with a `flavor` and a `quantity`; its `status` is in `GET /api/orders/`.

Bodies may be JSON, URL-encoded forms or multipart forms. Every path answers with and without a
slash at its end. Every error is a problem document (RFC 9457) that names the field. Money is whole
minor units, such as cents; times are UTC.
"""
TAGS = [
    Tag("Signing in", "Tokens: an access token for 15 minutes, a refresh token for 7 days."),
    Tag("Flavors", "What can be ordered."),
    Tag("Orders", "Placing orders and following them."),
    Tag("Stats", "How much was ordered."),
    Tag("Health", "For load balancers and orchestrators."),
]
PROBLEM = "application/problem+json"


class FieldError(Struct):
    """What is wrong with one field; `pointer` is a JSON Pointer (RFC 6901), empty for the body."""

    pointer: str
    code: str
    detail: str


class Problem(Struct, rename={"kind": "type"}):
    """What went wrong (RFC 9457). Some kinds have further members."""

    kind: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldError] | UnsetType = UNSET


# One example of each status; the first refusal with that status stands for it.
REFUSALS: dict[int, errors.Refusal] = {
    400: errors.ValidationFailed("/quantity", "invalid", "quantity: Expected int >= 1."),
    **{
        kind.status: kind()
        for kind in reversed(errors.Refusal.__subclasses__())
        if kind is not errors.ValidationFailed
    },
}


# What any call that needs a token may meet, and any that brings a body.
CALL, BODY = (401, 429, 500, 503), (400, 413, 415)


def answers(status: int, body: Any, example: Any, *refusals: int) -> dict[int, ResponseSpec]:
    """All answers of an operation: the expected one with an example, and the refusals."""
    good = ResponseSpec(
        body,
        description=HTTPStatus(status).phrase,
        examples=[Example(value=example)],
        generate_examples=False,
    )
    return {status: good} | {refused: _refused(REFUSALS[refused]) for refused in sorted(refusals)}


def _refused(refusal: errors.Refusal) -> ResponseSpec:
    example = {
        "type": f"https://ice.example.org/problems#{refusal.code}",
        "title": refusal.title(),
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": "/api/orders",
        "code": refusal.code,
        "request_id": "6b8a81ca2f68bbd6",
    }
    return ResponseSpec(
        Problem,
        description=f"{refusal.title()}.",
        examples=[Example(value=example | refusal.members)],
        generate_examples=False,
        media_type=PROBLEM,
    )


def _header(description: str, example: str) -> OpenAPIHeader:
    schema = Schema(type=OpenAPIType.STRING, examples=[example])
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
    "429": {"Retry-After": _header("Seconds to wait.", "42")},
    "503": {"Retry-After": _header("Seconds to wait.", "1")},
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
            response.headers = {**ALWAYS, **counted, **SOMETIMES.get(status, {})}
        if any(getattr(one, "name", "") == "limit" for one in self.parameters or ()):
            responses["200"].headers["Link"] = LINK


def config(*pages: OpenAPIRenderPlugin, csp: str) -> OpenAPIConfig:
    """Litestar's configuration, with the pages that show the document."""
    return OpenAPIConfig(
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
