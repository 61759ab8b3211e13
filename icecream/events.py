"""What happened to an order, in the order in which it happened."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from piccolo.query.functions import Max
from piccolo.querystring import QueryString

from icecream import database
from icecream.tables import Event, Unpublished


class Happened(Struct, frozen=True):
    """A line in an order's history; `by` is a user's id, or None for the service itself.

    `at` is when, if not at the moment at which it is written.
    """

    order: int
    kind: str
    payload: dict[str, Any]
    by: int | None = None
    at: datetime | None = None


class Newest(Struct, frozen=True):
    """The last event that a reader saw: its number and its time."""

    id: int
    at: datetime


# The same as columns of another query, which so sees both at one moment.
NEWEST = (
    QueryString('(SELECT max("id") FROM "event")', alias="id"),
    QueryString('(SELECT "at" FROM "event" ORDER BY "id" DESC LIMIT 1)', alias="at"),
)
_EVENTS = database.InsertListed(
    (Event.order, Event.seq, Event.type, Event.payload, Event.by, Event.at),
    # Those of one order in their order, whatever ids a database gives.
    by=Event.seq,
    column=Unpublished.events,
)


async def begin(happened: Sequence[Happened], *, at: datetime) -> None:
    """Begin the histories of new orders, within the transaction that places them."""
    await _EVENTS(_rows(happened, {}, at))


async def record(happened: Sequence[Happened], *, at: datetime) -> None:
    """Add to the histories of orders, within the transaction that made it happen.

    That transaction must hold the orders' rows, so that nobody else takes the same `seq`.
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


async def newest() -> Newest | None:
    """The one with the highest number; one with a lower number may still be on its way.

    Whoever reads something else with it does so in one snapshot: then no later event is in that.
    """
    rows = await Event.select(Event.id, Event.at).order_by(Event.id, ascending=False).limit(1)
    return Newest(**rows[0]) if rows else None
