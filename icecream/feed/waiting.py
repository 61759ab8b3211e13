"""Waiting for an order to settle: `Prefer: wait=N` (RFC 7240)."""

import asyncio
import re
from collections.abc import Iterable, Sequence

from icecream import database, errors
from icecream.feed import events, reader
from icecream.runtime import logs
from icecream.tables import Order

# The longest wait in seconds.
LONGEST = 30
_WAIT = re.compile(r'wait\s*=\s*(?:"([0-9]+)"|([0-9]+))', re.IGNORECASE)


def asked(field: str | None) -> int | None:
    """Return the seconds in a Prefer field, at most LONGEST; other preferences are ignored."""
    for preference in (field or "").split(","):
        if found := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            # Ten digits are enough: any longer number exceeds LONGEST.
            return min(LONGEST, int((found[1] or found[2])[:10]))
    return None


class Waiting:
    """The waiting requests of this process; together they are one follower of the feed."""

    def __init__(self, reader: reader.Reader) -> None:
        self._reader = reader
        self._waiters: dict[int, set[asyncio.Future[bool]]] = {}

    async def settled(self, order: int, seconds: float) -> bool:
        """Return when an order is no longer pending, or after so many seconds.

        False means that the server is stopping, or that the database is away. Then the caller
        answers with the data that it has.
        """
        if not seconds:
            return True
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(order, set())
        waiters.add(waiter)
        try:
            async with asyncio.timeout(seconds), self._reader.follow(self):
                # Check once after following began: later changes arrive by the feed.
                pending = await Order.exists().where(Order.id == order, Order.status == "pending")
                return await waiter if pending else True
        except TimeoutError:
            return True
        except errors.Unavailable:
            return False
        except database.AWAY as error:
            logs.DATABASE.failed(error)
            return False
        finally:
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(order, None)

    def hear(self, told: Sequence[events.Told]) -> None:
        """See Follower."""
        for one in told:
            if one.data.status != "pending":
                self._answer(self._waiters.get(one.data.order, ()), settled=True)

    def close(self) -> None:
        """See Follower."""
        for waiters in self._waiters.values():
            self._answer(waiters, settled=False)

    def _answer(self, waiters: Iterable[asyncio.Future[bool]], *, settled: bool) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(settled)
