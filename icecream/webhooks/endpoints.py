"""Webhook endpoints: the URLs to which users have events sent, and their secrets.

A customer gets the events of the own orders, staff get the events of all orders, as in the feed.
"""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict
from piccolo.columns.combination import And, Where

from icecream import database, errors
from icecream.feed import events
from icecream.runtime.logs import security
from icecream.tables import User, WebhookDelivery, WebhookEndpoint
from icecream.webhooks import endpoint_types

# Each event is sent once for each endpoint, so a user cannot multiply the work without limit.
MAX_ENDPOINTS_PER_USER = 10
# Standard Webhooks 1.0.0: 24 to 64 bytes.
SECRET_BYTES = 32
DISABLED_BY_USER = "It was disabled by its user."

COLUMNS = tuple(
    WebhookEndpoint._meta.get_column_by_name(name)
    for name in endpoint_types.WebhookEndpointView.__struct_fields__
    if name != "enabled"
)


def new_secret() -> str:
    """Return a new secret in the format of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _is(endpoint: int, user: int | None) -> Where | And:
    """Return the condition for an endpoint that is not deleted, of one user or of any."""
    condition = (WebhookEndpoint.id == endpoint) & WebhookEndpoint.deleted_at.is_null()
    return condition if user is None else condition & (WebhookEndpoint.user == user)


def _view(row: dict[str, Any]) -> endpoint_types.WebhookEndpointView:
    types = row["types"] and msgspec.json.decode(row["types"])
    enabled = row["disabled_at"] is None
    return endpoint_types.WebhookEndpointView(**row | {"types": types, "enabled": enabled})


async def list_endpoints(user: int | None) -> list[endpoint_types.WebhookEndpointView]:
    """Return the endpoints of a user, or of all users."""
    query = WebhookEndpoint.select(*COLUMNS).where(WebhookEndpoint.deleted_at.is_null())
    if user is not None:
        query = query.where(WebhookEndpoint.user == user)
    return [_view(row) for row in await query.order_by(WebhookEndpoint.id)]


async def get_endpoint(endpoint: int, *, user: int | None) -> endpoint_types.WebhookEndpointView:
    """Return an endpoint of a user, or of any.

    Raises:
        errors.NotFound: there is none.
    """
    row = await WebhookEndpoint.select(*COLUMNS).where(_is(endpoint, user)).first()
    if row is None:
        raise errors.NotFound
    return _view(row)


async def read_secret(endpoint: int, *, user: int) -> str:
    """Return the secret of a user's endpoint, for the page that shows it once.

    Raises:
        errors.NotFound: there is no such endpoint.
    """
    row = await WebhookEndpoint.select(WebhookEndpoint.secret).where(_is(endpoint, user)).first()
    if row is None:
        raise errors.NotFound
    secret: str = row["secret"]
    return secret


async def create_endpoint(
    new: endpoint_types.NewWebhookEndpoint, *, user: int
) -> endpoint_types.NewWebhookEndpointView:
    """Create an endpoint; the events that are published from now on are sent to it.

    Raises:
        errors.TooManyWebhooks: the user has as many as allowed.
    """
    secret = new_secret()

    async def insert() -> int:
        # Two requests at once must not exceed the limit.
        await database.for_no_key_update(User.select(User.id).where(User.id == user))
        ours = (WebhookEndpoint.user == user) & WebhookEndpoint.deleted_at.is_null()
        if await WebhookEndpoint.count().where(ours) >= MAX_ENDPOINTS_PER_USER:
            raise errors.TooManyWebhooks(MAX_ENDPOINTS_PER_USER)
        now, last = await database.now(), await events.read_last_event()
        row = WebhookEndpoint(
            user=user,
            url=new.url,
            description=new.description,
            types=_encode_types(new.types),
            secret=secret,
            created_at=now,
            start=last.position,
            next_round_at=now,
        )
        (inserted,) = await WebhookEndpoint.insert(row)
        return int(inserted["id"])

    endpoint = await database.transaction(insert)
    _log_event("created", endpoint, by=user, host=urlsplit(new.url).hostname)
    view = await get_endpoint(endpoint, user=user)
    return endpoint_types.NewWebhookEndpointView(**asdict(view), secret=secret)


def _encode_types(types: Sequence[str] | None) -> str | None:
    return None if types is None else msgspec.json.encode(types).decode()


async def edit_endpoint(
    endpoint: int, edit: endpoint_types.WebhookEndpointEdit, *, user: int | None, by: int | None
) -> endpoint_types.WebhookEndpointView:
    """Change fields of an endpoint; enabling it, or a new URL, forgets its failures.

    Raises:
        errors.NotFound: there is no such endpoint.
    """
    values: dict[Any, Any] = {}
    if edit.url is not UNSET:
        values[WebhookEndpoint.url] = edit.url
    if edit.description is not UNSET:
        values[WebhookEndpoint.description] = edit.description
    if edit.types is not UNSET:
        values[WebhookEndpoint.types] = _encode_types(edit.types)
    if values:
        await _update(endpoint, values, user)
    if edit.url is not UNSET:
        await _retry_now(endpoint)
    if edit.enabled is not UNSET:
        await (enable_endpoint if edit.enabled else disable_by_user)(endpoint, user=user)
    view = await get_endpoint(endpoint, user=user)
    _log_event("edited", endpoint, by=by, host=urlsplit(view.url).hostname, enabled=view.enabled)
    return view


async def enable_endpoint(endpoint: int, *, user: int | None) -> None:
    """Enable an endpoint, and send to it at once.

    Raises:
        errors.NotFound: there is no such endpoint.
    """
    if (await get_endpoint(endpoint, user=user)).enabled:
        return
    enabled: dict[Any, Any] = {
        WebhookEndpoint.disabled_at: None,
        WebhookEndpoint.disabled_reason: None,
        # What happened meanwhile is sent only when the user asks for it, see `replaying`.
        WebhookEndpoint.start: (await events.read_last_event()).position,
    }
    await _update(endpoint, enabled, user)
    await _retry_now(endpoint)


async def _retry_now(endpoint: int) -> None:
    """Forget the failures of an endpoint, and send its pending messages at once."""
    now = await database.now()
    forgotten: dict[Any, Any] = {
        WebhookEndpoint.failing_since: None,
        WebhookEndpoint.failures: 0,
        WebhookEndpoint.next_round_at: now,
    }
    await WebhookEndpoint.update(forgotten).where(WebhookEndpoint.id == endpoint)
    await WebhookDelivery.update({WebhookDelivery.due_at: now}).where(
        WebhookDelivery.endpoint == endpoint, WebhookDelivery.due_at > now
    )


async def disable_by_user(endpoint: int, *, user: int | None) -> None:
    """Disable an endpoint, unless it is disabled already.

    Raises:
        errors.NotFound: there is no such endpoint.
    """
    if (await get_endpoint(endpoint, user=user)).enabled:
        await disable_endpoint(endpoint, DISABLED_BY_USER)


async def disable_endpoint(endpoint: int, reason: str) -> None:
    """Disable an endpoint for a reason that its user sees; its pending messages wait."""
    disabled: dict[Any, Any] = {
        WebhookEndpoint.disabled_at: await database.now(),
        WebhookEndpoint.disabled_reason: reason,
    }
    await WebhookEndpoint.update(disabled).where(
        WebhookEndpoint.id == endpoint, WebhookEndpoint.disabled_at.is_null()
    )
    _log_event("disabled", endpoint, reason=reason)


async def rotate_secret(
    endpoint: int, overlap_hours: int, *, user: int | None, by: int | None
) -> endpoint_types.WebhookSecretView:
    """Replace the secret; for some hours, messages are signed with both secrets.

    Raises:
        errors.NotFound: there is no such endpoint.
    """
    secret = new_secret()

    async def replace() -> datetime | None:
        rows = await database.for_no_key_update(
            WebhookEndpoint.select(WebhookEndpoint.secret).where(_is(endpoint, user))
        )
        if not rows:
            raise errors.NotFound
        until = database.seconds_from_now(3600 * overlap_hours) if overlap_hours else None
        changed: dict[Any, Any] = {
            WebhookEndpoint.secret: secret,
            WebhookEndpoint.previous_secret: rows[0]["secret"] if overlap_hours else None,
            WebhookEndpoint.previous_secret_until: until,
        }
        await WebhookEndpoint.update(changed).where(WebhookEndpoint.id == endpoint)
        return (await get_endpoint(endpoint, user=user)).previous_secret_until

    until = await database.transaction(replace)
    _log_event("secret-rotated", endpoint, by=by, overlap_hours=overlap_hours)
    return endpoint_types.WebhookSecretView(secret, until)


async def delete_endpoint(endpoint: int, *, user: int | None, by: int | None) -> None:
    """Delete an endpoint at once, and its messages soon after that (`deliveries.prune`).

    Raises:
        errors.NotFound: there is no such endpoint.
    """
    await _update(endpoint, {WebhookEndpoint.deleted_at: await database.now()}, user)
    _log_event("deleted", endpoint, by=by)


async def _update(endpoint: int, values: dict[Any, Any], user: int | None) -> None:
    changed = (
        await WebhookEndpoint.update(values)
        .where(_is(endpoint, user))
        .returning(WebhookEndpoint.id)
    )
    if not changed:
        raise errors.NotFound


def _log_event(event: str, endpoint: int, **details: object) -> None:
    security.log_event(f"webhook-endpoint-{event}", endpoint=endpoint, **details)
