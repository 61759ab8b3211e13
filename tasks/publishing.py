"""The publisher in every process that serves or works; whichever dies, the others go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from icecream import background, database, feed
from tasks import sweep

# Seconds between two looks while this process writes, so that a busy one publishes much at once;
# and otherwise, for what somebody left who died before he could publish it.
PAUSE, EVERY = 0.2, 1.0


@asynccontextmanager
async def publishing() -> AsyncIterator[None]:
    """Publish what this process writes, and what others left, until the block ends."""
    written = asyncio.Event()

    async def step() -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await written.wait()
        written.clear()
        # What it publishes is a transaction too, after which it looks once more.
        return await feed.publish()

    with database.told(written.set):
        async with background.running("publisher", lambda: sweep.run(step, PAUSE)):
            yield
