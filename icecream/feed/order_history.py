"""The history of orders: events in the order in which they happened."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from piccolo.query.functions import Max

from icecream import database
from icecream.tables import Event, Unpublished

Detail = int | str | None
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


_INSERT_EVENTS = database.InsertWithIdList(
    (Event.order, Event.seq, Event.type, Event.payload, Event.by, Event.at),
    # Sort the events of one order by `seq`, because ids may be in another order.
    sort_by=Event.seq,
    list_column=Unpublished.events,
)


async def start_histories(events: Sequence[OrderEvent], *, at: datetime) -> None:
    """Start the histories of new orders, within the transaction that places them."""
    await _INSERT_EVENTS(_event_rows(events, {}, at))


async def record_events(events: Sequence[OrderEvent], *, at: datetime) -> None:
    """Add to the histories of orders, within the transaction of the change.

    That transaction must hold locks on the orders' rows, so that no other transaction takes the
    same `seq`.
    """
    orders = sorted({event.order for event in events})
    rows = (
        await Event.select(Event.order, Max(Event.seq))
        .where(database.is_any(Event.order, orders))
        .group_by(Event.order)
    )
    await _INSERT_EVENTS(_event_rows(events, {row["order"]: row["max"] for row in rows}, at))


def _event_rows(
    events: Sequence[OrderEvent], last: dict[int, int], at: datetime
) -> list[tuple[object, ...]]:
    values: list[tuple[object, ...]] = []
    for event in events:
        last[event.order] = last.get(event.order, 0) + 1
        values.append(
            (
                event.order,
                last[event.order],
                event.kind,
                msgspec.json.encode(event.payload).decode(),
                event.by,
                event.at or at,
            )
        )
    return values
