"""The live feed of order events: server-sent events over HTTP."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing, contextmanager
from contextvars import Context
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Controller, get
from litestar.datastructures import State
from litestar.params import HeaderParameter, Parameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from icecream import database, errors, fields
from icecream.feed import events, reader, subscription
from icecream.http import bodies, event_stream, openapi
from icecream.runtime import logs
from icecream.tables import ApiKey, User

log = logging.getLogger(__name__)
# The limits of open streams in one process. A browser has a few tabs. A stream takes some kilobytes
# of memory, or some hundred with a slow client.
MAX_STREAMS_PER_USER = 10
MAX_STREAMS = 1000
# The interval of the checks whether the clients are still authorized.
AUTHORIZATION_CHECK_SECONDS = 1.0


class Listener(Struct, frozen=True, eq=False):
    """A client and the end of its authorization: staff get all orders, others only their own.

    `key` is the id of its API key, if it has one.
    """

    user: User
    expires_at: datetime
    key: int | None = None

    @property
    def user_filter(self) -> int | None:
        """The user to whom the orders belong; None for all users."""
        return None if self.user.admin else self.user.id

    def is_authorized(self, accounts: dict[int, Any], keys: set[int]) -> bool:
        """Return whether its account is active, and unchanged in what matters to it.

        A user with a new password has to sign in again. A user who became staff, or no longer is
        staff, gets other orders. A key is independent of the password, and may be a customer's,
        although the account is staff.
        """
        account, user = accounts.get(self.user.id), self.user
        if account is None or not account["active"]:
            return False
        if self.key is not None:
            return self.key in keys and account["admin"] >= user.admin
        return bool(account["admin"] == user.admin and account["password"] == user.password)


class OpenStreams:
    """The streams that are open in this process."""

    def __init__(self, reader: reader.FeedReader) -> None:
        self._reader = reader
        self._open: dict[subscription.EventStream, Listener] = {}
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def open(self, listener: Listener, after: int) -> Iterator[subscription.EventStream]:
        """Open a stream from a position on; it is closed when the authorization ends.

        Raises:
            errors.QuotaExceeded: the user has too many streams.
            errors.Unavailable: there are too many streams, or the service is stopping.
        """
        self._require_free_place(listener.user.id)
        stream = subscription.EventStream(self._reader, user=listener.user_filter, after=after)
        self._open[stream] = listener
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_streams(), context=Context())
        try:
            yield stream
        finally:
            del self._open[stream]

    def _require_free_place(self, user: int) -> None:
        if self._reader.closed or len(self._open) >= MAX_STREAMS:
            raise errors.Unavailable("Too many streams are open right now.")
        if (
            Counter(listener.user.id for listener in self._open.values())[user]
            >= MAX_STREAMS_PER_USER
        ):
            refusal = errors.QuotaExceeded(
                f"You have {MAX_STREAMS_PER_USER} open streams; close one first."
            )
            refusal.headers["Retry-After"] = "1"
            raise refusal

    async def _watch_streams(self) -> None:
        try:
            with logs.log_errors(
                log, "The authorization check of live streams (they end, and clients reconnect)"
            ):
                await self._check_until_closed()
        finally:
            # After any kind of end, no stream may continue without this check.
            self._watch = None
            for stream in self._open:
                stream.close()

    async def _check_until_closed(self) -> None:
        while self._open:
            try:
                await self._close_unauthorized()
            except database.DATABASE_UNAVAILABLE as error:
                logs.DATABASE_OUTAGE.record_failure(error)
            await asyncio.sleep(AUTHORIZATION_CHECK_SECONDS)

    async def _close_unauthorized(self) -> None:
        # Others may be opened while the database answers.
        listeners, now = dict(self._open), datetime.now(UTC)
        accounts = await User.select(User.id, User.active, User.admin, User.password).where(
            database.is_any(User.id, sorted({one.user.id for one in listeners.values()}))
        )
        by_id = {row["id"]: row for row in accounts}
        keys = await _find_valid_keys({one.key for one in listeners.values()} - {None})
        for stream, listener in listeners.items():
            if listener.expires_at <= now or not listener.is_authorized(by_id, keys):
                stream.close()


async def _find_valid_keys(ids: Collection[int | None]) -> set[int]:
    """Return those of these API keys that are not revoked."""
    if not ids:
        return set()
    is_one = database.is_any(ApiKey.id, sorted(filter(None, ids)))
    rows = await ApiKey.select(ApiKey.id).where(is_one, ApiKey.revoked_at.is_null())
    return {row["id"] for row in rows}


class StreamResponse:
    """A stream as a response; the return type of a handler is `ASGIApp`."""

    def __init__(self, streams: OpenStreams, listener: Listener, after: int) -> None:
        self._streams, self._listener, self._after = streams, listener, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.open(self._listener, self._after) as stream:
            await event_stream.send_blocks(encode_stream(stream), stream.close, receive, send)


async def encode_stream(stream: subscription.EventStream) -> AsyncGenerator[bytes, None]:
    """Yield the blocks to send.

    A block with an id and no data is not an event, but a client that reconnects starts from that
    id.
    """
    yield b"retry: %d\nid: %d\n\n" % (event_stream.RECONNECT_MILLISECONDS, stream.position)
    async with aclosing(aiter(stream)) as lists:
        async for published in lists:
            yield b"".join(event.block for event in published) or b": nothing new\nid: %d\n\n" % (
                stream.position
            )


async def find_start_position(**candidates: str | int | None) -> int:
    """Return the position after which a stream begins: the first candidate, or the current end.

    Raises:
        errors.ValidationFailed: there is no such event.
    """
    end = (await events.read_last_event()).position
    present = [(name, str(value)) for name, value in candidates.items() if value is not None]
    for name, text in present:
        if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= end):
            raise errors.ValidationFailed(f"/{name}", "invalid", "This is not the id of an event.")
    return int(present[0][1]) if present else end


STREAM_EXAMPLE = (
    "retry: 1000\nid: 56\n\n"
    "id: 57\nevent: paid\n"
    'data: {"order":1,"seq":2,"type":"paid","at":"2025-05-13T10:22:07.512204Z","by":null,"user":1,'
    '"status":"paid","total":500,"currency":"EUR","reference":"PO-1207","delivery_date":"2025-05-16",'
    '"amount":500}\n\n'
)


class Events(Controller):
    """The handlers of the live feed."""

    path = "/api/events"
    tags = ["Orders"]

    @get(
        "/",
        **openapi.operation(
            "followOrders",
            "Follow the events of orders",
            str,
            STREAM_EXAMPLE,
            errors.ValidationFailed("/after", "invalid", "This is not the id of an event."),
        ),
    )
    async def follow(
        self,
        request: bodies.ApiRequest,
        state: State,
        after: Annotated[
            int | None,
            Parameter(
                ge=0,
                le=fields.MAX_ID,
                # Litestar omits a minimum of 0.
                schema_extra={"minimum": 0},
                description="The id of the last received event; 0 for all events.",
            ),
        ] = None,
        resumed: Annotated[
            str | None,
            QueryParameter(
                name="lastEventId",
                schema_extra={"pattern": "^[0-9]+$", "maxLength": 19},
                description="The same, for replacements of EventSource.",
            ),
        ] = None,
        last_event_id: Annotated[
            str | None,
            HeaderParameter(
                name="Last-Event-ID",
                description="The same, as browsers send it. It takes precedence.",
                schema_extra={"pattern": "^[0-9]+$", "maxLength": 19, "examples": ["57"]},
            ),
        ] = None,
    ) -> ASGIApp:
        """Live order events as server-sent events (`text/event-stream`).

        A customer gets the events of its own orders; staff get all events. `id` is the event's
        position in the sequence of all events. To continue after a disconnect, send the last
        `id` as `Last-Event-ID`: no event is missing or repeated. Without it, the stream begins with
        the next event. `event` is the type of the event (`HistoryEventType`). `data` is an object
        with `order`, `seq`, `type`, `at`, `by`, `user`, `status` (after the event), `total` and
        `currency`, and for some types `reason` and `amount`. After 15 seconds without events, the
        server sends a comment.

        The stream ends when your token expires, when you read too slowly, or when the server stops.
        """
        start = await find_start_position(
            **{"Last-Event-ID": last_event_id, "lastEventId": resumed, "after": after}
        )
        # Only an API key has an id.
        key = getattr(request.auth, "id", None)
        listener = Listener(request.user, expires_at=request.auth.exp, key=key)
        return StreamResponse(state.streams, listener, start)
