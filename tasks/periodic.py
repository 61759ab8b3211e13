"""The loop of a periodic task: a sweep, a prune, the publisher or the reconciliation."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from icecream import database
from icecream.runtime import logs


async def run_periodically(step: Callable[[], Awaitable[bool]], interval: float) -> None:
    """Run a step every `interval` seconds, and at once while it returns True (more to do).

    An unexpected error ends the loop; `background` restarts it.

    The pauses vary by a quarter, so that many workers do not query at the same moment.
    """
    while True:
        try:
            more = await step()
        except database.DATABASE_UNAVAILABLE as error:
            logs.DATABASE_OUTAGE.record_failure(error)
            more = False
        else:
            logs.DATABASE_OUTAGE.record_success()
        if not more:
            await asyncio.sleep(interval * random.uniform(0.75, 1.25))
