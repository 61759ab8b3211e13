"""Messages of Standard Webhooks 1.0.0: an event of an order as a signed request."""

import secrets
from collections.abc import Iterable
from datetime import datetime

import msgspec
from standardwebhooks import Webhook

from icecream import __version__, states
from icecream.feed import events


def _type_name(event: str) -> str:
    """Return the type of an event; hyphens are not allowed there."""
    return f"order.{event.replace('-', '_')}"


# The events of the feed, as types of Standard Webhooks.
EVENT_TYPES = tuple(map(_type_name, states.EVENTS))
TEST_TYPE = "webhook.test"
USER_AGENT = f"icecream-webhooks/{__version__}"


def event_type(event: events.PublishedEvent) -> str:
    """Return the type of an event."""
    return _type_name(event.data.type)


def message_id(event: events.PublishedEvent) -> str:
    """Return the id of the message about an event, the same for each try and each endpoint.

    The time is part of it, because after a restored backup another event gets the position.
    """
    return f"evt_{event.position}_{int(event.data.at.timestamp() * 1000)}"


def test_message_id() -> str:
    """Return the id of a test message."""
    return f"test_{secrets.token_hex(12)}"


def encode_body(kind: str, at: datetime, data: object) -> str:
    """Return the body of a message."""
    return msgspec.json.encode({"type": kind, "timestamp": at, "data": data}).decode()


def signed_headers(
    message: str, body: str, signing_secrets: Iterable[str], *, at: datetime
) -> dict[str, str]:
    """Return the header fields of a message that is sent at this time, signed by all secrets."""
    signatures = [
        Webhook(secret).sign(msg_id=message, timestamp=at, data=body) for secret in signing_secrets
    ]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
