"""The parts of the API document for every operation: bodies, responses and refusals."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any

from litestar.enums import RequestEncodingType
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Schema,
)
from litestar.params import HeaderParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from icecream import errors
from icecream.fields import Path, Text, Word
from icecream.http import bodies

PROBLEM = "application/problem+json"
STREAM = "text/event-stream"
URI = {"format": "uri"}
# A stream has no end: this is the largest number that every reader of the document supports.
BLOCKS = Schema(type=OpenAPIType.STRING, max_length=2**31 - 1, pattern="^(retry|id|event|data|): ")
# A string of a structured field (with quotes), or the same text without quotes.
KEY_PATTERN = r'^("([!#-\[\]-~]|\\["\\])+"|[!#-~]+)$'


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


SHEET = "flavor__name,total_qty_ordered\r\nChoclate,4\r\n"
# The refusals of any call, of any call with a token, and of any call with a body.
ANY = (
    errors.UnknownParameter("limitt", " (did you mean limit?)"),
    errors.QuotaExceeded("Too many requests; try again in 42 s."),
    errors.InternalError(),
    errors.Unavailable(),
)
CALL = (errors.Unauthenticated(), errors.InvalidToken(), errors.ExpiredToken(), *ANY)
BODY = (
    errors.ValidationFailed("", "missing", "A body is required."),
    errors.PayloadTooLarge(),
    errors.UnsupportedMediaType(),
)
# The refusals of any call with an idempotency key.
KEY = (
    errors.IdempotencyKeyInvalid(),
    errors.IdempotencyKeyInUse(),
    errors.IdempotencyKeyReused(),
)
# The types of all response bodies, for the schemas.
answered: list[Any] = [Problem]


def answers(
    status: int, body: Any, example: Any, *refusals: errors.Refusal
) -> dict[int, ResponseSpec]:
    """Return all responses of an operation: the expected one and the refusals, with examples."""
    answered.append(body)
    good = ResponseSpec(
        body,
        description=HTTPStatus(status).phrase,
        examples=[Example(value=example)],
        generate_examples=False,
    )
    return {status: good} | _by_status(refusals)


def emptied(*refusals: errors.Refusal) -> dict[int, ResponseSpec]:
    """Return all responses of an operation that succeeds without a body."""
    return {204: ResponseSpec(None, description=HTTPStatus.NO_CONTENT.phrase)} | _by_status(
        refusals
    )


def _by_status(refusals: Sequence[errors.Refusal]) -> dict[int, ResponseSpec]:
    by_status = attrgetter("status")
    groups = groupby(sorted(refusals, key=by_status), by_status)
    return {status: _refused(*group) for status, group in groups}


def streamed(example: str, *refusals: errors.Refusal) -> dict[int, ResponseSpec]:
    """Return all responses of an operation that answers with server-sent events."""
    given = answers(200, str, example, *refusals)
    given[200].media_type = STREAM
    return given


def or_unchanged(given: dict[int, ResponseSpec]) -> dict[int, ResponseSpec]:
    """Add the response 304 (not modified) to the given ones."""
    return given | {304: ResponseSpec(None, description=HTTPStatus.NOT_MODIFIED.phrase)}


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
        type=OpenAPIType.STRING,
        examples=[example],
        pattern=pattern,
        max_length=errors.MAX_TEXT_LENGTH,
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
# Further header fields of a response, by a parameter of its operation.
BY_PARAMETER = {
    "limit": {
        "Link": _text(
            "The next page (RFC 8288), unless this is the last.",
            '</api/orders?limit=100&after=eyJzb3J0Ij>; rel="next"',
            '^<.+>; rel="next"$',
        )
    },
    "Idempotency-Key": {
        "Idempotent-Replayed": _text(
            "The request was carried out before, and is only answered again.", "true", "^true$"
        )
    },
    "Prefer": {"Preference-Applied": _text("How long was granted.", "wait=10", "^wait=[0-9]+$")},
}
AS_OF = _text(
    "An event's position, which is its id in `GET /api/events/`, and its time; 0 before the first "
    "one. All events up to there are in the figures: read on with `after`, and none is missed.",
    '1042;at="2025-05-13T10:22:06.428877Z"',
    r'^\d+(;at="[0-9T:.-]+Z")?$',
)
ETAG = _text("Names this version (RFC 9110).", '"3"', '^"[!#-~]+"$')
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="A word for this request: what comes again is answered again, for 7 days.",
        # Documented, not validated: the code that reads the key has its own refusals.
        schema_extra={"pattern": KEY_PATTERN, "maxLength": 512, "examples": ["8e03978e-40d5-43dd"]},
    ),
]


@dataclass
class ApiOperation(Operation):
    """An operation with the parts that all of them share."""

    def __post_init__(self) -> None:
        content: dict[str, OpenAPIMediaType] = getattr(self.request_body, "content", None) or {}
        if RequestEncodingType.JSON in content:
            for form in bodies.FORMS:
                content[form.value] = content[RequestEncodingType.JSON.value]
        # Litestar adds its own 400 to every operation with a parameter.
        given: dict[str, Any] = self.responses or {}
        responses: dict[str, Any] = {
            status: response
            for status, response in given.items()
            if status < "400" or PROBLEM in response.content
        }
        self.responses = responses
        for status, response in responses.items():
            if STREAM in (response.content or ()):
                response.content[STREAM].schema = BLOCKS
            response.headers = {**ALWAYS, **SOMETIMES.get(status, {})}
            if status < "300":
                for name in (getattr(one, "name", "") for one in self.parameters or ()):
                    response.headers |= BY_PARAMETER.get(name, {})


@dataclass
class Tagged(ApiOperation):
    """An operation whose successful response has an ETag, and may be 304."""

    def __post_init__(self) -> None:
        super().__post_init__()
        responses: dict[str, Any] = self.responses or {}
        for status in {"200", "304"} & responses.keys():
            responses[status].headers["ETag"] = ETAG


@dataclass
class Figures(ApiOperation):
    """An operation whose successful response has the header As-Of."""

    def __post_init__(self) -> None:
        super().__post_init__()
        responses: dict[str, Any] = self.responses or {}
        responses["200"].headers["As-Of"] = AS_OF


@dataclass
class Sheet(Figures):
    """An operation with figures that can also be returned as a sheet (CSV)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        responses: dict[str, Any] = self.responses or {}
        schema = Schema(type=OpenAPIType.STRING, max_length=2**31 - 1, pattern="^[a-z_]+(,|\r\n)")
        responses["200"].content["text/csv"] = OpenAPIMediaType(
            schema=schema, examples={"sheet": Example(value=SHEET)}
        )
