"""Replaying: one delivery, or all events of a period, are queued again."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from icecream import constraints, errors, fields
from icecream.feed import events
from icecream.runtime.logs import security
from icecream.tables import WebhookDelivery
from icecream.webhooks import deliveries, queueing

# The events of a period; they are queued while the caller waits.
MAX_EVENTS_PER_REPLAY = 10_000
TOO_LONG = f"The period has more than {MAX_EVENTS_PER_REPLAY} events; choose a shorter one."


class WebhookReplay(fields.Body):
    """What to send again: one `delivery`, or the events from `since` until before `until`."""

    typical: ClassVar = ("delivery",)
    alternatives: ClassVar = (typical, ("since", "until"))
    delivery: Annotated[fields.Id, Meta(examples=[7])] | UnsetType = UNSET
    since: fields.Timestamp | UnsetType = UNSET
    until: fields.Timestamp | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.delivery is not UNSET:
            if self.since is not UNSET or self.until is not UNSET:
                raise constraints.InvalidValue("delivery", "cannot be sent with since or until")
            return
        if self.since is UNSET:
            raise constraints.InvalidValue("since", "is required, or delivery instead")
        if self.until is UNSET:
            raise constraints.InvalidValue("until", "is required")
        self.since, self.until = _in_utc("since", self.since), _in_utc("until", self.until)
        if self.until <= self.since:
            raise constraints.InvalidValue("until", "must be after since")


def _in_utc(field: str, at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise constraints.InvalidValue(field, "must be a time in the years 1 to 9999") from None


class WebhookReplayView(Struct):
    """The number of messages that were queued."""

    queued: Annotated[int, Meta(ge=0, le=MAX_EVENTS_PER_REPLAY)]


async def replay(
    endpoint: int, wanted: WebhookReplay, *, user: int | None, by: int | None
) -> WebhookReplayView:
    """Queue messages again, with the same ids as before.

    Raises:
        errors.NotFound: there is no such endpoint or delivery.
        errors.WebhookDisabled: the endpoint is disabled.
        errors.TooManyDeliveries: too many messages wait for the endpoint.
        errors.ValidationFailed: the period has too many events.
    """
    await deliveries.require_ready(endpoint, user=user)
    if wanted.delivery is not UNSET:
        queued = await _replay_delivery(endpoint, wanted.delivery)
    else:
        assert wanted.since is not UNSET
        assert wanted.until is not UNSET
        queued = await _replay_period(endpoint, wanted.since, wanted.until)
    security.log_event("webhook-replayed", endpoint=endpoint, by=by, messages=queued)
    return WebhookReplayView(queued)


async def _replay_delivery(endpoint: int, delivery: int) -> int:
    row = (
        await WebhookDelivery.objects()
        .where(WebhookDelivery.id == delivery, WebhookDelivery.endpoint == endpoint)
        .first()
    )
    if row is None:
        raise errors.NotFound
    about = (row.order, row.customer, row.message, row.type, row.body)
    await queueing.INSERT_DELIVERIES([(endpoint, *about)])
    return 1


async def _replay_period(endpoint: int, since: datetime, until: datetime) -> int:
    """Queue the events of a period that the endpoint wants, and return their number."""
    subscription = await queueing.read_subscription(endpoint)
    user = None if subscription.is_staff else subscription.user
    most = MAX_EVENTS_PER_REPLAY
    positions = await events.find_positions(since, until, user=user, limit=most + 1)
    if len(positions) > most:
        raise errors.ValidationFailed("/since", "invalid", TOO_LONG)
    queued = 0
    for start in range(0, len(positions), events.MAX_EVENTS_PER_READ):
        some = positions[start : start + events.MAX_EVENTS_PER_READ]
        rows = [
            row
            for event in await events.read_selected(some)
            if subscription.wants(event)
            for row in queueing.delivery_rows(event, [endpoint])
        ]
        queued += len(await queueing.INSERT_DELIVERIES(rows))
    return queued
