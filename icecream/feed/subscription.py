"""A stream of events for one listener."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress

from icecream import errors
from icecream.feed import events
from icecream.feed.events import Told
from icecream.feed.reader import Reader

# The maximum number of events that wait for a follower. A slower follower is disconnected, and has
# to reconnect.
ROOM = 1000
# Seconds without events after which followers get an empty list.
BEAT = 15.0


class Stream:
    """The events for one listener from a position on, of one user's orders or of all.

    It can be iterated over once. It yields lists of events, and an empty list after some time
    without events. It ends when it or the reader is closed, or when too many events wait. The
    yielded events reach up to `position`, where another stream can continue.
    """

    def __init__(self, reader: Reader, *, user: int | None, after: int) -> None:
        self.position = after
        self.closed = False
        self._reader, self._user = reader, user
        self._told: list[Told] = []
        self._heard = after
        self._news = asyncio.Event()

    def hear(self, told: Sequence[Told]) -> None:
        """See Follower."""
        self._told += (one for one in told if self._user in (None, one.data.user))
        self._heard = told[-1].position
        if len(self._told) > ROOM:
            self.close()
        elif self._told:
            self._news.set()

    def close(self) -> None:
        """End the stream, and drop the waiting events."""
        self.closed = True
        self._told.clear()
        self._news.set()

    async def __aiter__(self) -> AsyncGenerator[list[Told], None]:
        # There may be many old events, so read them before new events have to wait in memory.
        async with aclosing(self._past((await events.last()).position)) as past:
            async for told in past:
                yield told
        if self._over:
            return
        async with AsyncExitStack() as stack:
            try:
                upto = await stack.enter_async_context(self._reader.follow(self))
            except errors.Unavailable:
                return  # The service has begun to stop.
            async with aclosing(self._past(upto)) as past:
                async for told in past:
                    yield told
            while await self._news_or_silence():
                yield self._take()

    @property
    def _over(self) -> bool:
        return self.closed or self._reader.closed

    async def _past(self, upto: int) -> AsyncGenerator[list[Told], None]:
        loop = asyncio.get_running_loop()
        given = loop.time()
        while self.position < upto and not self._over:
            end = min(self.position + events.PAGE, upto)
            async with self._reader.catching_up:
                told = await events.read(self.position, end, user=self._user)
            self.position = end
            if told or loop.time() - given >= BEAT:
                given = loop.time()
                yield told

    async def _news_or_silence(self) -> bool:
        """Wait for events, or for the end of a silence; return whether the stream continues."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT):
                await self._news.wait()
        self._news.clear()
        return not self._over

    def _take(self) -> list[Told]:
        # A stream may begin after the reader's position.
        told = [one for one in self._told if one.position > self.position]
        self._told.clear()
        self.position = max(self.position, self._heard)
        return told
