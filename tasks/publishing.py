"""The feed's publisher, which runs in every process; if one process dies, the others continue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from icecream import database
from icecream.feed import publisher
from icecream.runtime import background
from tasks import sweep

# Seconds between two runs while this process writes, so that a busy process publishes many at once.
# EVERY is the interval without own writes, for the entries of a process that died before
# publishing.
PAUSE, EVERY = 0.2, 1.0


@asynccontextmanager
async def publishing() -> AsyncIterator[None]:
    """Publish the entries of this process, and those left by others, until the block ends."""
    written = asyncio.Event()

    async def step() -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await written.wait()
        written.clear()
        # Publishing is a transaction too, so one more run follows it.
        return await publisher.publish()

    with database.told(written.set):
        async with background.running("publisher", lambda: sweep.run(step, PAUSE)):
            yield
