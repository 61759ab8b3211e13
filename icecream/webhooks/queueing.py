"""Queueing: each new event of the feed becomes one delivery for each endpoint that wants it.

One process at a time reads the feed, and it writes the deliveries and its position in one
transaction. So no event is skipped or queued twice, and orders themselves write nothing more.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from piccolo.query.functions.aggregate import Min

from icecream import database
from icecream.feed import events
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import WebhookDelivery, WebhookEndpoint, WebhookProgress
from icecream.webhooks import messages

# One transaction; with SQLite, orders wait meanwhile.
MAX_EVENTS_PER_BATCH = events.MAX_EVENTS_PER_READ
_IS_ENABLED = WebhookEndpoint.disabled_at.is_null() & WebhookEndpoint.deleted_at.is_null()
_SUBSCRIPTION_COLUMNS = (
    WebhookEndpoint.id,
    WebhookEndpoint.user,
    WebhookEndpoint.types,
    WebhookEndpoint.start,
    WebhookEndpoint.user.admin.as_alias("is_staff"),
)
INSERT_DELIVERIES = database.insert(
    WebhookDelivery,
    (
        WebhookDelivery.endpoint,
        WebhookDelivery.order,
        WebhookDelivery.customer,
        WebhookDelivery.message,
        WebhookDelivery.type,
        WebhookDelivery.body,
    ),
    returning=(WebhookDelivery.id,),
    computed=(
        (WebhookDelivery.state, "'pending'"),
        (WebhookDelivery.tries, "0"),
        (WebhookDelivery.created_at, database.NOW_SQL),
        (WebhookDelivery.due_at, database.NOW_SQL),
    ),
)


class Subscription(Struct, frozen=True):
    """What an endpoint gets: events of all orders if its user is staff, else of its own orders."""

    id: int
    user: int
    is_staff: bool
    types: frozenset[str] | None
    start: int

    def wants(self, event: events.PublishedEvent) -> bool:
        """Return whether an event is sent to this endpoint."""
        is_visible = self.is_staff or event.data.user == self.user
        return is_visible and (self.types is None or messages.event_type(event) in self.types)


async def queue_events() -> bool:
    """Queue the deliveries of the next events; return True if there may be more right now."""
    if not await _has_work():
        return False
    more = await database.transaction(_queue_batch)
    reach_failpoint("deliveries.queued")
    return more


async def _has_work() -> bool:
    """Return whether there may be new events for an endpoint, before anything is locked."""
    start = await _first_start()
    if start is None:
        return False
    progress = await WebhookProgress.select(WebhookProgress.position).first()
    assert progress is not None
    queued_until: int = max(start, progress["position"])
    return (await events.read_last_event()).position > queued_until


async def _first_start() -> int | None:
    row = await WebhookEndpoint.select(Min(WebhookEndpoint.start)).where(_IS_ENABLED).first()
    return row["min"] if row else None


async def _queue_batch() -> bool:
    # A row lock, as in `feed.publisher`.
    heads = await database.for_update_skip_locked(
        WebhookProgress.select(WebhookProgress.id, WebhookProgress.position)
    )
    start = await _first_start()
    if not heads or start is None:
        return False
    after = max(start, heads[0]["position"])
    published = await events.read_events(after, after + MAX_EVENTS_PER_BATCH)
    if not published:
        return False
    subscriptions = await read_subscriptions({event.data.user for event in published})
    await INSERT_DELIVERIES(_rows(published, subscriptions))
    position: dict[Any, Any] = {WebhookProgress.position: published[-1].position}
    await WebhookProgress.update(position).where(WebhookProgress.id == heads[0]["id"])
    return len(published) == MAX_EVENTS_PER_BATCH


async def read_subscriptions(customers: Iterable[int]) -> list[Subscription]:
    """Return the enabled endpoints that may want events of these customers' orders."""
    user = WebhookEndpoint.user
    rows = await WebhookEndpoint.select(*_SUBSCRIPTION_COLUMNS).where(
        _IS_ENABLED,
        user.active.eq(True),
        user.admin.eq(True) | database.is_any(user, sorted(set(customers))),
    )
    return [_subscription(row) for row in rows]


async def read_subscription(endpoint: int) -> Subscription:
    """Return what an endpoint gets."""
    query = WebhookEndpoint.select(*_SUBSCRIPTION_COLUMNS)
    (row,) = await query.where(WebhookEndpoint.id == endpoint)
    return _subscription(row)


def _subscription(row: dict[str, Any]) -> Subscription:
    types = row.pop("types")
    wanted = None if types is None else msgspec.json.decode(types, type=frozenset[str])
    return Subscription(**row, types=wanted)


def _rows(
    published: Sequence[events.PublishedEvent], subscriptions: Sequence[Subscription]
) -> list[tuple[Any, ...]]:
    """Return the rows of deliveries, in the order of the events."""
    by_user: defaultdict[int, list[Subscription]] = defaultdict(list)
    for one in subscriptions:
        if not one.is_staff:
            by_user[one.user].append(one)
    staff = [one for one in subscriptions if one.is_staff]
    rows: list[tuple[Any, ...]] = []
    for event in published:
        wanting = [one for one in (*staff, *by_user[event.data.user]) if one.wants(event)]
        rows += delivery_rows(event, [one.id for one in wanting if event.position > one.start])
    return rows


def delivery_rows(event: events.PublishedEvent, endpoints: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return the rows for `INSERT_DELIVERIES` that send an event to these endpoints."""
    if not endpoints:
        return []
    kind, data = messages.event_type(event), event.data
    body = messages.encode_body(kind, data.at, data)
    about = (data.order, data.user, messages.message_id(event), kind, body)
    return [(endpoint, *about) for endpoint in endpoints]
