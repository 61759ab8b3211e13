"""The history of orders: events in the order in which they happened."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from icecream import database
from icecream.tables import Event, Unpublished

Detail = int | str | list[dict[str, int]] | None
Details = dict[str, Detail]


class OrderEvent(Struct, frozen=True):
    """An entry in an order's history; `by` is a user's id, or None for the service.

    `at` is the time of the event, if not the time of writing.
    """

    order: int
    kind: str
    payload: Details
    by: int | None = None
    at: datetime | None = None


def explanation(reason: str | None, internal_note: str | None) -> Details:
    """Return the details that say why; the customer sees only the reason."""
    texts = {"reason": reason, "internal_note": internal_note}
    return {name: text for name, text in texts.items() if text is not None}


_KEYS = (Event.order, Event.seq)
_INSERT_EVENTS = database.insert(
    Event,
    (*_KEYS, Event.type, Event.payload, Event.by, Event.at),
    returning=(Event.id, *_KEYS),
    name="new_events",
)
_INSERT_UNPUBLISHED = database.insert_ids(Unpublished.events, _KEYS, source="new_events")
# The number of the last event of each order.
LAST_NUMBERS = database.select_max(Event.order, Event.seq)


async def record_events(events: Sequence[OrderEvent], *, at: datetime) -> None:
    """Add to the histories of orders, within the transaction of the change.

    That transaction must hold locks on the orders' rows, so that no other transaction takes the
    same `seq`.
    """
    orders = sorted({event.order for event in events})
    last = await LAST_NUMBERS([(order,) for order in orders])
    await database.run_together(*event_inserts(events, last, at=at), main=1)


def event_inserts(
    events: Sequence[OrderEvent],
    last_numbers: Sequence[dict[str, int]] = (),
    *,
    at: datetime,
) -> list[database.BoundStatement]:
    """Return the inserts of events, within a transaction that holds their orders.

    Args:
        last_numbers: the rows of `LAST_NUMBERS`, for the orders that have events.
    """
    last = {row["order"]: row["max"] or 0 for row in last_numbers}
    rows: list[tuple[object, ...]] = []
    for event in events:
        last[event.order] = last.get(event.order, 0) + 1
        rows.append(
            (
                event.order,
                last[event.order],
                event.kind,
                msgspec.json.encode(event.payload).decode(),
                event.by,
                event.at or at,
            )
        )
    return [(_INSERT_EVENTS, rows), (_INSERT_UNPUBLISHED, [row[: len(_KEYS)] for row in rows])]
