"""The simulated provider: it runs in this process, and its answer depends only on the key."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

from icecream.payments.providers.protocol import (
    Answer,
    Charge,
    Declined,
    ProviderRecord,
    Refund,
    Request,
    Succeeded,
    UnverifiedWebhook,
    WebhookEvent,
)


class SimulatedProvider:
    """A provider with random delays and answers derived from the key: a retry gets the same answer.

    It keeps no records; `look_up` computes the same answer again.

    Args:
        delays: the shortest and the longest time in seconds.
        failure_rate: the share of charges that is declined, 0 to 1; refunds are never declined.
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
            return Declined("The simulated bank declined the payment.")
        return Succeeded(f"sim_{request.key}", request.amount, request.currency)

    async def records(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRecord]:
        none: tuple[ProviderRecord, ...] = ()
        for record in none:
            yield record

    def parse_webhook(self, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        raise UnverifiedWebhook("The simulated provider sends no webhooks.")

    async def close(self) -> None:
        """Do nothing: there are no connections."""
