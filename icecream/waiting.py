"""Waiting for an order to settle: `Prefer: wait=N` (RFC 7240)."""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextvars import Context

from icecream import database
from icecream.tables import Order

log = logging.getLogger(__name__)
# The longest anybody may wait, and how often one reader looks for all who do; in seconds.
LONGEST, EVERY = 30, 0.05
_WAIT = re.compile(r'wait\s*=\s*(?:"([0-9]+)"|([0-9]+))', re.IGNORECASE)


def asked(field: str | None) -> int | None:
    """The seconds in a Prefer field, as many as we grant; what it says beside that is ignored."""
    for preference in (field or "").split(","):
        if found := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            # Longer than any number of seconds we grant is its number.
            return min(LONGEST, int((found[1] or found[2])[:10]))
    return None


class Waiting:
    """Those who wait for orders to settle in this process, and one reader for all of them."""

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], int] = {}
        self._reader: asyncio.Task[None] | None = None

    async def settled(self, order: int, seconds: float) -> bool:
        """Return once an order is not pending any more, or after so many seconds.

        False says that the server is stopping: who waits is answered with what there is.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters[waiter] = order
        if self._reader is None:
            self._reader = loop.create_task(self._read(), context=Context())
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return True
        except asyncio.CancelledError:
            # uvicorn does that to what is left when it stops; when a caller hangs up it does not.
            return False
        else:
            return True
        finally:
            del self._waiters[waiter]

    async def _read(self) -> None:
        while self._waiters:
            try:
                over = await _settled(set(self._waiters.values()))
            except database.AWAY as error:
                log.warning("The database is away, who waits goes on waiting: %r", error)
                over = set()
            for waiter, order in self._waiters.items():
                if order in over and not waiter.done():
                    waiter.set_result(None)
            await asyncio.sleep(EVERY)
        self._reader = None


async def _settled(orders: Iterable[int]) -> set[int]:
    rows = await Order.select(Order.id).where(
        Order.id.is_in(sorted(orders)), Order.status != "pending"
    )
    return {row["id"] for row in rows}
