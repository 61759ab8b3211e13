"""Forms, URL-encoded or multipart: their fields as text, or a refusal that names the field."""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

import multipart

from icecream import errors

# The API's largest form has fewer than thirty.
MAX_FIELDS = 1000
# Another charset is refused: some of Python's decoders take seconds, or return lone surrogates.
CHARSETS = {"utf-8", "utf8", "us-ascii"}
# A name and its value.
Field = tuple[bytes, bytes]


def parse_urlencoded(body: bytes, max_fields: int = MAX_FIELDS) -> dict[str, str | list[str]]:
    """Return the values of a URL-encoded form by name; a repeated field is a list.

    Litestar would keep the last 1024 bodies in memory, and replace bytes that are not UTF-8.

    Raises:
        errors.ValidationFailed: it is no valid form.
    """
    # Counted before parsing, because parsing costs microseconds per field on the event loop.
    if body.count(b"&") > max_fields:
        raise _too_many_fields()
    return _decode_fields(_split_pairs(body))


def _split_pairs(body: bytes) -> Iterator[Field]:
    for pair in filter(None, body.replace(b"+", b" ").split(b"&")):
        name, _, value = pair.partition(b"=")
        yield unquote_to_bytes(name), unquote_to_bytes(value)


def parse_multipart(body: bytes, boundary: str | None) -> dict[str, str | list[str]]:
    """Return the values of a multipart form by name; a repeated field is a list.

    Raises:
        errors.ValidationFailed: it is no valid form, or has a file.
    """
    if not boundary:
        raise _invalid_form("the Content-Type has no boundary")
    try:
        return _decode_fields(_split_parts(body, boundary))
    except multipart.ParserLimitReached:
        raise _too_many_fields() from None
    except multipart.MultipartError as error:
        raise _invalid_form(str(error)) from None


def _split_parts(body: bytes, boundary: str) -> Iterator[Field]:
    name, value = "", b""
    with multipart.PushMultipartParser(boundary, max_segment_count=MAX_FIELDS) as parser:
        for event in parser.parse(body) if body else ():
            if isinstance(event, multipart.MultipartSegment):
                name, value = event.name or "", b""
                if event.filename is not None:
                    raise _invalid_field(name, "must be text, not a file")
                if event.charset and event.charset.lower() not in CHARSETS:
                    raise _not_utf8(name)
            elif event is None:
                yield name.encode(), value
            else:
                value += event


def _decode_fields(fields: Iterable[Field]) -> dict[str, str | list[str]]:
    decoded: dict[str, list[str]] = {}
    for name, value in fields:
        shown = name.decode("utf-8", "replace")
        try:
            decoded.setdefault(name.decode(), []).append(value.decode())
        except UnicodeDecodeError:
            raise _not_utf8(shown) from None
    return {name: one[0] if len(one) == 1 else one for name, one in decoded.items()}


def _not_utf8(name: str) -> errors.ValidationFailed:
    return _invalid_field(name, "must be UTF-8")


def _invalid_field(name: str, predicate: str) -> errors.ValidationFailed:
    return errors.ValidationFailed(errors.json_pointer([name]), "malformed", f"{name} {predicate}.")


def _invalid_form(reason: str) -> errors.ValidationFailed:
    return errors.ValidationFailed("", "malformed", f"The body is not a valid form: {reason}.")


def _too_many_fields() -> errors.ValidationFailed:
    return errors.ValidationFailed("", "malformed", "The form has too many fields.")
