"""The protocol of a payment provider: requests and answers, implemented once per provider."""

import socket
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, Protocol

from msgspec import Struct

from icecream.payments import decline_codes


class Charge(Struct, frozen=True):
    """A request to take money; `amount` is in minor units of `currency`.

    `key` makes the request idempotent: however often it arrives, money moves once, and every answer
    is the same. `key` also names this payment in the provider's records. `method` is the provider's
    own reference of the payment method.
    """

    key: str
    amount: int
    currency: str
    order: int
    method: str | None = None


class Refund(Struct, frozen=True):
    """A request to refund money; `charge` is the provider's reference of the charge."""

    key: str
    amount: int
    currency: str
    order: int
    charge: str


Request = Charge | Refund


class Succeeded(Struct, frozen=True):
    """A definite yes: `amount` was moved; `reference` is the provider's own."""

    reference: str
    amount: int
    currency: str


class Declined(Struct, frozen=True):
    """A definite no: no money moved and none will.

    `reason` is the provider's text, for staff. `code` is our own code for it (`decline_codes`).
    """

    reason: str
    code: str = decline_codes.DECLINED


Answer = Succeeded | Declined


class OutcomeUnknown(Exception):
    """No definite answer: money may have moved, so retry with the same key.

    Args:
        reference: the provider's reference, if it sent one (a payment that is still processed).
    """

    def __init__(self, reason: str = "", reference: str | None = None) -> None:
        super().__init__(reason)
        self.reference = reference


class OutcomeUndecided(OutcomeUnknown):
    """The provider answered, but has not decided yet; this does not mean that it is down."""


# There was no definite answer, for example because a connection was lost, a timeout expired, or a
# host name was not found. All other errors, also those of the operating system, are internal
# errors.
NO_ANSWER = (OutcomeUnknown, ConnectionError, TimeoutError, socket.gaierror)


class RetryLater(Exception):
    """The provider did nothing (rate limit, or the key is in use): retry later."""


class RequestRefused(RetryLater):
    """The provider refuses our account or this form of request: an operator has to fix it."""


class UnverifiedWebhook(Exception):
    """A webhook without a valid signature of the provider."""


class WebhookEvent(Struct, frozen=True):
    """An event of the provider about a changed payment: a reason to look the payment up.

    `id` is the provider's id of the event, `key` is ours, `reference` is the payment's reference.
    """

    id: str
    key: str
    reference: str


class ProviderRecord(Struct, frozen=True):
    """A line in the provider's own list; `key` is ours, and `state` is the outcome.

    `order` is the number that we sent with the payment. A refund made manually at the provider has
    no key of ours. `charge` is the provider's reference of the refunded charge.
    """

    kind: Literal["charge", "refund"]
    key: str | None
    order: int | None
    reference: str
    amount: int
    currency: str
    state: Literal["succeeded", "declined", "processing"]
    created: datetime
    charge: str | None = None


class PaymentProvider(Protocol):
    """A payment provider. No method is called while a transaction is open.

    Each method may raise one of `NO_ANSWER`, or `RetryLater`. Only `NO_ANSWER` means that the
    provider may be down, except for `OutcomeUndecided`.
    """

    # How long after its first use a key prevents a second movement of money.
    key_life: timedelta
    # Whether the provider has a list of its payments. Without one, no reconciliation is possible.
    keeps_list: bool

    async def charge(self, charge: Charge) -> Answer:
        """Take money."""

    async def refund(self, refund: Refund) -> Answer:
        """Refund money."""

    async def look_up(self, request: Request, reference: str | None) -> Answer | None:
        """Return the outcome of a request, found by the provider's reference or else by our key.

        None means that the provider knows no such request; the request may still be on its way.
        """

    def records(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRecord]:
        """Yield the provider's list of our charges, and of all refunds, made in that time."""

    def parse_webhook(self, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        """Verify and read a webhook; return None if it is not about a payment of ours.

        Raises:
            UnverifiedWebhook: it did not come from the provider, or is too old.
        """

    async def close(self) -> None:
        """Close the connections."""
