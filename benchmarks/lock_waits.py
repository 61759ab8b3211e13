"""Samples of what the connections of a service wait for in PostgreSQL."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import asyncpg

INTERVAL_SECONDS = 0.02
# The query is cut, because the tables that it names are at its beginning.
SAMPLE = """
    SELECT coalesce(wait_event_type, '') AS kind, coalesce(wait_event, '') AS event,
        left(regexp_replace(query, '\\s+', ' ', 'g'), 90) AS query
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
        AND application_name LIKE 'icecream%' AND state <> 'idle'"""


@dataclass
class LockWaits:
    """The samples of backends in a transaction, and the queries of those that waited for a lock."""

    samples: int = 0
    waiting: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """The samples that waited for a lock, in percent."""
        return 100 * self.waiting.total() / self.samples if self.samples else 0.0

    def describe(self, count: int = 5) -> list[str]:
        """Return the queries that waited most often, with their shares."""
        return [
            f"{100 * number / self.samples:.1f} % waited in: {query}"
            for query, number in self.waiting.most_common(count)
        ]


@contextmanager
def sampling(address: str) -> Iterator[LockWaits]:
    """Sample the backends of a database until the block ends."""
    waits, stop = LockWaits(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_sample(address, waits, stop)))
    thread.start()
    try:
        yield waits
    finally:
        stop.set()
        thread.join()


async def _sample(address: str, waits: LockWaits, stop: threading.Event) -> None:
    session = await asyncpg.connect(address)
    try:
        while not stop.is_set():
            for row in await session.fetch(SAMPLE):
                waits.samples += 1
                if row["kind"] == "Lock":
                    waits.waiting[f"{row['event']}: {row['query']}"] += 1
            await asyncio.sleep(INTERVAL_SECONDS)
    finally:
        await session.close()
