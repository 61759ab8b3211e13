"""Where the rows of a queue begin, so that a search does not read what was deleted before.

While another session holds a snapshot, for example a backup, PostgreSQL keeps all deleted rows and
their entries in the index. A search from the start would read every one of them.
"""

import math
import time
from typing import Any

from piccolo.columns import Column
from piccolo.columns.combination import Where
from piccolo.querystring import QueryString

# How long a start is used before it is determined again.
REFRESH_INTERVAL_SECONDS = 0.5
# The whole queue is searched at this interval, or less often if that takes long: an operator may
# have inserted an old row.
MIN_FULL_SEARCH_INTERVAL_SECONDS = 10.0
MAX_FULL_SEARCH_SHARE = 0.05
# Almost all of our transactions end within this time: a statement ends after half of it.
LONGEST_TRANSACTION_SECONDS = 60.0
# After a search of the whole queue that failed, because it took longer than a statement may.
FULL_SEARCH_RETRY_SECONDS = 600.0

# The numbers of the oldest running transaction, and of the next one.
SNAPSHOT_SQL = """
    CAST(CAST(pg_snapshot_xmin(snapshot) AS text) AS bigint) AS oldest_running,
    CAST(CAST(pg_snapshot_xmax(snapshot) AS text) AS bigint) AS next_transaction
    FROM pg_current_snapshot() AS snapshot"""


class QueueStart:
    """The start of a queue in a table that is ordered by a column; each process has its own.

    No transaction that is still running can insert a row before the start, if it takes the value of
    the column from `end`. SQLite keeps no deleted rows, so there a queue has no start.

    Args:
        end: the SQL expression for the value of a row that is inserted now.
        margin: is subtracted from the start. It allows for transactions that read the value of the
            column before they write anything.
        max_wait: how many seconds the start waits for running transactions, if it does not wait for
            the end of all. Another database of the server may have one that takes hours. What a
            transaction inserts after that is found when the whole queue is searched.
    """

    def __init__(
        self, column: Column, *, end: str, margin: Any, max_wait: float = math.inf
    ) -> None:
        self._column, self._margin, self._max_wait = column, margin, max_wait
        name = column._meta.get_full_name(with_alias=False)
        self._first = f'SELECT min({name}) FROM "{column._meta.table._meta.tablename}"'
        self._condition = f" WHERE {name} >= {{}}"
        self._further = f'{end} AS "end", {SNAPSHOT_SQL}'
        self._start: Any = None
        # The value up to which all rows are visible that will ever be inserted.
        self._complete_until: Any = None
        # The next such value, the transaction before which all others have to end for that, and the
        # time until which this waits for them.
        self._next: tuple[Any, int, float] | None = None
        self._last_end: Any = None
        self._refresh_at = self._search_all_at = 0.0

    async def conditions(self) -> list[Where]:
        """Return the condition that a row is not before the start, if there is a start."""
        start = await self.read()
        return [] if start is None else [self._column >= start]

    async def read(self) -> Any:
        """Return the start, or None if there is none yet."""
        if self._column._meta.engine_type == "postgres" and time.monotonic() >= self._refresh_at:
            await self._refresh()
        return self._start

    async def _refresh(self) -> None:
        began = time.monotonic()
        self._refresh_at = began + REFRESH_INTERVAL_SECONDS
        searches_all = self._start is None or began >= self._search_all_at
        if searches_all:
            self._search_all_at = began + FULL_SEARCH_RETRY_SECONDS
        condition = QueryString("") if searches_all else QueryString(self._condition, self._start)
        engine: Any = self._column._meta.table._meta.db
        (row,) = await engine.run_querystring(
            QueryString(f"SELECT ({self._first}{{}}) AS first, {self._further}", condition)
        )
        if searches_all:
            pause = (time.monotonic() - began) / MAX_FULL_SEARCH_SHARE
            self._search_all_at = began + max(MIN_FULL_SEARCH_INTERVAL_SECONDS, pause)
        self._advance(row)

    def _advance(self, row: dict[str, Any]) -> None:
        now = time.monotonic()
        if self._next is not None:
            value, transaction, deadline = self._next
            if row["oldest_running"] >= transaction or now >= deadline:
                self._complete_until, self._next = value, None
        if self._next is None and self._last_end is not None:
            # Every transaction that took a value up to the last end had begun before this snapshot.
            self._next = self._last_end, row["next_transaction"], now + self._max_wait
        self._last_end = row["end"]
        if self._complete_until is not None:
            first = self._complete_until if row["first"] is None else row["first"]
            self._start = min(first, self._complete_until) - self._margin
