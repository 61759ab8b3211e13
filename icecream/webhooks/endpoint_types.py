"""The bodies of requests and responses about webhook endpoints."""

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from icecream import constraints, fields, settings
from icecream.tables import MAX_URL_LENGTH
from icecream.webhooks import addresses, messages

MAX_OVERLAP_HOURS = 168

Url = Annotated[
    str,
    Meta(
        max_length=MAX_URL_LENGTH,
        pattern=addresses.URL_PATTERN,
        extra={"words": "a URL that begins with https://"},
        examples=["https://shop.example.org/webhooks"],
        title="WebhookUrl",
    ),
]
Description = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*(?!\n)$",
        extra=fields.VISIBLE_TEXT_RULE,
    ),
]
EventTypes = Annotated[
    list[Annotated[str, fields.words("EventType", messages.EVENT_TYPES)]],
    Meta(
        min_length=1,
        max_length=len(messages.EVENT_TYPES),
        description="The types of events to send; null: all types.",
        title="EventTypes",
    ),
]
Secret = Annotated[
    str,
    Meta(
        pattern="^whsec_[A-Za-z0-9+/=]+$",
        max_length=100,
        description="The secret that signs the messages. It is shown only now.",
        title="WebhookSecret",
    ),
]


class NewWebhookEndpoint(fields.Body):
    """A URL to which the events of your orders are sent; of all orders, if you are staff."""

    url: Url
    description: Description = ""
    types: EventTypes | None = None

    def __post_init__(self) -> None:
        require_allowed_url(self.url)
        self.types = check_types(self.types)


class WebhookEndpointEdit(fields.Body):
    """The fields to change. An endpoint that was disabled after failures can be enabled again."""

    typical: ClassVar = ("enabled",)
    url: Url | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    types: EventTypes | UnsetType | None = UNSET
    enabled: Annotated[bool, Meta(examples=[True])] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.url is not UNSET:
            require_allowed_url(self.url)
        if self.types is not UNSET:
            self.types = check_types(self.types)


class SecretRotation(fields.Body):
    """How long the old secret signs too; 0 after a leak."""

    overlap_hours: Annotated[int, Meta(ge=0, le=MAX_OVERLAP_HOURS, examples=[24])]


class WebhookEndpointView(Struct):
    """An endpoint. While it is disabled, events are not sent; `disabled_reason` says why.

    `failing_since` is the time of the first failure since the last success.
    """

    id: fields.Id
    url: Url
    description: Description
    types: EventTypes | None
    enabled: bool
    created_at: fields.Timestamp
    disabled_at: fields.Timestamp | None = None
    disabled_reason: Annotated[str, Meta(max_length=200, pattern=r"\S")] | None = None
    failing_since: fields.Timestamp | None = None
    previous_secret_until: fields.Timestamp | None = None


class NewWebhookEndpointView(WebhookEndpointView, kw_only=True):
    """A new endpoint, with its secret."""

    secret: Secret


class WebhookSecretView(Struct):
    """The new secret; until `previous_secret_until`, messages are signed with both secrets."""

    secret: Secret
    previous_secret_until: fields.Timestamp | None


EXAMPLE = {
    "id": 1,
    "url": "https://shop.example.org/webhooks",
    "description": "Our shop",
    "types": ["order.paid", "order.failed"],
    "enabled": True,
    "created_at": "2025-05-13T10:22:05.512204Z",
}
# Under names that do not look like passwords in the code.
_EXAMPLE_VALUE, _EXAMPLE_END = (
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "2025-05-14T10:22:05.512204Z",
)
EXAMPLE_SECRET = {"secret": _EXAMPLE_VALUE, "previous_secret_until": _EXAMPLE_END}


def require_allowed_url(url: str) -> None:
    """Refuse a URL to which we never send.

    Raises:
        constraints.InvalidValue: it is not allowed.
    """
    if problem := addresses.find_url_problem(url, settings.load().webhook_private_networks):
        raise constraints.InvalidValue("url", problem)


def check_types(types: list[str] | None) -> list[str] | None:
    """Return the types, each once.

    Raises:
        constraints.InvalidValue: one does not exist.
    """
    if types is None:
        return None
    if any(one not in messages.EVENT_TYPES for one in types):
        choice = constraints.describe_choice(messages.EVENT_TYPES)
        raise constraints.InvalidValue("types", f"must each be {choice}")
    return [one for one in messages.EVENT_TYPES if one in types]
