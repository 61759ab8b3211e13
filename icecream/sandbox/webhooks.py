"""The webhooks that the sandbox sends to a shop."""

import asyncio
import hashlib
import hmac
import secrets
import time

import httpx
import msgspec

from icecream.sandbox.objects import Intent, Thing

# Seconds until a failed delivery is retried; they double each time.
FIRST, LONGEST = 0.2, 60.0
# anyio raises AttributeError under uvloop if a connection is reset while it is being made.
NOT_HEARD = (httpx.HTTPError, AttributeError)


class Webhooks:
    """Sends signed webhooks like Stripe, and retries until a 2xx; unsent ones end with the sandbox.

    Args:
        url: the receiver; without it nothing is sent.
    """

    def __init__(self, url: str | None, secret: str) -> None:
        self._url, self._secret = url, secret
        self._client = httpx.AsyncClient(timeout=10, trust_env=False)
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, thing: Thing, *, twice: bool = False) -> None:
        if self._url is None:
            return
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "type": _type(thing),
            "created": int(time.time()),
            "data": {"object": thing},
        }
        body = msgspec.json.encode(event)
        for _ in range(1 + twice):
            task = asyncio.create_task(self._deliver(self._url, body))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _deliver(self, url: str, body: bytes) -> None:
        wait = FIRST
        while not await self._was_heard(url, body):
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST)

    async def _was_heard(self, url: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json", "Stripe-Signature": self._signature(body)}
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except NOT_HEARD:
            return False
        return answer.is_success

    def _signature(self, body: bytes) -> str:
        now = int(time.time())
        made = hmac.new(self._secret.encode(), b"%d." % now + body, hashlib.sha256)
        return f"t={now},v1={made.hexdigest()}"


def _type(thing: Thing) -> str:
    if isinstance(thing, Intent):
        failed = thing.status == "requires_payment_method"
        return f"payment_intent.{'payment_failed' if failed else thing.status}"
    return "refund.failed" if thing.status == "failed" else "refund.updated"
