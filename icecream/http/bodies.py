"""Parsing of request bodies: JSON or a form becomes one struct, or a precise refusal."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException, InternalServerException
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter
from litestar.types import Empty, Receive, Scope, Send

from icecream import constraints, errors
from icecream.fields import MAX_ID
from icecream.http import middleware
from icecream.tables import User

T = TypeVar("T")
PathId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="The id.")]
PLAIN_JSON = (RequestEncodingType.JSON.value, dict[str, str]())
FORM_TYPES = (RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART)
# Our largest form has three fields.
MAX_FORM_FIELDS = 1000
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
        values = await self._members()
        if isinstance(values, dict):
            known = field.annotation.__struct_fields__
            values = {k: v for k, v in values.items() if k in known or k not in READ_ONLY}
        return convert_body(values, field.annotation)

    async def _members(self) -> Any:
        refuse_content_encoding(self._field("content-encoding"))
        kind = self.content_type[0]
        if kind in FORM_TYPES:
            return await self._form_members()
        if kind != RequestEncodingType.JSON:
            raise errors.UnsupportedMediaType()
        try:
            return msgspec.json.decode(await self.body())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise errors.ValidationFailed(
                "", "malformed", f"The body is not JSON: {detail}."
            ) from None

    async def _form_members(self) -> dict[str, Any]:
        # Counted before parsing, because parsing costs microseconds per field on the event loop.
        if (await self.body()).count(b"&") > MAX_FORM_FIELDS:
            raise errors.ValidationFailed("", "malformed", "The form has too many fields.")
        try:
            if self.content_type[0] == RequestEncodingType.URL_ENCODED:
                # Litestar would replace bytes that are not UTF-8 by U+FFFD.
                _require_utf8(await self.body())
            form = await self.form()
        except (HTTPException, ValueError, LookupError) as error:
            reason = error.detail if isinstance(error, HTTPException) else error
            raise errors.ValidationFailed(
                "", "malformed", f"The body is not a valid form: {reason}."
            ) from None
        fields = {name: form.getall(name) for name in form}
        return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _require_utf8(form: bytes) -> None:
    for pair in form.split(b"&"):
        name, _, value = (
            unquote_to_bytes(part) for part in pair.replace(b"+", b" ").partition(b"=")
        )
        try:
            name.decode()
            value.decode()
        except UnicodeDecodeError:
            shown = name.decode("utf-8", "replace")
            raise errors.ValidationFailed(
                json_pointer([shown]), "malformed", f"{shown} must be UTF-8."
            ) from None


@cache
def _body_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return a function that decodes JSON into a struct at once, but no text into a number."""
    return msgspec.json.Decoder(kind).decode


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
    for name, words in constraints.fields_reading_null(struct).items():
        # A refund of "null" is a mistake; it must not mean a refund of the remaining amount.
        if isinstance(values, dict) and str(values.get(name)).lower() == "null":
            raise errors.ValidationFailed(f"/{name}", "invalid", f"{name} must be {words}.")
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


def json_pointer(steps: Iterable[str]) -> str:
    """Return the JSON Pointer (RFC 6901) for a path of member names."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def to_validation_failure(error: msgspec.ValidationError, kind: Any) -> errors.ValidationFailed:
    """Return the refusal for an error that msgspec found; it names the field."""
    return _as_failure(constraints.explain_error(error, kind))


def _as_failure(problem: constraints.FieldProblem) -> errors.ValidationFailed:
    return errors.ValidationFailed(json_pointer(problem.steps), problem.code, problem.sentence)
