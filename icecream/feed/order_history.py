"""The history of orders: events in the order in which they happened."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from piccolo.query.functions import Max

from icecream import database
from icecream.tables import Event, Unpublished


class Happened(Struct, frozen=True):
    """An entry in an order's history; `by` is a user's id, or None for the service.

    `at` is the time of the event, if not the time of writing.
    """

    order: int
    kind: str
    payload: dict[str, Any]
    by: int | None = None
    at: datetime | None = None


_EVENTS = database.InsertListed(
    (Event.order, Event.seq, Event.type, Event.payload, Event.by, Event.at),
    # Sort the events of one order by `seq`, because ids may be in another order.
    by=Event.seq,
    column=Unpublished.events,
)


async def begin(happened: Sequence[Happened], *, at: datetime) -> None:
    """Start the histories of new orders, within the transaction that places them."""
    await _EVENTS(_rows(happened, {}, at))


async def record(happened: Sequence[Happened], *, at: datetime) -> None:
    """Add to the histories of orders, within the transaction of the change.

    That transaction must hold the orders' rows, so that no other transaction takes the same `seq`.
    """
    orders = sorted({one.order for one in happened})
    rows = (
        await Event.select(Event.order, Max(Event.seq))
        .where(Event.order.is_in(orders))
        .group_by(Event.order)
    )
    await _EVENTS(_rows(happened, {row["order"]: row["max"] for row in rows}, at))


def _rows(
    happened: Sequence[Happened], last: dict[int, int], at: datetime
) -> list[tuple[object, ...]]:
    values: list[tuple[object, ...]] = []
    for one in happened:
        last[one.order] = last.get(one.order, 0) + 1
        values.append(
            (
                one.order,
                last[one.order],
                one.kind,
                msgspec.json.encode(one.payload).decode(),
                one.by,
                one.at or at,
            )
        )
    return values
