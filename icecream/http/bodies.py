"""Parsing of request bodies: JSON or a form becomes one struct, or a precise refusal."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import RequestEncodingType
from litestar.exceptions import InternalServerException
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter
from litestar.types import Empty, Receive, Scope, Send

from icecream import constraints, errors
from icecream.fields import MAX_ID
from icecream.http import forms, middleware
from icecream.tables import User

T = TypeVar("T")
PathId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="The id.")]
PLAIN_JSON = (RequestEncodingType.JSON.value, dict[str, str]())
FORM_TYPES = (RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART)
_EXPONENT_PATTERN = re.compile(r"[-+]?[0-9.]+[eE][-+]?[0-9]+")
# Members that clients of the original service may send back to it; they are ignored.
READ_ONLY = frozenset({"id", "user", "status", "created_at"})


class ApiRequest(Request[User, Any, Any]):
    """Parses a body of any supported kind into the struct that the handler requires."""

    @property
    def content_type(self) -> tuple[str, dict[str, str]]:
        """The media type of the body and its parameters."""
        if self._field("content-type") == RequestEncodingType.JSON:
            return PLAIN_JSON
        return super().content_type

    def _field(self, name: str) -> str | None:
        """Return a header field; `headers` would decode all of them."""
        wanted = name.encode()
        found = (value for key, value in self.scope["headers"] if key == wanted)
        return next((value.decode("latin-1") for value in found), None)

    async def body(self) -> bytes:
        """Return the whole body; Litestar reads it through two generators.

        Raises:
            errors.PayloadTooLarge: it is larger than the handler allows.
            InternalServerException: the client disconnected.
        """
        if self._body is Empty:
            self._body = self._connection_state.body = await self._receive_body()
        return self._body

    async def _receive_body(self) -> bytes:
        limit = self.route_handler.resolve_request_max_body_size() or math.inf
        announced = self._field("content-length") or "0"
        if announced.isdecimal() and int(announced) > limit:
            raise errors.PayloadTooLarge
        body, is_complete = b"", False
        while not is_complete:
            message: Any = await self.receive()
            if message["type"] == "http.disconnect":
                raise InternalServerException("The client disconnected.")
            body += message["body"]
            if len(body) > limit:
                raise errors.PayloadTooLarge
            is_complete = not message.get("more_body", False)
        return body

    async def json(self) -> Any:
        field = self.route_handler.parsed_data_field
        assert field is not None
        if self.content_type[0] == RequestEncodingType.JSON:
            refuse_content_encoding(self._field("content-encoding"))
            # After any failure, the slower way finds the reason.
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return _body_decoder(field.annotation)(await self.body())
        values = await self._members(field.annotation)
        if isinstance(values, dict):
            known = field.annotation.__struct_fields__
            values = {k: v for k, v in values.items() if k in known or k not in READ_ONLY}
        return convert_body(values, field.annotation)

    async def _members(self, struct: Any) -> Any:
        refuse_content_encoding(self._field("content-encoding"))
        kind, options = self.content_type
        if kind == RequestEncodingType.URL_ENCODED:
            return forms.parse_urlencoded(await self.body())
        if kind == RequestEncodingType.MULTI_PART:
            return forms.parse_multipart(await self.body(), options.get("boundary"))
        if kind != RequestEncodingType.JSON:
            raise errors.UnsupportedMediaType()
        try:
            return msgspec.json.decode(await self.body())
        except msgspec.ValidationError:
            # A number is out of range; only the struct's decoder reports its place.
            return _decode_leniently(await self.body(), struct)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise errors.ValidationFailed(
                "", "malformed", f"The body is not JSON: {detail}."
            ) from None


@cache
def _body_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return a function that decodes JSON into a struct at once, but no text into a number."""
    return msgspec.json.Decoder(kind).decode


def _decode_leniently(body: bytes, kind: Any) -> Any:
    """Decode JSON into a struct; numbers may be text."""
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise to_validation_failure(error, kind) from None


class ReadyResponse:
    """A response that is ready to send, also several times.

    Litestar's own response costs as much as the rest of its work on a call. A handler declares
    `ASGIApp` as its return type.
    """

    def __init__(
        self,
        body: bytes,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> None:
        self.status, self.body = status, body
        self.headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            *middleware.encode_headers(headers or {}),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A copy, because middleware may change the list.
        headers = self.headers.copy()
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class JsonResponse(ReadyResponse):
    """A value as JSON."""

    def __init__(
        self, value: Any, headers: Mapping[str, str] | None = None, status: int = 200
    ) -> None:
        super().__init__(msgspec.json.encode(value), "application/json", headers, status)


def refuse_content_encoding(content_encoding: str | None) -> None:
    """Refuse a compressed body, because there is no code here to decompress it.

    Raises:
        errors.UnsupportedMediaType: with the accepted encoding (RFC 9110, 15.5.16).
    """
    if content_encoding and content_encoding.strip().lower() != "identity":
        refusal = errors.UnsupportedMediaType("Send the body without a Content-Encoding.")
        refusal.headers["Accept-Encoding"] = "identity"
        raise refusal


def convert_body(values: Any, kind: type[T]) -> T:
    """Convert the received values into a struct; numbers may be text.

    Raises:
        errors.ValidationFailed: a value is not valid; the error points at the member.
    """
    struct: Any = kind
    # A refund of "null" is a mistake; it must not mean a refund of the remaining amount.
    if isinstance(values, dict) and (misread := constraints.find_misread_field(struct, values)):
        raise _as_failure(misread)
    for steps in _find_exponents(values):
        # msgspec would read the text "1e3" as the whole number 1000.
        if problem := constraints.refuse_number_as_text(struct, steps):
            raise _as_failure(problem)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise to_validation_failure(error, kind) from None


def _find_exponents(values: Any, steps: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the places of texts such as "1e3"."""
    if isinstance(values, str):
        if _EXPONENT_PATTERN.fullmatch(values):
            yield steps
    elif isinstance(values, dict | list):
        items = values.items() if isinstance(values, dict) else enumerate(values)
        for step, value in items:
            if isinstance(value, str | dict | list):
                yield from _find_exponents(value, (*steps, str(step)))


async def require_exact_ids(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Guard: accept only ids in the format that we write; Python also reads other digits."""
    segments = connection.scope["raw_path"].split(b"/")
    for value in connection.path_params.values():
        if isinstance(value, int) and not (
            1 <= value <= MAX_ID and str(value).encode() in segments
        ):
            raise errors.NotFound


def to_validation_failure(error: msgspec.ValidationError, kind: Any) -> errors.ValidationFailed:
    """Return the refusal for an error that msgspec found; it names the field."""
    return _as_failure(constraints.explain_error(error, kind))


def _as_failure(problem: constraints.FieldProblem) -> errors.ValidationFailed:
    pointer = errors.json_pointer(problem.steps)
    return errors.ValidationFailed(pointer, problem.code, problem.sentence)
