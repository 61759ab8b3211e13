"""The parts of the API document for all operations: bodies, responses and refusals."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any, ClassVar, get_args, get_origin

from litestar.enums import RequestEncodingType
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Schema,
)
from litestar.params import HeaderParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from icecream import errors
from icecream.fields import Path, Text, Word
from icecream.http import bodies, event_stream
from icecream.http.openapi import headers

URI_FORMAT = {"format": "uri"}
# A stream has no end: this is the largest number that every reader of the document supports.
EVENT_STREAM_SCHEMA = Schema(
    type=OpenAPIType.STRING, max_length=2**31 - 1, pattern="^(retry|id|event|data|): "
)
# A string of a structured field (with quotes), or the same text without quotes.
IDEMPOTENCY_KEY_PATTERN = r'^("([!#-\[\]-~]|\\["\\])+"|[!#-~]+)$'


class FieldError(Struct):
    """An error in one field; `pointer` is a JSON Pointer (RFC 6901), empty for the whole body."""

    pointer: Path
    code: Word
    detail: Text


class Problem(Struct, rename={"kind": "type"}):
    """A problem document (RFC 9457). Some types have further members."""

    kind: Annotated[
        Text, Meta(description="The page that explains the problem.", extra_json_schema=URI_FORMAT)
    ]
    title: Text
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Text
    instance: Annotated[Path, Meta(description="The requested path.")]
    code: Annotated[
        Word, Meta(description="The type of the problem, for programs; it never changes.")
    ]
    request_id: Annotated[
        str,
        Meta(
            max_length=64,
            pattern="^[A-Za-z0-9-]+$",
            description="The id of this request in our logs.",
        ),
    ]
    errors: Annotated[list[FieldError], Meta(max_length=100)] | UnsetType = UNSET


# The refusals of all calls.
ANY_CALL_REFUSALS = (
    errors.UnknownParameter("limitt", " (did you mean limit?)"),
    errors.QuotaExceeded("Too many requests; try again in 42 s."),
    errors.InternalError(),
    errors.Unavailable(),
)
# The refusals of all calls with a token.
AUTHENTICATED_CALL_REFUSALS = (
    errors.Unauthenticated(),
    errors.InvalidToken(),
    errors.ExpiredToken(),
    errors.InsufficientScope(["order"]),
    *ANY_CALL_REFUSALS,
)
# The refusals of all calls with a body.
BODY_REFUSALS = (
    errors.ValidationFailed("", "missing", "A body is required."),
    errors.PayloadTooLarge(),
    errors.UnsupportedMediaType(),
)
# The refusals of all calls with an idempotency key.
IDEMPOTENCY_KEY_REFUSALS = (
    errors.IdempotencyKeyInvalid(),
    errors.IdempotencyKeyInUse(),
    errors.IdempotencyKeyReused(),
)
# The types of all response bodies, for the schemas.
response_types: list[Any] = [Problem]
type_examples: dict[str, Any] = {}


def success(status: int, body: Any, example: Any = None) -> dict[int, ResponseSpec]:
    """Return one successful response; a text is a stream of events.

    The first example of a type is the document's example of it.
    """
    response = ResponseSpec(body, description=_phrase(status), generate_examples=False)
    if body is not None:
        response_types.append(body)
        kind, one = (get_args(body)[0], example[0]) if get_origin(body) is list else (body, example)
        if isinstance(kind, type) and issubclass(kind, Struct):
            type_examples.setdefault(kind.__name__, one)
        else:
            response.examples = [Example(value=example)]
    if body is str:
        response.media_type = event_stream.MEDIA_TYPE
    return {status: response}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _refusal_responses(refusals: Sequence[errors.Refusal]) -> dict[int, ResponseSpec]:
    by_status = attrgetter("status")
    groups = groupby(sorted(refusals, key=by_status), by_status)
    return {status: _refusal_response(*group) for status, group in groups}


def _refusal_response(*refusals: errors.Refusal) -> ResponseSpec:
    by_code = {refusal.code: refusal for refusal in reversed(refusals)}
    return ResponseSpec(
        Problem,
        # The examples say what is wrong.
        description=_phrase(refusals[0].status),
        examples=[Example(value=_example_document(refusal)) for refusal in by_code.values()],
        generate_examples=False,
        media_type=errors.MEDIA_TYPE,
    )


def _example_document(refusal: errors.Refusal) -> dict[str, Any]:
    return refusal.document(
        address="https://example.org", instance="/api/orders", request_id="6b8a81ca2f68bbd6"
    )


IdempotencyKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="A unique key for this request. For 7 days, a repetition gets the stored "
        "response, and has no further effect.",
        # Documented, not validated: the code that reads the key has its own refusals.
        schema_extra={
            "pattern": IDEMPOTENCY_KEY_PATTERN,
            "maxLength": 255,
            "examples": ["8e03978e-40d5-43dd"],
        },
    ),
]


@dataclass
class ApiOperation(Operation):
    """An operation with the parts that all operations share."""

    def __post_init__(self) -> None:
        content: dict[str, OpenAPIMediaType] = getattr(self.request_body, "content", None) or {}
        if RequestEncodingType.JSON in content:
            for form in bodies.FORM_TYPES:
                content[form.value] = content[RequestEncodingType.JSON.value]
        # Litestar adds its own 400 to every operation with a parameter.
        declared: dict[str, Any] = self.responses or {}
        responses: dict[str, Any] = {
            status: response
            for status, response in declared.items()
            if status < "400" or errors.MEDIA_TYPE in response.content
        }
        self.responses = responses
        for status, response in responses.items():
            if event_stream.MEDIA_TYPE in (response.content or ()):
                response.content[event_stream.MEDIA_TYPE].schema = EVENT_STREAM_SCHEMA
            response.headers = headers.COMMON | headers.BY_STATUS.get(status, {})
            if status < "300":
                for name in (getattr(item, "name", "") for item in self.parameters or ()):
                    response.headers |= headers.BY_PARAMETER.get(name, {})


@dataclass
class OperationWithETag(ApiOperation):
    """An operation whose successful response has an ETag, and may be 304."""

    def __post_init__(self) -> None:
        super().__post_init__()
        responses: dict[str, Any] = self.responses or {}
        for status in {"200", "304"} & responses.keys():
            responses[status].headers["ETag"] = headers.ETAG


@dataclass
class OperationWithAsOf(ApiOperation):
    """An operation whose successful response has the header As-Of."""

    def __post_init__(self) -> None:
        super().__post_init__()
        responses: dict[str, Any] = self.responses or {}
        responses["200"].headers["As-Of"] = headers.AS_OF


@dataclass
class OperationWithCsv(ApiOperation):
    """An operation whose successful response can also be CSV; a subclass has the example."""

    csv_example: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        responses: dict[str, Any] = self.responses or {}
        schema = Schema(type=OpenAPIType.STRING, max_length=2**31 - 1, pattern="^[a-z_]+(,|\r\n)")
        responses["200"].content["text/csv"] = OpenAPIMediaType(
            schema=schema, examples={"sheet": Example(value=self.csv_example)}
        )


def operation(
    operation_id: Any,
    summary: str,
    body: Any,
    example: Any,
    *refusals: errors.Refusal,
    status: int = 200,
    kind: type[ApiOperation] = ApiOperation,
    also: dict[int, ResponseSpec] | None = None,
    is_public: bool = False,
) -> dict[str, Any]:
    """Return the arguments of a route that describe its operation in the API document.

    Args:
        operation_id: the id, or a function that Litestar calls for each path.
        body: the type of the response body; None for a response without a body.
        refusals: those that are not the same for all operations, each with an example.
        also: further successful responses.
        is_public: the operation needs no token.
    """
    common = ANY_CALL_REFUSALS if is_public else AUTHENTICATED_CALL_REFUSALS
    public = {"exclude_from_auth": True, "security": [{}]} if is_public else {}
    return public | {
        "operation_class": kind,
        "operation_id": operation_id,
        "summary": summary,
        "status_code": status,
        "responses": success(status, body, example)
        | (also or {})
        | _refusal_responses((*common, *refusals)),
    }
