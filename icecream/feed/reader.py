"""One reader of the feed for all subscribers in this process."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from icecream import database, errors
from icecream.feed import events
from icecream.runtime import background, logs

log = logging.getLogger(__name__)
READ_INTERVAL_SECONDS = 0.05
# The delay before the next read when the database is unavailable.
RETRY_DELAY_SECONDS = 1.0
# This many streams may read old events at once; the limit protects the database.
MAX_CATCHING_UP_STREAMS = 2


class Subscriber(Protocol):
    """A subscriber to the feed in this process."""

    def on_events(self, published: Sequence[events.PublishedEvent]) -> None:
        """Receive the next events; there is at least one."""

    def close(self) -> None:
        """Stop: no more events will follow."""


def _deliver(subscriber: Subscriber, published: Sequence[events.PublishedEvent]) -> None:
    try:
        subscriber.on_events(published)
    except Exception as error:
        # A bug. The other subscribers must still get all events. This one is closed, and may
        # reconnect.
        logs.log_bug(log, "A subscriber of the feed failed and is closed", error)
        subscriber.close()


class FeedReader:
    """Reads the feed once for all subscribers in this process, while there are any."""

    def __init__(self) -> None:
        self.closed = False
        self.catching_up = asyncio.Semaphore(MAX_CATCHING_UP_STREAMS)
        self._subscribers: Counter[Subscriber] = Counter()
        self._position = 0
        self._subscribing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def subscribe(self, subscriber: Subscriber) -> AsyncIterator[int]:
        """Add a subscriber for all events after the position that this yields.

        Raises:
            errors.Unavailable: the service is stopping.
        """
        async with self._subscribing:
            if self._task is None:
                self._position = (await events.read_last_event()).position
            if self.closed:
                raise errors.Unavailable("The service is stopping.")
            self._subscribers[subscriber] += 1
            if self._task is None:
                self._task = background.start_task("feed reader", self._read)
                self._task.add_done_callback(self._ended)
            position = self._position
        try:
            yield position
        finally:
            self._subscribers[subscriber] -= 1
            self._subscribers += Counter()

    async def _read(self) -> None:
        while self._subscribers:
            try:
                published = await events.read_events(
                    self._position, self._position + events.MAX_EVENTS_PER_READ
                )
            except database.DATABASE_UNAVAILABLE as error:
                logs.DATABASE_OUTAGE.record_failure(error)
                await asyncio.sleep(RETRY_DELAY_SECONDS)
                continue
            if published:
                self._position = published[-1].position
                for subscriber in list(self._subscribers):
                    _deliver(subscriber, published)
            if len(published) < events.MAX_EVENTS_PER_READ:
                await asyncio.sleep(READ_INTERVAL_SECONDS)
        self._task = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            # The reader was canceled: the subscribers must reconnect.
            self._task = None
            self._close_all()

    def close(self) -> None:
        """Close all subscribers, and refuse new ones: the service is stopping."""
        self.closed = True
        self._close_all()

    def _close_all(self) -> None:
        for subscriber in list(self._subscribers):
            subscriber.close()
