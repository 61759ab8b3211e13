"""Publishing: events get their positions after the commit, from one publisher at a time."""

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from icecream import database
from icecream.runtime.failpoints import reach
from icecream.tables import Event, Feed, Unpublished

log = logging.getLogger(__name__)
# The maximum number of events, and of transactions that wrote them, published in one transaction.
MOST, TRANSACTIONS = 500, 100
_POSITIONS = database.put(Event.position)


async def publish() -> bool:
    """Give the next events their positions; return True if there may be more right now."""
    if not await Unpublished.exists():
        return False
    more = await database.transaction(_publish)
    reach("feed.published")
    return more


async def _publish() -> bool:
    # A row lock, because CockroachDB has no advisory locks. The search for unpublished events is a
    # separate statement after that, so that it sees the changes of the last publisher.
    heads = await database.unlocked(Feed.select(Feed.last))
    if not heads:
        # Another process is publishing now, and checks once more after that.
        return False
    last: int = heads[0]["last"]
    rows = await Unpublished.select().order_by(Unpublished.id).limit(TRANSACTIONS)
    if not rows:
        return False
    ids, done = _first(rows)
    await _POSITIONS([(one, position) for position, one in enumerate(ids, start=last + 1)])
    await Unpublished.delete().where(Unpublished.id.is_in(done))
    await Feed.update({Feed.last: last + len(ids)}).where(Feed.last == last)
    reach("feed.publishing")
    return len(done) < len(rows) or len(rows) == TRANSACTIONS


def _first(rows: Sequence[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Return the events of the first transactions, and the row ids of those transactions."""
    ids, done = list[int](), list[int]()
    for row in rows:
        if len(ids) >= MOST:
            break
        ids += msgspec.json.decode(row["events"], type=list[int])
        done.append(row["id"])
    return ids, done
