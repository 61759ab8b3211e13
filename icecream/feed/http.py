"""The live feed of order events: server-sent events over HTTP."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from contextvars import Context
from datetime import UTC, datetime
from typing import Annotated

from litestar import Controller, get
from litestar.datastructures import State
from litestar.params import HeaderParameter, Parameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from icecream import database, errors, fields
from icecream.feed import events, reader, subscription
from icecream.http import bodies, middleware, openapi
from icecream.runtime import logs
from icecream.tables import User

log = logging.getLogger(__name__)
# The maximum number of open streams in one process, per user and in total. A browser has a few
# tabs. A stream takes some kilobytes of memory, or some hundred with a slow listener.
EACH, ALL = 10, 1000
# Seconds between two checks whether the listeners are still authorized.
CHECK = 1.0
# Seconds that a listener has to receive a block.
SLOW = 15.0
# Milliseconds after which a browser reconnects.
RETRY = 1000
HEADERS = middleware.encoded(
    {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
)


class Listener(Struct, frozen=True, eq=False):
    """A listener and the end of its authorization: staff get all orders, others only their own."""

    user: User
    until: datetime

    @property
    def whose(self) -> int | None:
        """The user whose orders are sent; None for all."""
        return None if self.user.admin else self.user.id


class Streams:
    """The streams that are open in this process."""

    def __init__(self, reader: reader.Reader) -> None:
        self._reader = reader
        self._open: dict[subscription.Stream, Listener] = {}
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def open(self, listener: Listener, after: int) -> Iterator[subscription.Stream]:
        """Open a stream from a position on; it is closed when the authorization ends.

        Raises:
            errors.QuotaExceeded: the user has too many open.
            errors.Unavailable: too many are open, or the service is stopping.
        """
        self._require_room(listener.user.id)
        stream = subscription.Stream(self._reader, user=listener.whose, after=after)
        self._open[stream] = listener
        if self._watch is None:
            self._watch = asyncio.create_task(self._look(), context=Context())
        try:
            yield stream
        finally:
            del self._open[stream]

    def _require_room(self, user: int) -> None:
        if self._reader.closed or len(self._open) >= ALL:
            raise errors.Unavailable("No more streams can be opened here right now.")
        if Counter(one.user.id for one in self._open.values())[user] >= EACH:
            refusal = errors.QuotaExceeded(f"You have {EACH} streams open; close one first.")
            refusal.headers["Retry-After"] = "1"
            raise refusal

    async def _look(self) -> None:
        try:
            with logs.contained(log, "The watch of live streams (they end, and come again)"):
                await self._watch_all()
        finally:
            # After any kind of end, no stream may continue without this check.
            self._watch = None
            for stream in self._open:
                stream.close()

    async def _watch_all(self) -> None:
        while self._open:
            try:
                await self._close_those_who_may_not()
            except database.AWAY as error:
                logs.DATABASE.failed(error)
            await asyncio.sleep(CHECK)

    async def _close_those_who_may_not(self) -> None:
        now = datetime.now(UTC)
        for stream, listener in self._open.items():
            if listener.until <= now:
                stream.close()
        ids = sorted({listener.user.id for listener in self._open.values()})
        rows = await User.select(User.id, User.active, User.admin, User.password).where(
            User.id.is_in(ids)
        )
        # A user with a new password has to sign in again. A user who became staff, or no longer is
        # staff, gets other orders.
        good = {(row["id"], row["admin"], row["password"]) for row in rows if row["active"]}
        for stream, listener in self._open.items():
            user = listener.user
            if user.id in ids and (user.id, user.admin, user.password) not in good:
                stream.close()


class Answer:
    """A stream as an answer; the return type of a handler is `ASGIApp`.

    Litestar's own streams use a thread each, and do not reliably end when the listener disconnects.
    """

    def __init__(self, streams: Streams, listener: Listener, after: int) -> None:
        self._streams, self._listener, self._after = streams, listener, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.open(self._listener, self._after) as stream:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            leaving = asyncio.create_task(_close_when_left(stream, receive))
            try:
                await _send(stream, send)
            except TimeoutError:
                log.info("A listener took nothing for %.0f s; its stream ends.", SLOW)
            except database.AWAY as error:
                # The listener reconnects, and continues from its last position.
                logs.DATABASE.failed(error)
            finally:
                leaving.cancel()


async def _close_when_left(stream: subscription.Stream, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close()


async def _send(stream: subscription.Stream, send: Send) -> None:
    async with aclosing(blocks(stream)) as all_of_it:
        async for block in all_of_it:
            async with asyncio.timeout(SLOW):
                await send({"type": "http.response.body", "body": block, "more_body": bool(block)})


async def blocks(stream: subscription.Stream) -> AsyncGenerator[bytes, None]:
    """Yield the blocks to send; the last one is empty.

    A block with an id and no data is not an event, but a client that reconnects starts from that
    id.
    """
    yield b"retry: %d\nid: %d\n\n" % (RETRY, stream.position)
    async with aclosing(aiter(stream)) as lists:
        async for told in lists:
            yield b"".join(one.block for one in told) or b": nothing new\nid: %d\n\n" % (
                stream.position
            )
    yield b""


async def beginning(**given: str | int | None) -> int:
    """Return the position after which a stream begins: the first given one, or the current end.

    Raises:
        errors.ValidationFailed: there is no such event.
    """
    now = (await events.last()).position
    there = [(name, str(value)) for name, value in given.items() if value is not None]
    name, text = there[0] if there else ("", str(now))
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= now):
        raise errors.ValidationFailed(f"/{name}", "invalid", "This is not the id of an event.")
    return int(text)


EXAMPLE = (
    "retry: 1000\nid: 56\n\n"
    "id: 57\nevent: paid\n"
    'data: {"order":1,"seq":2,"type":"paid","at":"2025-05-13T10:22:07.512204Z","by":null,"user":1,'
    '"status":"paid","total":500,"currency":"EUR","amount":500}\n\n'
)


class Events(Controller):
    """The handlers of the live feed."""

    path = "/api/events"
    tags = ["Orders"]

    @get(
        "/",
        operation_class=openapi.ApiOperation,
        operation_id="followOrders",
        summary="Follow what happens to orders",
        responses=openapi.streamed(
            EXAMPLE,
            *openapi.CALL,
            errors.ValidationFailed("/after", "invalid", "This is not the id of an event."),
        ),
    )
    async def follow(
        self,
        request: bodies.AnyBody,
        state: State,
        after: Annotated[
            int | None,
            Parameter(
                ge=0,
                le=fields.MAX_ID,
                # Litestar omits a minimum of 0.
                schema_extra={"minimum": 0},
                description="The id of the last event that was seen; 0 for all there ever were.",
            ),
        ] = None,
        resumed: Annotated[
            str | None,
            QueryParameter(
                name="lastEventId",
                schema_extra={"pattern": "^[0-9]+$", "maxLength": 19},
                description="The same, as browsers' replacements for EventSource send it.",
            ),
        ] = None,
        last_event_id: Annotated[
            str | None,
            HeaderParameter(
                name="Last-Event-ID",
                description="The same, as browsers send it when they come again; it comes first.",
                schema_extra={"pattern": "^[0-9]+$", "maxLength": 19, "examples": ["57"]},
            ),
        ] = None,
    ) -> ASGIApp:
        """Server-sent events (the `text/event-stream` of the HTML standard), as they happen.

        You hear of your own orders, staff of all. `id` is the event's position in the one order
        of all events, in which each comes once; come again with the last one as `Last-Event-ID`
        and nothing is missed and nothing comes twice, whichever process answers. Without it,
        the stream begins now. `event` is what happened, the `type` in `data`: an object with
        `order`, `seq`, `type`, `at`, `by`, `user`, `status` (after the event), `total`,
        `currency`, and where there are such `reason` and `amount`. After 15 seconds of
        silence there is a comment.

        The stream ends with your token, or when you read too slowly, or when the server stops.
        """
        start = await beginning(
            **{"Last-Event-ID": last_event_id, "lastEventId": resumed, "after": after}
        )
        listener = Listener(request.user, until=request.auth.exp)
        return Answer(state.streams, listener, start)
