"""The sweep: finds all work that was lost; this loop is the only recovery mechanism."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from icecream import database
from icecream.runtime import logs


async def run(step: Callable[[], Awaitable[bool]], every: float) -> None:
    """Run a step forever: every `every` seconds, and at once while it returns True (more to do).

    An unexpected error ends this; `background` starts it again.

    The pauses vary by a quarter, so that many workers do not query at the same moment.
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
