"""A payment provider seen from our side: the protocol, and the simulated one."""

import asyncio
import hashlib
import random
from typing import Protocol

from msgspec import Struct


class Charge(Struct, frozen=True):
    """What the provider is asked for; `amount` in minor units of `currency`.

    `key` makes the request idempotent: however often it arrives, money moves once, and every answer
    is the same. It is also the reference under which the provider's records name this payment.
    """

    key: str
    amount: int
    currency: str


class Charged(Struct, frozen=True):
    """A definite yes, under the provider's own reference."""

    reference: str


class Declined(Struct, frozen=True):
    """A definite no; no money moved and none will."""

    reason: str


class Unknown(Exception):
    """No definite answer: the money may have moved. Ask again with the same key."""


class Gateway(Protocol):
    """Implemented once per provider."""

    async def charge(self, charge: Charge) -> Charged | Declined:
        """Move the money.

        Raises:
            Unknown, OSError, TimeoutError: there was no definite answer.
        """


class Simulated:
    """Takes a random time and decides by the key alone, so that asking twice gives one answer.

    Args:
        delays: the shortest and the longest time in seconds.
        failure_rate: the share of keys that is declined, 0 to 1.
    """

    def __init__(self, delays: tuple[float, float], failure_rate: float) -> None:
        self.delays, self.failure_rate = delays, failure_rate

    async def charge(self, charge: Charge) -> Charged | Declined:
        await asyncio.sleep(random.uniform(*self.delays))
        digest = hashlib.sha256(charge.key.encode()).digest()
        if int.from_bytes(digest[:8], "big") < self.failure_rate * 2**64:
            return Declined("The simulated bank said no.")
        return Charged(f"sim_{digest.hex()[:32]}")
