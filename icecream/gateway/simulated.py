"""The simulated provider: in this process, decided by the key alone."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

from icecream.gateway.protocol import (
    Answer,
    Charge,
    Declined,
    Notice,
    Record,
    Refund,
    Request,
    Succeeded,
    Unsigned,
)


class Simulated:
    """Takes a random time and decides by the key alone, so that asking twice gives one answer.

    It keeps no records: what it would answer is all it knows.

    Args:
        delays: the shortest and the longest time in seconds.
        failure_rate: the share of charges that is declined, 0 to 1; refunds never are.
    """

    key_life = timedelta.max
    keeps_list = False

    def __init__(self, delays: tuple[float, float], failure_rate: float) -> None:
        self.delays, self.failure_rate = delays, failure_rate

    async def charge(self, charge: Charge) -> Answer:
        await asyncio.sleep(random.uniform(*self.delays))
        return self._decide(charge)

    async def refund(self, refund: Refund) -> Answer:
        await asyncio.sleep(random.uniform(*self.delays))
        return self._decide(refund)

    async def look_up(self, request: Request, reference: str | None) -> Answer | None:
        return self._decide(request)

    def _decide(self, request: Request) -> Answer:
        digest = hashlib.sha256(request.key.encode()).digest()
        fate = int.from_bytes(digest[:8], "big") / 2**64
        if isinstance(request, Charge) and fate < self.failure_rate:
            return Declined("The simulated bank said no.")
        return Succeeded(f"sim_{digest.hex()[:32]}", request.amount, request.currency)

    async def records(self, since: datetime, until: datetime) -> AsyncIterator[Record]:
        none: tuple[Record, ...] = ()
        for record in none:
            yield record

    def notice(self, body: bytes, headers: Mapping[str, str]) -> Notice | None:
        raise Unsigned("The simulated provider sends nothing.")

    async def close(self) -> None:
        """It has no connections."""
