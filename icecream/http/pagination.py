"""Lists over HTTP: a whole list as a stream, or a page with a link to the next page."""

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar.params import Parameter, QueryParameter
from litestar.response import Stream
from litestar.types import ASGIApp
from msgspec import Struct

from icecream import constraints, errors, fields
from icecream.http import bodies, middleware

MAX_PAGE_SIZE = 500
# The rows of one query while a whole list is streamed. This is enough to keep the number of queries
# low, and so few that a list of a million takes no more memory than a list of a thousand.
ROWS_PER_READ = 500
INVALID_CURSOR = errors.ValidationFailed("/after", "invalid", "This is not the end of a page.")
Limit = Annotated[
    int | None,
    Parameter(ge=1, le=MAX_PAGE_SIZE, description="The maximum number of items; without it, all."),
]
After = Annotated[
    str | None,
    Parameter(
        max_length=200,
        schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
        description="The end of the previous page, from its Link.",
    ),
]

Count = Annotated[
    bool | None,
    Parameter(description="`true`: the header field `X-Total-Count` has the number of all items."),
]
DAY_SCHEMA = {
    "title": "GivenDay",
    "format": "date",
    "maxLength": 10,
    "pattern": r"^\d{4}-\d\d-\d\d$",
}


class Cursor(Struct, frozen=True):
    """The end of a page: the key and the id of its last row, and the sort order."""

    sort: str
    key: fields.NonNegativeInt
    id: fields.Id

    @property
    def encoded(self) -> str:
        """The cursor as text for a URL."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


class Page(Struct, frozen=True):
    """Rows as a JSON array, and their end if more rows follow."""

    body: bytes
    end: Cursor | None


# Reads the page with at most this number of rows after a cursor.
ReadPage = Callable[[Cursor | None, int], Awaitable[Page]]


def encode_page(rows: Sequence[Any], limit: int, sort: str = "id") -> Page:
    """Return the page of the first `limit` rows, of at least `limit + 1` rows if there are so many.

    `sort` is the key of the rows, with `-` if descending.
    """
    end = cursor_of(sort, rows[limit - 1]) if len(rows) > limit else None
    return Page(msgspec.json.encode(rows[:limit]), end)


def decode_cursor(after: str, sort: str) -> Cursor:
    """Decode the end of a page.

    Raises:
        errors.ValidationFailed: it is not the end of a page with this sort order.
    """
    try:
        text = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4))
        found = msgspec.json.decode(text, type=Cursor)
        if found.sort != sort:
            raise ValueError
    except (binascii.Error, ValueError):
        detail = "This is not the end of a page of this list."
        raise errors.ValidationFailed("/after", "invalid", detail) from None
    return found


def cursor_of(sort: str, last: Any) -> Cursor:
    """Return the cursor of a page's last row; `sort` is the key, with `-` if descending."""
    return Cursor(sort, getattr(last, sort.lstrip("-")), last.id)


async def list_response(
    request: bodies.ApiRequest,
    read: ReadPage,
    *,
    sort: str = "id",
    limit: int | None,
    after: str | None,
    count: Callable[[], Awaitable[int]] | None = None,
) -> ASGIApp:
    """Return a list that is read by its key: the whole list, or with a `limit` a page.

    A long list is streamed. A list that fits into one read is a response with a length. `count`
    returns the number of all items, if the client asked for it.
    """
    start = decode_cursor(after, sort) if after is not None else None
    # Read the first rows before the response begins, while an error response is still possible.
    page, headers = await read(start, limit or ROWS_PER_READ), {}
    if count is not None:
        headers["X-Total-Count"] = str(await count())
    if page.end is not None:
        if limit is None:
            whole = _stream_list(page, read)
            streamed = Stream(whole, media_type="application/json", headers=headers)
            return streamed.to_asgi_response(None, request)
        query = request.query_params.dict() | {"after": page.end.encoded}
        more = urlencode(query, doseq=True)
        headers["Link"] = f'<{middleware.public_path(request.scope)}?{more}>; rel="next"'
    return bodies.JsonResponse(msgspec.Raw(page.body), headers)


async def _stream_list(page: Page, read: ReadPage) -> AsyncIterator[bytes]:
    """Yield the whole list as JSON; its first page is already read."""
    yield page.body[:-1]
    while page.end is not None:
        page = await read(page.end, ROWS_PER_READ)
        # A page has no rows if they were deleted since.
        if rows := page.body[1:-1]:
            yield b"," + rows
    yield b"]"


def choice(
    title: str, choices: Iterable[str], description: str, *, name: str | None = None
) -> QueryParameter:
    """Return a parameter that must be one of a few words, for the API document only.

    `parse_choice` checks its value.
    """
    schema = {"title": title, "enum": list(choices)}
    return QueryParameter(name=name, schema_extra=schema, description=description)


def parse_choice(name: str, value: str | None, choices: Iterable[str]) -> str | None:
    """Return a parameter that must be one of a few words, or None if it is absent."""
    if value is None or value in choices:
        return value
    raise invalid_parameter(name, f"must be {constraints.describe_choice(choices)}")


def parse_choices(name: str, values: list[str] | None, choices: Iterable[str]) -> tuple[str, ...]:
    """Return the words of a repeatable parameter; empty if it is absent."""
    most = len(tuple(choices))
    if len(values or ()) > most:
        raise invalid_parameter(name, f"must be sent at most {most} times")
    for value in values or ():
        parse_choice(name, value, choices)
    return tuple(dict.fromkeys(values or ()))


def parse_day(name: str, text: str | None) -> date | None:
    """Return a parameter that must be a day, or None if it is absent."""
    if text is None:
        return None
    try:
        return msgspec.convert(text, date)
    except msgspec.ValidationError:
        raise invalid_parameter(name, "must be a day, such as 2025-05-13") from None


def invalid_parameter(name: str, predicate: str) -> errors.ValidationFailed:
    """Return the error for a parameter with an impossible value."""
    return errors.ValidationFailed(f"/{name}", "invalid", f"{name} {predicate}.")
