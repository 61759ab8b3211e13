"""The webhooks that the sandbox sends."""

import asyncio
import hashlib
import hmac
import secrets
import time

import httpx
import msgspec

from icecream.sandbox.objects import UNCONFIRMED, PaymentIntent, StripeObject

# The delay before a failed delivery is retried; it doubles each time.
FIRST_RETRY_SECONDS = 0.2
MAX_RETRY_SECONDS = 60.0
# anyio raises AttributeError under uvloop if a connection is reset while it is being opened.
DELIVERY_ERRORS = (httpx.HTTPError, AttributeError)


class Webhooks:
    """Sends signed webhooks like Stripe, and retries until a 2xx or the end of the sandbox.

    Args:
        url: the receiver; if it is None, nothing is sent.
    """

    def __init__(self, url: str | None, secret: str) -> None:
        self._url, self._secret = url, secret
        self._client = httpx.AsyncClient(timeout=10, trust_env=False)
        self._deliveries: set[asyncio.Task[None]] = set()

    def send(self, stripe_object: StripeObject, *, twice: bool = False) -> None:
        if self._url is None:
            return
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "type": _event_type(stripe_object),
            "api_version": None,
            "created": int(time.time()),
            "data": {"object": stripe_object},
            "livemode": False,
            "pending_webhooks": 1,
            "request": None,
        }
        body = msgspec.json.encode(event)
        for _ in range(2 if twice else 1):
            task = asyncio.create_task(self._deliver(self._url, body))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)

    async def _deliver(self, url: str, body: bytes) -> None:
        wait = FIRST_RETRY_SECONDS
        while not await self._was_accepted(url, body):
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RETRY_SECONDS)

    async def _was_accepted(self, url: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json", "Stripe-Signature": self._signature(body)}
        try:
            response = await self._client.post(url, content=body, headers=headers)
        except DELIVERY_ERRORS:
            return False
        return response.is_success

    def _signature(self, body: bytes) -> str:
        now = int(time.time())
        digest = hmac.new(self._secret.encode(), b"%d." % now + body, hashlib.sha256)
        return f"t={now},v1={digest.hexdigest()}"


def _event_type(stripe_object: StripeObject) -> str:
    if isinstance(stripe_object, PaymentIntent):
        if stripe_object.last_payment_error is not None:
            return "payment_intent.payment_failed"
        is_unconfirmed = stripe_object.status in UNCONFIRMED
        return f"payment_intent.{'created' if is_unconfirmed else stripe_object.status}"
    return "refund.failed" if stripe_object.status == "failed" else "refund.updated"
