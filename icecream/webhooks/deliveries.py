"""The log of deliveries, test messages, and the removal of what is old."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from icecream import database, errors, fields
from icecream.tables import DELIVERY_STATES, WebhookDelivery, WebhookEndpoint
from icecream.webhooks import endpoint_types, endpoints, messages, queueing

RETENTION = timedelta(days=30)
# A small number keeps the transaction short.
MAX_DELIVERIES_PER_PRUNE = 1000
# An endpoint with more pending deliveries is too slow for its events, or is down.
MAX_PENDING = 100_000
# With more pending deliveries, users cannot add some by hand.
MAX_PENDING_BY_HAND = 10_000
TOO_MANY_PENDING = f"More than {MAX_PENDING} messages waited for it."
_OVERFULL = f"""SELECT endpoint FROM webhook_delivery WHERE due_at IS NOT NULL
    AND endpoint IN (SELECT id FROM webhook_endpoint WHERE disabled_at IS NULL)
    GROUP BY endpoint HAVING count(*) > {MAX_PENDING}"""
_COUNT_PENDING = """SELECT count(*) AS number FROM (SELECT 1 FROM webhook_delivery
    WHERE endpoint = {} AND due_at IS NOT NULL LIMIT {}) a"""

State = Annotated[str, fields.words("DeliveryState", DELIVERY_STATES)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Code = Annotated[int, Meta(ge=0, le=999)]
# Texts of others: documented, not validated.
AnyText = Annotated[
    str, Meta(title="AnyText", extra_json_schema={"maxLength": 10_000, "pattern": r"^[\s\S]*$"})
]


class WebhookDeliveryView(Struct, kw_only=True):
    """A message to an endpoint, with its last try.

    `message` is the `webhook-id`, and `body` what was signed. `answer` is the start of the last
    answer, `error` the reason why there was none. A `pending` one is sent at `due_at`, unless an
    older event of the same order waits.
    """

    id: fields.Id
    message: Annotated[str, Meta(max_length=64, pattern=r"^[\w-]+$")]
    type: Annotated[str, Meta(max_length=60, pattern=r"^[a-z_]+\.[a-z_]+$")]
    order: fields.Id | None = None
    state: State
    tries: fields.NonNegativeInt
    created_at: fields.Timestamp
    due_at: fields.Timestamp | None = None
    tried_at: fields.Timestamp | None = None
    duration_ms: Milliseconds | None = None
    status_code: Code | None = None
    answer: AnyText | None = None
    error: AnyText | None = None
    body: AnyText


COLUMNS = database.columns_of(WebhookDelivery, WebhookDeliveryView)
EXAMPLE = {
    "id": 7,
    "message": "evt_57_1747131727512",
    "type": "order.paid",
    "order": 1,
    "state": "succeeded",
    "tries": 1,
    "created_at": "2025-05-13T10:22:07.612204Z",
    "tried_at": "2025-05-13T10:22:07.712204Z",
    "duration_ms": 84,
    "status_code": 200,
    "answer": "ok",
    "body": '{"type":"order.paid","timestamp":"2025-05-13T10:22:07.512204Z","data":{"order":1,'
    '"seq":2,"type":"paid","at":"2025-05-13T10:22:07.512204Z","by":null,"user":1,"status":"paid",'
    '"total":500,"currency":"EUR","reference":"PO-1207","delivery_date":"2025-05-16",'
    '"amount":500}}',
}


async def list_deliveries(
    endpoint: int,
    *,
    state: str | None = None,
    before: int | None = None,
    limit: int,
    customer: int | None = None,
) -> list[WebhookDeliveryView]:
    """Return deliveries of an endpoint, the newest first.

    Args:
        before: only those before this id.
        customer: only those about this customer's orders, and test messages.
    """
    query = WebhookDelivery.select(*COLUMNS).where(WebhookDelivery.endpoint == endpoint)
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    if customer is not None:
        query = query.where(
            WebhookDelivery.customer.is_null() | (WebhookDelivery.customer == customer)
        )
    rows = await query.order_by(WebhookDelivery.id, ascending=False).limit(limit)
    return [WebhookDeliveryView(**row) for row in rows]


async def send_test(endpoint: int, *, user: int | None) -> WebhookDeliveryView:
    """Queue a test message for an endpoint.

    Raises:
        errors.NotFound: there is no such endpoint.
        errors.WebhookDisabled: it is disabled.
        errors.TooManyDeliveries: too many messages wait for it.
    """
    await require_ready(endpoint, user=user)
    now = datetime.now(UTC)
    kind, message = messages.TEST_TYPE, messages.test_message_id()
    body = messages.encode_body(kind, now, {"endpoint": endpoint})
    (row,) = await queueing.INSERT_DELIVERIES([(endpoint, None, None, message, kind, body)])
    (view,) = await list_deliveries(endpoint, before=row["id"] + 1, limit=1)
    return view


async def require_ready(endpoint: int, *, user: int | None) -> endpoint_types.WebhookEndpointView:
    """Return an endpoint to which messages may be added by hand.

    Raises:
        errors.NotFound: there is no such endpoint.
        errors.WebhookDisabled: it is disabled.
        errors.TooManyDeliveries: too many messages wait for it.
    """
    view = await endpoints.get_endpoint(endpoint, user=user)
    if not view.enabled:
        raise errors.WebhookDisabled
    (count,) = await WebhookDelivery.raw(_COUNT_PENDING, endpoint, MAX_PENDING_BY_HAND)
    if count["number"] >= MAX_PENDING_BY_HAND:
        raise errors.TooManyDeliveries
    return view


async def prune_deliveries() -> bool:
    """Delete old deliveries and deleted endpoints; return True if there may be more.

    It also disables endpoints for which too many deliveries wait.
    """
    for row in await WebhookDelivery.raw(_OVERFULL):
        await endpoints.disable_endpoint(row["endpoint"], TOO_MANY_PENDING)
    first = WebhookDelivery.select(WebhookDelivery.id, WebhookDelivery.created_at)
    rows = await first.order_by(WebhookDelivery.id).limit(MAX_DELIVERIES_PER_PRUNE)
    end = datetime.now(UTC) - RETENTION
    old = [row["id"] for row in rows if row["created_at"] < end]
    await _delete(old)
    return await _delete_endpoint() or len(old) == MAX_DELIVERIES_PER_PRUNE


async def _delete(ids: list[int]) -> None:
    if ids:
        await WebhookDelivery.delete().where(database.is_any(WebhookDelivery.id, ids))


async def _delete_endpoint() -> bool:
    """Delete the rows of one deleted endpoint; return True if there may be more."""
    row: dict[str, Any] | None = (
        await WebhookEndpoint.select(WebhookEndpoint.id)
        .where(
            WebhookEndpoint.deleted_at.is_not_null(),
            # A round that began before may still write its results.
            WebhookEndpoint.next_round_at <= database.seconds_from_now(0),
        )
        .first()
    )
    if row is None:
        return False
    ours = WebhookDelivery.endpoint == row["id"]
    some = WebhookDelivery.select(WebhookDelivery.id).where(ours).limit(MAX_DELIVERIES_PER_PRUNE)
    ids = [one["id"] for one in await some]
    await _delete(ids)
    if not ids:
        await WebhookEndpoint.delete().where(WebhookEndpoint.id == row["id"])
    return True
