"""Whatever fell through is found again here; this loop is the whole recovery story."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from icecream import database, logs


async def run(step: Callable[[], Awaitable[bool]], every: float) -> None:
    """Take a step for ever, every so many seconds, and at once while it says that there is more.

    An unexpected error ends this; its owner in `background` starts it again.

    The pauses vary by a quarter, so that many workers do not ask at the same moment.
    """
    while True:
        try:
            more = await step()
        except database.AWAY as error:
            logs.DATABASE.failed(error)
            more = False
        else:
            logs.DATABASE.succeeded()
        if not more:
            await asyncio.sleep(every * random.uniform(0.75, 1.25))
