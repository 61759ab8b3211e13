"""One reader of the feed for all subscribers in this process."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from icecream import database, errors
from icecream.feed import events
from icecream.feed.events import Told
from icecream.runtime import background, logs

log = logging.getLogger(__name__)
# Seconds between two reads, and seconds of pause when the database is away.
EVERY, REST = 0.05, 1.0
# How many streams may read old events at once; this limits the load on the database.
CATCHING_UP = 2


class Follower(Protocol):
    """A follower of the feed in this process."""

    def hear(self, told: Sequence[Told]) -> None:
        """Receive the next events; there is at least one."""

    def close(self) -> None:
        """Stop: no more events will follow."""


def _tell(follower: Follower, told: Sequence[Told]) -> None:
    try:
        follower.hear(told)
    except Exception as error:
        # A bug. The other followers must still get all events. This one is closed, and may
        # reconnect.
        logs.fault(log, "Somebody who follows the feed could not be told", error)
        follower.close()


class Reader:
    """Reads the feed once for all followers in this process, while there are any."""

    def __init__(self) -> None:
        self.closed = False
        self.catching_up = asyncio.Semaphore(CATCHING_UP)
        self._followers: Counter[Follower] = Counter()
        self._position = 0
        self._joining = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, follower: Follower) -> AsyncIterator[int]:
        """Add a follower for all events after the position that this yields.

        Raises:
            errors.Unavailable: the service is stopping.
        """
        async with self._joining:
            if self._task is None:
                self._position = (await events.last()).position
            if self.closed:
                raise errors.Unavailable("The service is stopping.")
            self._followers[follower] += 1
            if self._task is None:
                self._task = background.start("reader of the feed", self._read)
                self._task.add_done_callback(self._ended)
            position = self._position
        try:
            yield position
        finally:
            self._followers[follower] -= 1
            self._followers += Counter()

    async def _read(self) -> None:
        while self._followers:
            try:
                told = await events.read(self._position, self._position + events.PAGE)
            except database.AWAY as error:
                logs.DATABASE.failed(error)
                await asyncio.sleep(REST)
                continue
            if told:
                self._position = told[-1].position
                for follower in list(self._followers):
                    _tell(follower, told)
            if len(told) < events.PAGE:
                await asyncio.sleep(EVERY)
        self._task = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            # The reader was canceled: the followers must reconnect.
            self._task = None
            self._close_all()

    def close(self) -> None:
        """Close all followers, and refuse new ones: the service is stopping."""
        self.closed = True
        self._close_all()

    def _close_all(self) -> None:
        for follower in list(self._followers):
            follower.close()
