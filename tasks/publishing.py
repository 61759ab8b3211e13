"""The feed's publisher, which runs in every process; if one process dies, the others continue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from icecream import database
from icecream.feed import publisher
from icecream.runtime import background
from tasks import periodic

# The pause between two runs of a process that writes, so that it publishes many events at once.
PUBLISH_PAUSE_SECONDS = 0.2
# The interval without own writes, for events of a process that died before publishing.
PUBLISH_INTERVAL_SECONDS = 1.0


@asynccontextmanager
async def run_publisher() -> AsyncIterator[None]:
    """Publish the events of this process and of dead processes, until the block ends."""
    committed = asyncio.Event()

    async def step() -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(PUBLISH_INTERVAL_SECONDS):
                await committed.wait()
        committed.clear()
        # Publishing is a transaction too, so one more run follows it.
        return await publisher.publish_events()

    with database.on_commit(committed.set):
        async with background.keep_running(
            "publisher", lambda: periodic.run_periodically(step, PUBLISH_PAUSE_SECONDS)
        ):
            yield
