"""A stream of events for one client."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress

from icecream import errors
from icecream.feed import events
from icecream.feed.reader import FeedReader

# The maximum number of events that wait for a client. A slower client is disconnected, and has to
# reconnect.
MAX_QUEUED_EVENTS = 1000
# A client gets an empty list after this time without events.
HEARTBEAT_SECONDS = 15.0


class EventStream:
    """The events for one client from a position on, of one user's orders or of all.

    It can be iterated over once. It yields lists of events, and an empty list after some time
    without events. It ends when it or the reader is closed, or when too many events wait. The
    yielded events reach up to `position`, where another stream can continue.
    """

    def __init__(self, reader: FeedReader, *, user: int | None, after: int) -> None:
        self.position = after
        self.closed = False
        self._reader, self._user = reader, user
        self._queued: list[events.PublishedEvent] = []
        self._received_position = after
        self._wakeup = asyncio.Event()

    def on_events(self, published: Sequence[events.PublishedEvent]) -> None:
        """See Subscriber."""
        self._queued += (event for event in published if self._user in (None, event.data.user))
        self._received_position = published[-1].position
        if len(self._queued) > MAX_QUEUED_EVENTS:
            self.close()
        elif self._queued:
            self._wakeup.set()

    def close(self) -> None:
        """End the stream, and drop the waiting events."""
        self.closed = True
        self._queued.clear()
        self._wakeup.set()

    async def __aiter__(self) -> AsyncGenerator[list[events.PublishedEvent], None]:
        # There may be many old events, so read them before new events have to wait in memory.
        async with aclosing(self._read_past((await events.read_last_event()).position)) as past:
            async for published in past:
                yield published
        if self._has_ended:
            return
        async with AsyncExitStack() as stack:
            try:
                upto = await stack.enter_async_context(self._reader.subscribe(self))
            except errors.Unavailable:
                return  # The service has begun to stop.
            async with aclosing(self._read_past(upto)) as past:
                async for published in past:
                    yield published
            while await self._wait_for_events():
                yield self._take_queued()

    @property
    def _has_ended(self) -> bool:
        return self.closed or self._reader.closed

    async def _read_past(self, upto: int) -> AsyncGenerator[list[events.PublishedEvent], None]:
        loop = asyncio.get_running_loop()
        yielded_at = loop.time()
        while self.position < upto and not self._has_ended:
            end = min(self.position + events.MAX_EVENTS_PER_READ, upto)
            async with self._reader.catching_up:
                published = await events.read_events(self.position, end, user=self._user)
            self.position = end
            if published or loop.time() - yielded_at >= HEARTBEAT_SECONDS:
                yielded_at = loop.time()
                yield published

    async def _wait_for_events(self) -> bool:
        """Wait for events, at most for HEARTBEAT_SECONDS; return whether the stream continues."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._wakeup.wait()
        self._wakeup.clear()
        return not self._has_ended

    def _take_queued(self) -> list[events.PublishedEvent]:
        # A stream may begin after the reader's position.
        published = [event for event in self._queued if event.position > self.position]
        self._queued.clear()
        self.position = max(self.position, self._received_position)
        return published
