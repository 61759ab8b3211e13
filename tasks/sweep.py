"""Whatever fell through is found again here; this loop is the whole recovery story."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from icecream import database

log = logging.getLogger(__name__)


async def run(step: Callable[[], Awaitable[bool]], every: float) -> None:
    """Take a step for ever, every so many seconds, and at once while it says that there is more.

    The pauses vary by a quarter, so that many workers do not ask at the same moment.
    """
    while True:
        try:
            more = await step()
        except database.AWAY as error:
            log.warning("The database is away, the sweep tries again: %r", error)
            more = False
        except Exception:
            # Nothing else would recover anything, so no fault at all may end this loop.
            log.exception("The sweep failed, and tries again.")
            more = False
        if not more:
            await asyncio.sleep(every * random.uniform(0.75, 1.25))
