"""Parsing of request bodies: JSON or a form becomes one struct, or a precise refusal."""

import math
from collections.abc import Callable, Mapping
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

from icecream import constraints, conversion, errors
from icecream.fields import MAX_ID
from icecream.http import forms, middleware
from icecream.tables import User

T = TypeVar("T")
PathId = Annotated[
    int,
    PathParameter(
        ge=1,
        le=MAX_ID,
        # Litestar writes these limits as floats.
        schema_extra={"title": "PathId", "minimum": 1, "maximum": MAX_ID, "examples": [1]},
        description="The id.",
    ),
]
PLAIN_JSON = (RequestEncodingType.JSON.value, dict[str, str]())
# Such a file has a header row (RFC 4180).
CSV = "text/csv; header=present"
JSON_LINES = "application/x-ndjson"
FORM_TYPES = (RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART)
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
        for key, value in self.scope["headers"]:
            if key == wanted:
                return value.decode("latin-1")
        return None

    async def body(self) -> bytes:
        """Return the whole body; Litestar reads it through two generators.

        Raises:
            errors.PayloadTooLarge: it is larger than the handler allows.
            InternalServerException: the client disconnected.
        """
        if self._body is Empty:
            body = bytearray()
            await self.receive_body(body.extend)
            self._body = self._connection_state.body = bytes(body)
        return self._body

    async def receive_body(self, write: Callable[[bytes], object]) -> None:
        """Receive the body, and pass each part of it to `write`.

        Raises:
            errors.PayloadTooLarge: it is larger than the handler allows.
            InternalServerException: the client disconnected.
        """
        limit = self.route_handler.resolve_request_max_body_size() or math.inf
        announced = self._field("content-length") or "0"
        if announced.isdecimal() and int(announced) > limit:
            raise errors.PayloadTooLarge
        length, is_complete = 0, False
        while not is_complete:
            message: Any = await self.receive()
            if message["type"] == "http.disconnect":
                raise InternalServerException("The client disconnected.")
            length += len(message["body"])
            if length > limit:
                raise errors.PayloadTooLarge
            write(message["body"])
            is_complete = not message.get("more_body", False)

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
        return conversion.convert_body(values, field.annotation)

    async def _members(self, struct: Any) -> Any:
        refuse_content_encoding(self._field("content-encoding"))
        kind, options = self.content_type
        if kind == RequestEncodingType.URL_ENCODED:
            return _with_lists(forms.parse_urlencoded(await self.body()), struct)
        if kind == RequestEncodingType.MULTI_PART:
            boundary = options.get("boundary")
            return _with_lists(forms.parse_multipart(await self.body(), boundary), struct)
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


def _with_lists(form: dict[str, str | list[str]], struct: Any) -> dict[str, str | list[str]]:
    """Make lists of the values that must be lists: a form repeats a field only for more items."""
    for name in constraints.list_fields(struct) & form.keys():
        value = form[name]
        form[name] = [value] if isinstance(value, str) else value
    return form


@cache
def _body_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return a function that decodes JSON into a struct at once, but no text into a number."""
    return msgspec.json.Decoder(kind).decode


def _decode_leniently(body: bytes, kind: Any) -> Any:
    """Decode JSON into a struct; numbers may be text."""
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise conversion.to_validation_failure(error, kind) from None


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


def attachment(name: str) -> dict[str, str]:
    """Return the header field that lets a browser save a response under this name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


class CsvFile(ReadyResponse):
    """The text of a CSV file, with the name under which a browser saves it."""

    def __init__(self, text: str, name: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(
            text.encode(), f"{CSV}; charset=utf-8", {**attachment(name), **(headers or {})}
        )


def refuse_content_encoding(content_encoding: str | None) -> None:
    """Refuse a compressed body, because there is no code here to decompress it.

    Raises:
        errors.UnsupportedMediaType: with the accepted encoding (RFC 9110, 15.5.16).
    """
    if content_encoding and content_encoding.strip().lower() != "identity":
        refusal = errors.UnsupportedMediaType("Send the body without a Content-Encoding.")
        refusal.headers["Accept-Encoding"] = "identity"
        raise refusal


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
