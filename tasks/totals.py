"""The update of the totals, in every process; if one process dies, the others continue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from icecream.reporting import applying
from icecream.runtime import background
from tasks import periodic

# Each update leaves an old version of the changed totals, so they are not updated more often. Until
# then, each read of the totals also reads the new changes.
APPLY_INTERVAL_SECONDS = 1.0


@asynccontextmanager
async def update_totals() -> AsyncIterator[None]:
    """Apply the changes of all processes to the totals, until the block ends."""
    async with background.keep_running(
        "update of the totals",
        lambda: periodic.run_periodically(applying.apply_changes, APPLY_INTERVAL_SECONDS),
    ):
        yield
