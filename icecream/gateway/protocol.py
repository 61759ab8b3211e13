"""What a payment provider is asked and what it answers; implemented once per provider."""

import socket
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, Protocol

from msgspec import Struct

from icecream.gateway import failures


class Charge(Struct, frozen=True):
    """Money to be taken; `amount` in minor units of `currency`.

    `key` makes the request idempotent: however often it arrives, money moves once, and every answer
    is the same. It is also the reference under which the provider's records name this payment.
    `method` is the provider's own reference of what the customer pays with.
    """

    key: str
    amount: int
    currency: str
    order: int
    method: str | None = None


class Refund(Struct, frozen=True):
    """Money to be given back, of the charge that the provider calls `charge`."""

    key: str
    amount: int
    currency: str
    order: int
    charge: str


Request = Charge | Refund


class Succeeded(Struct, frozen=True):
    """A definite yes: that much was moved, under the provider's own reference."""

    reference: str
    amount: int
    currency: str


class Declined(Struct, frozen=True):
    """A definite no: no money moved and none will.

    `reason` is the provider's, for staff; `code` is our word for it (`failures`).
    """

    reason: str
    code: str = failures.DECLINED


Answer = Succeeded | Declined


class Unknown(Exception):
    """No definite answer: the money may have moved. Ask again with the same key.

    Args:
        reference: what the provider calls it, if it said so (a payment that is still processed).
    """

    def __init__(self, reason: str = "", reference: str | None = None) -> None:
        super().__init__(reason)
        self.reference = reference


class Undecided(Unknown):
    """The provider answers, but not with a yes or a no: it is no sign that it is away."""


# There was no definite answer: also because a connection was lost, something took too long, or a
# host's name was not found. Any other error, also of the operating system, is a fault of ours.
NO_ANSWER = (Unknown, ConnectionError, TimeoutError, socket.gaierror)


class Later(Exception):
    """The provider did nothing about this request (too many, or the key is in use): ask again."""


class Refused(Later):
    """The provider refuses our account, or a request of that form: somebody has to mend that."""


class Unsigned(Exception):
    """What claims to come from the provider does not."""


class Notice(Struct, frozen=True):
    """The provider says that something happened to a payment: a hint to look it up.

    `event` tells one notice from another, `key` is ours, `reference` the provider's.
    """

    event: str
    key: str
    reference: str


class Record(Struct, frozen=True):
    """A line in the provider's own list; `key` is ours, and `state` what came of it.

    `order` is the number that we gave with it. A refund that somebody made at the provider has no
    key of ours; `charge` is the provider's reference of the charge that it is of.
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


class Gateway(Protocol):
    """A provider. No method is called while a transaction is open.

    Each may raise one of NO_ANSWER, or Later. Only the former, and not Undecided, say that the
    provider may be away.
    """

    # For so long after its first use a key that comes again moves no money again.
    key_life: timedelta
    # Whether it has a list of what it did; without one there is nothing to compare with.
    keeps_list: bool

    async def charge(self, charge: Charge) -> Answer:
        """Take money."""

    async def refund(self, refund: Refund) -> Answer:
        """Give money back."""

    async def look_up(self, request: Request, reference: str | None) -> Answer | None:
        """What became of a request, found by the provider's reference or else by our key.

        None: the provider knows of none. It may still be under way.
        """

    def records(self, since: datetime, until: datetime) -> AsyncIterator[Record]:
        """The provider's list of our charges, and of all refunds, made in that time."""

    def notice(self, body: bytes, headers: Mapping[str, str]) -> Notice | None:
        """Read what the provider sent to us; None if it is about nothing of ours.

        Raises:
            Unsigned: it did not come from the provider, or too long ago.
        """

    async def close(self) -> None:
        """Let go of its connections."""
