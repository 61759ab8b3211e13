"""Whatever fell through is found again here; this loop is the whole recovery story."""

import asyncio
import logging
import random

from icecream import database
from icecream.payments import Desk

log = logging.getLogger(__name__)


async def run(desk: Desk, every: float) -> None:
    """Start due payments for ever, every so many seconds, and at once while there are more.

    The pauses vary by a quarter, so that many workers do not ask at the same moment.
    """
    while True:
        try:
            more = await desk.sweep()
        except database.AWAY as error:
            log.warning("The database is away, the sweep tries again: %r", error)
            more = False
        except Exception:
            # Nothing else would recover anything, so no fault at all may end this loop.
            log.exception("The sweep failed, and tries again.")
            more = False
        if not more:
            await asyncio.sleep(every * random.uniform(0.75, 1.25))
