"""Lists over HTTP: a whole list as a stream, or a page with a link to the next page."""

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

from icecream import constraints, errors, fields
from icecream.http import bodies

MAX_PAGE = 500
# The rows read at once while a whole list is streamed. That is enough to keep the number of queries
# low, and so few that a list of a million takes no more memory than a list of a thousand.
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
    """The end of a page: the key and the id of its last row, and the sort order."""

    sort: str
    key: fields.Number
    id: fields.Id

    @property
    def word(self) -> str:
        """The place as text for a URL."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


# Read at most so many rows, from a place on.
Read = Callable[[Place | None, int], Awaitable[list[Any]]]


def place(after: str, sort: str) -> Place:
    """Decode the end of a page.

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
    """Return the place of a page's last row; `sort` is the key, with `-` if descending."""
    return Place(sort, getattr(last, sort.lstrip("-")), last.id)


async def answer(
    request: bodies.AnyBody, read: Read, *, sort: str = "id", limit: int | None, after: str | None
) -> ASGIApp:
    """Answer a list that is read by its key: all of it, or with a `limit` a page."""
    start = place(after, sort) if after is not None else None
    if limit is None:
        # Read the first rows before the answer begins, while an error response is still possible.
        whole = _stream(await read(start, CHUNK), read, sort)
        return Stream(whole, media_type="application/json").to_asgi_response(None, request)
    rows, headers = await read(start, limit + 1), {}
    if len(rows) > limit:
        query = request.query_params.dict() | {"after": end(sort, rows[limit - 1]).word}
        more = urlencode(query, doseq=True)
        headers["Link"] = f'<{request.url.path}?{more}>; rel="next"'
    return bodies.Json(rows[:limit], headers)


async def _stream(rows: list[Any], read: Read, sort: str) -> AsyncIterator[bytes]:
    """Yield the whole list as JSON; its first rows are already read."""
    before = b"["
    while rows:
        yield before + msgspec.json.encode(rows)[1:-1]
        before, rows = b",", await read(end(sort, rows[-1]), CHUNK)
    yield b"]" if before == b"," else b"[]"


def one_of(name: str, word: str | None, words: Iterable[str]) -> str | None:
    """Return a parameter that must be one of a few words, or None if it is not given."""
    if word is None or word in words:
        return word
    raise invalid(name, f"must be {constraints.one_of(words)}")


def some_of(name: str, given: list[str] | None, words: Iterable[str]) -> tuple[str, ...]:
    """Return the words of a repeatable parameter; empty if it is not given."""
    for word in given or ():
        one_of(name, word, words)
    return tuple(dict.fromkeys(given or ()))


def invalid(name: str, what: str) -> errors.ValidationFailed:
    """Return the error for a parameter with an impossible value."""
    return errors.ValidationFailed(f"/{name}", "invalid", f"{name} {what}.")
