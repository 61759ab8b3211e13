"""Notifications for open pages that something has happened; then they fetch the figures."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress

from litestar.types import Receive, Scope, Send

from icecream import database, errors
from icecream.feed import events, reader
from icecream.http import middleware
from icecream.runtime import logs

log = logging.getLogger(__name__)
# Seconds between two checks that a page's session is still valid, and of silence before a comment.
CHECK, BEAT = 5.0, 15.0
# Pages per session: a browser has six connections to a host, and needs one for the figures.
EACH = 5
# Milliseconds after which a browser reconnects.
RETRY = 1000
HEADERS = middleware.encoded(
    {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
)
CHANGED = b"event: changed\ndata: {}\n\n"


class OpenPage:
    """An open page, and whether it has news to fetch."""

    def __init__(self) -> None:
        self.closed = False
        self._news = asyncio.Event()

    def hear(self, told: Sequence[events.Told]) -> None:
        """See feed.Follower."""
        self._news.set()

    def close(self) -> None:
        """See feed.Follower."""
        self.closed = True
        self._news.set()

    async def news(self, seconds: float) -> bool:
        """Wait up to `seconds` for news, and return whether there is any; several count as one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        there = self._news.is_set() and not self.closed
        self._news.clear()
        return there


class OpenPages:
    """The open pages of this process, counted by session."""

    def __init__(self, reader: reader.Reader) -> None:
        self.reader = reader
        self._by_session: Counter[str] = Counter()

    @contextmanager
    def counted(self, session: str) -> Iterator[None]:
        """Count one more page of a session.

        Raises:
            errors.QuotaExceeded: the session has too many pages.
        """
        if self._by_session[session] >= EACH:
            refusal = errors.QuotaExceeded(f"{EACH} dashboards are live already; close one first.")
            refusal.headers["Retry-After"] = "10"
            raise refusal
        self._by_session[session] += 1
        try:
            yield
        finally:
            self._by_session[session] -= 1
            self._by_session += Counter()


class Stream:
    """The event stream of an open page; a handler declares `ASGIApp` as its return type."""

    def __init__(
        self, pages: OpenPages, session: str, holds: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._pages, self._session, self._holds = pages, session, holds
        self._page = OpenPage()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._pages.counted(self._session):
            async with self._pages.reader.follow(self._page):
                await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                leaving = asyncio.create_task(_close_when_left(self._page, receive))
                try:
                    await self._send(send)
                except TimeoutError:
                    log.info("A page takes nothing any more; its stream ends.")
                finally:
                    leaving.cancel()

    async def _send(self, send: Send) -> None:
        async with aclosing(self._blocks()) as blocks:
            async for block in blocks:
                async with asyncio.timeout(BEAT):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        # The page also fetches events from before this stream.
        yield b"retry: %d\n" % RETRY + CHANGED
        said = checked = loop.time()
        while not self._page.closed:
            news, now = await self._page.news(CHECK), loop.time()
            if now - checked >= CHECK:
                checked = now
                if not await self._still_holds():
                    return
            if news or now - said >= BEAT:
                said = now
                yield CHANGED if news else b": nothing new\n\n"

    async def _still_holds(self) -> bool:
        try:
            return await self._holds(self._session)
        except database.AWAY as error:
            logs.DATABASE.failed(error)
            return True


async def _close_when_left(page: OpenPage, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    page.close()
