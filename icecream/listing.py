"""Lists over HTTP: the whole of one as a stream, or a page of it with a link to the next."""

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar.params import Parameter
from litestar.response import Stream
from litestar.types import ASGIApp
from msgspec import Struct

from icecream import bodies, errors, sentences

MAX_PAGE = 500
# Rows read at once while a whole list is streamed: enough to keep the database out of the way,
# little enough that a list of a million takes no more memory than a list of a thousand.
CHUNK = 500
BAD_PAGE = errors.ValidationFailed("/after", "invalid", "This is not where a page ended.")
Limit = Annotated[
    int | None, Parameter(ge=1, le=MAX_PAGE, description="How many; without it, all.")
]
After = Annotated[
    str | None,
    Parameter(
        max_length=200,
        schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
        description="Where the last page ended, from its Link.",
    ),
]


class Place(Struct, frozen=True):
    """Where a page ended: the key and the id of its last row, and the sort it was made by."""

    sort: str
    key: bodies.Number
    id: bodies.Id

    @property
    def word(self) -> str:
        """For an address."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


# At most so many rows, from a place on.
Read = Callable[[Place | None, int], Awaitable[list[Any]]]


def place(after: str, sort: str) -> Place:
    """Read where a page ended.

    Raises:
        errors.ValidationFailed: no page of a list in this order ended there.
    """
    try:
        text = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4))
        found = msgspec.json.decode(text, type=Place)
        if found.sort != sort:
            raise ValueError
    except (binascii.Error, ValueError):
        detail = "This is not where a page of this list ended."
        raise errors.ValidationFailed("/after", "invalid", detail) from None
    return found


def end(sort: str, last: Any) -> Place:
    """Where a page with this row as its last ended; `sort` names the key, `-` the largest first."""
    return Place(sort, getattr(last, sort.lstrip("-")), last.id)


async def answer(
    request: bodies.AnyBody, read: Read, *, sort: str = "id", limit: int | None, after: str | None
) -> ASGIApp:
    """A list that is read by its key: all of it, or with a `limit` a page."""
    start = place(after, sort) if after is not None else None
    if limit is None:
        # The first rows are read before the answer begins, while it can still be a refusal.
        whole = _stream(await read(start, CHUNK), read, sort)
        return Stream(whole, media_type="application/json").to_asgi_response(None, request)
    rows, headers = await read(start, limit + 1), {}
    if len(rows) > limit:
        query = request.query_params.dict() | {"after": end(sort, rows[limit - 1]).word}
        more = urlencode(query, doseq=True)
        headers["Link"] = f'<{request.url.path}?{more}>; rel="next"'
    return bodies.Json(rows[:limit], headers)


async def _stream(rows: list[Any], read: Read, sort: str) -> AsyncIterator[bytes]:
    """The whole list as JSON, whose first rows were read already."""
    before = b"["
    while rows:
        yield before + msgspec.json.encode(rows)[1:-1]
        before, rows = b",", await read(end(sort, rows[-1]), CHUNK)
    yield b"]" if before == b"," else b"[]"


def one_of(name: str, word: str | None, words: Iterable[str]) -> str | None:
    """A parameter that is one of a few words, or was not given."""
    if word is None or word in words:
        return word
    raise invalid(name, f"must be {sentences.one_of(words)}")


def some_of(name: str, given: list[str] | None, words: Iterable[str]) -> tuple[str, ...]:
    """A parameter that may be repeated, each time one of a few words; empty if it is not there."""
    for word in given or ():
        one_of(name, word, words)
    return tuple(dict.fromkeys(given or ()))


def invalid(name: str, what: str) -> errors.ValidationFailed:
    """A parameter that asks for what cannot be."""
    return errors.ValidationFailed(f"/{name}", "invalid", f"{name} {what}.")
