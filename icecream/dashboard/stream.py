"""Notifications to open pages when data has changed; the pages then fetch the figures."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from litestar.types import Receive, Scope, Send

from icecream import database, errors
from icecream.feed import events, reader
from icecream.http import event_stream
from icecream.runtime import logs

# A page must not stay live for long after its session has ended.
SESSION_CHECK_SECONDS = 5.0
# Without an event for so long, a comment is sent: proxies close silent connections after a minute.
HEARTBEAT_SECONDS = 15.0
# A browser has six connections to a host, and needs one of them for the figures.
MAX_PAGES_PER_SESSION = 5
CHANGED = b"event: changed\ndata: {}\n\n"


class OpenPage:
    """An open page, and whether there are changes that it has not fetched."""

    def __init__(self) -> None:
        self.closed = False
        self._changed = asyncio.Event()

    def on_events(self, published: Sequence[events.PublishedEvent]) -> None:
        """Implement the subscriber of the feed."""
        self._changed.set()

    def close(self) -> None:
        """Implement the subscriber of the feed."""
        self.closed = True
        self._changed.set()

    async def wait_for_change(self, seconds: float) -> bool:
        """Wait up to `seconds` for a change, and return whether there was one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        has_changed = self._changed.is_set() and not self.closed
        self._changed.clear()
        return has_changed


class OpenPages:
    """The open pages of this process, counted by session."""

    def __init__(self, reader: reader.FeedReader) -> None:
        self.reader = reader
        self._by_session: Counter[str] = Counter()

    @contextmanager
    def count_page(self, session: str) -> Iterator[None]:
        """Count one more page of a session.

        Raises:
            errors.QuotaExceeded: the session has too many pages.
        """
        if self._by_session[session] >= MAX_PAGES_PER_SESSION:
            refusal = errors.QuotaExceeded(
                f"{MAX_PAGES_PER_SESSION} live dashboards are open already; close one first."
            )
            refusal.headers["Retry-After"] = "10"
            raise refusal
        self._by_session[session] += 1
        try:
            yield
        finally:
            self._by_session[session] -= 1
            self._by_session += Counter()


class PageStream:
    """The event stream of an open page; a handler declares `ASGIApp` as its return type."""

    def __init__(
        self, pages: OpenPages, session: str, is_valid: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._pages, self._session, self._is_valid = pages, session, is_valid
        self._page = OpenPage()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._pages.count_page(self._session):
            async with self._pages.reader.subscribe(self._page):
                await event_stream.send_blocks(self._blocks(), self._page.close, receive, send)

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        # The first event makes the page fetch changes from before this stream.
        yield b"retry: %d\n" % event_stream.RECONNECT_MILLISECONDS + CHANGED
        sent_at = checked_at = loop.time()
        while not self._page.closed:
            has_changed = await self._page.wait_for_change(SESSION_CHECK_SECONDS)
            now = loop.time()
            if now - checked_at >= SESSION_CHECK_SECONDS:
                checked_at = now
                if not await self._is_session_valid():
                    return
            if has_changed or now - sent_at >= HEARTBEAT_SECONDS:
                sent_at = now
                yield CHANGED if has_changed else b": nothing new\n\n"

    async def _is_session_valid(self) -> bool:
        try:
            return await self._is_valid(self._session)
        except database.DATABASE_UNAVAILABLE as error:
            logs.DATABASE_OUTAGE.record_failure(error)
            return True
