"""Publishing: events get their positions after the commit, from one publisher at a time."""

from collections.abc import Sequence
from typing import Any

import msgspec
from piccolo.columns.combination import Where

from icecream import database
from icecream.database.queue_start import LONGEST_TRANSACTION_SECONDS, QueueStart
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import Event, Feed, Unpublished

# The limits of one publishing transaction: events, and transactions that wrote them. Publishing
# holds the lock on the feed, so a batch must be short.
MAX_EVENTS_PER_BATCH = 500
MAX_TRANSACTIONS_PER_BATCH = 100
_QUEUE_START = QueueStart(
    Unpublished.id,
    end="(SELECT last_value FROM unpublished_id_seq)",
    margin=0,
    max_wait=LONGEST_TRANSACTION_SECONDS,
)
_UPDATE_POSITIONS = database.update_values(Event.position)
_UPDATE_LAST = database.update_values(Feed.last)
_DELETE_PUBLISHED = database.delete_by(Unpublished.id, where="true")


async def publish_events() -> bool:
    """Give the next events their positions; return True if there may be more right now."""
    conditions = await _QUEUE_START.conditions()
    if not await Unpublished.exists().where(*conditions):
        return False
    more = await database.transaction(lambda: _publish_batch(conditions))
    reach_failpoint("feed.published")
    return more


async def _publish_batch(conditions: Sequence[Where]) -> bool:
    # A row lock, because CockroachDB has no advisory locks. The search for unpublished events is a
    # separate statement after that, so that it sees the changes of the last publisher.
    heads = await database.for_update_skip_locked(Feed.select(Feed.id, Feed.last))
    if not heads:
        # Another process is publishing now, and checks once more after that.
        return False
    last: int = heads[0]["last"]
    queue = Unpublished.select().where(*conditions).order_by(Unpublished.id)
    rows = await queue.limit(MAX_TRANSACTIONS_PER_BATCH)
    if not rows:
        return False
    ids, done = _select_events(rows)
    await database.run_together(
        (_UPDATE_POSITIONS, [(event, last + n) for n, event in enumerate(ids, start=1)]),
        (_DELETE_PUBLISHED, [(row,) for row in done]),
        (_UPDATE_LAST, [(heads[0]["id"], last + len(ids))]),
    )
    reach_failpoint("feed.publishing")
    return len(done) < len(rows) or len(rows) == MAX_TRANSACTIONS_PER_BATCH


def _select_events(rows: Sequence[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Return the events of the first transactions, and the row ids of those transactions."""
    ids, done = list[int](), list[int]()
    for row in rows:
        if len(ids) >= MAX_EVENTS_PER_BATCH:
            break
        ids += msgspec.json.decode(row["events"], type=list[int])
        done.append(row["id"])
    return ids, done
