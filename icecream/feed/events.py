"""The feed: all events of all orders in one order, so that readers never miss an event.

Ids cannot be used for that: on PostgreSQL, ids are committed in another order than they are
assigned. An event gets its `position` after its commit, from one publisher at a time, without gaps.
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from piccolo.columns.combination import Where, WhereRaw
from piccolo.querystring import QueryString

from icecream import database, states
from icecream.tables import Event

# The number of positions that one query of a reader covers.
MAX_EVENTS_PER_READ = 500


class LastEvent(Struct, frozen=True):
    """The position and the time of the last published event; position 0 if there is none."""

    position: int
    at: datetime | None


NO_EVENT = LastEvent(0, None)
# The last event as columns of another query, so that one query reads both in one snapshot.
LAST_EVENT_COLUMNS = (
    QueryString('(SELECT COALESCE(max("position"), 0) FROM "event")', alias="position"),
    QueryString(
        '(SELECT "at" FROM "event" WHERE "position" = (SELECT max("position") FROM "event"))',
        alias="at",
    ),
)


async def read_last_event() -> LastEvent:
    """Return the last published event; a read in the same snapshot, or later, includes it."""
    row = (
        await Event.select(Event.position, Event.at)
        .where(Event.position.is_not_null())
        .order_by(Event.position, ascending=False)
        .first()
    )
    return LastEvent(**row) if row else NO_EVENT


class _EventData(Struct):
    """The published data of an event: its entry in the order's history, and list fields.

    `status` is the order's status after this event, also when the event is read later.
    """

    order: int
    seq: int
    type: str
    at: datetime
    by: int | None
    user: int
    status: str
    total: int
    currency: str
    reference: str | None
    delivery_date: date | None
    reason: str | UnsetType = UNSET
    amount: int | UnsetType = UNSET


class PublishedEvent(Struct, frozen=True, dict=True, eq=False):
    """A published event, as sent to authorized clients."""

    position: int
    data: _EventData

    @cached_property
    def block(self) -> bytes:
        """The event as a server-sent event; all processes send the same bytes."""
        data = msgspec.json.encode(self.data)
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.position, self.data.type.encode(), data)


async def read_events(after: int, upto: int, *, user: int | None = None) -> list[PublishedEvent]:
    """Return the events after a position, up to another, optionally of one user's orders only.

    The query selects by range, so it costs no more if few of the events belong to the user.
    """
    conditions = [Event.position > after, Event.position <= upto]
    if user is not None:
        conditions.append(Event.order.user == user)
    return await _read_published(*conditions)


async def read_selected(positions: Sequence[int]) -> list[PublishedEvent]:
    """Return the events at these positions, in their order."""
    return await _read_published(database.is_any(Event.position, positions))


async def find_positions(
    since: datetime, until: datetime, *, user: int | None, limit: int
) -> list[int]:
    """Return the positions of the events from a time until before another, at most `limit`."""
    query = Event.select(Event.position).where(
        Event.at >= since, Event.at < until, Event.position.is_not_null()
    )
    if user is not None:
        query = query.where(Event.order.user == user)
    return [row["position"] for row in await query.order_by(Event.position).limit(limit)]


async def _read_published(*conditions: Where | WhereRaw) -> list[PublishedEvent]:
    order = Event.order
    query = Event.select(
        Event.position,
        order,
        Event.seq,
        Event.type,
        Event.at,
        Event.by,
        Event.payload,
        order.user.as_alias("user"),
        order.total.as_alias("total"),
        order.currency.as_alias("currency"),
        order.reference.as_alias("reference"),
        order.delivery_date.as_alias("delivery_date"),
    )
    rows = await query.where(*conditions).order_by(Event.position)
    status = await _read_statuses(rows)
    return [PublishedEvent(row.pop("position"), _event_data(row, status)) for row in rows]


def _event_data(row: dict[str, Any], statuses: dict[tuple[int, int], str]) -> _EventData:
    payload = msgspec.json.decode(row.pop("payload"))
    status = _status_after(row["type"]) or statuses[row["order"], row["seq"]]
    reason, amount = payload.get("reason") or UNSET, payload.get("amount", UNSET)
    return _EventData(**row, status=status, reason=reason, amount=amount)


def _status_after(event_type: str) -> str | None:
    """Return the status that an order enters by such an event, if any."""
    if event_type == "placed":
        return "pending"
    return event_type if event_type in states.ORDER else None


async def _read_statuses(rows: Sequence[dict[str, Any]]) -> dict[tuple[int, int], str]:
    """Return the statuses of orders after events that did not change the status."""
    orders = {row["order"] for row in rows if not _status_after(row["type"])}
    found: dict[tuple[int, int], str] = {}
    if orders:
        status = ""
        for row in (
            await Event.select(Event.order, Event.seq, Event.type)
            .where(database.is_any(Event.order, sorted(orders)))
            .order_by(Event.order, Event.seq)
        ):
            status = _status_after(row["type"]) or status
            found[row["order"], row["seq"]] = status
    return found
