"""Waiting for an order to settle: `Prefer: wait=N` (RFC 7240)."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from icecream import database, errors
from icecream.feed import events, reader
from icecream.runtime import logs
from icecream.tables import Order

# A longer requested wait is reduced to this.
MAX_WAIT_SECONDS = 30
# In this process; further requests are answered at once.
MAX_WAITS_PER_USER = 100
_WAIT_PATTERN = re.compile(r'wait\s*=\s*(?:"([0-9]+)"|([0-9]+))', re.IGNORECASE)


def parse_wait_preference(field: str | None) -> int | None:
    """Return the seconds in a Prefer field, up to MAX_WAIT_SECONDS; ignore other preferences."""
    if field is None:
        return None
    for preference in field.split(","):
        if found := _WAIT_PATTERN.fullmatch(preference.partition(";")[0].strip()):
            # Ten digits are enough: any longer number exceeds MAX_WAIT_SECONDS.
            return min(MAX_WAIT_SECONDS, int((found[1] or found[2])[:10]))
    return None


class SettlementWaiters:
    """The waiting requests of this process; together they are one subscriber of the feed."""

    def __init__(self, reader: reader.FeedReader) -> None:
        self._reader = reader
        self._waiters: dict[int, set[asyncio.Future[bool]]] = {}
        self._count_by_user: Counter[int] = Counter()

    async def wait_until_settled(self, order: int, seconds: float, *, user: int) -> bool:
        """Wait until an order is no longer pending, at most for these seconds.

        False means that the user has too many waiting requests, that the server is stopping, or
        that the database is unavailable. Then the caller answers with the data that it has.
        """
        if not seconds:
            return True
        if self._count_by_user[user] >= MAX_WAITS_PER_USER:
            return False
        self._count_by_user[user] += 1
        try:
            return await self._wait(order, seconds)
        finally:
            self._count_by_user[user] -= 1
            if not self._count_by_user[user]:
                del self._count_by_user[user]

    async def _wait(self, order: int, seconds: float) -> bool:
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(order, set())
        waiters.add(waiter)
        try:
            async with asyncio.timeout(seconds), self._reader.subscribe(self):
                # Check once after subscribing: later changes arrive by the feed.
                pending = await Order.exists().where(Order.id == order, Order.status == "pending")
                return await waiter if pending else True
        except TimeoutError:
            return True
        except errors.Unavailable:
            return False
        except database.DATABASE_UNAVAILABLE as error:
            logs.DATABASE_OUTAGE.record_failure(error)
            return False
        finally:
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(order, None)

    def on_events(self, published: Sequence[events.PublishedEvent]) -> None:
        """See Subscriber."""
        for event in published:
            if event.data.status != "pending":
                self._resolve(self._waiters.get(event.data.order, ()), settled=True)

    def close(self) -> None:
        """See Subscriber."""
        for waiters in self._waiters.values():
            self._resolve(waiters, settled=False)

    def _resolve(self, waiters: Iterable[asyncio.Future[bool]], *, settled: bool) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(settled)
