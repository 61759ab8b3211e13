"""A provider with Stripe's API that accepts payments, refuses them or never responds.

The payment method selects the result: `pm_refused` gets a 400, `pm_unanswered` gets no response,
and any other one is charged.
"""

import asyncio
import itertools
import json
import sys
import time
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

REFUSED: dict[str, object] = {
    "error": {
        "type": "invalid_request_error",
        "message": "This payment method cannot be used again.",
    }
}
# Longer than any client waits for a response.
NEVER_SECONDS = 600
_numbers = itertools.count(1)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Respond to one request."""
    form = dict(parse_qsl((await _body(receive)).decode()))
    if form.get("payment_method") == "pm_unanswered":
        await asyncio.sleep(NEVER_SECONDS)
    refused = form.get("payment_method") == "pm_refused"
    if refused:
        response: dict[str, object] = REFUSED
    elif scope["method"] == "POST":
        response = _intent(form)
    else:
        response = {"object": "search_result", "data": [], "has_more": False}
    head = [(b"content-type", b"application/json")]
    status = 400 if refused else 200
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(response).encode()})


async def _body(receive: Any) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


def _intent(form: dict[str, str]) -> dict[str, object]:
    return {
        "id": f"pi_{next(_numbers)}",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": int(form["amount"]),
        "amount_received": int(form["amount"]),
        "currency": form["currency"],
        "created": int(time.time()),
        "metadata": {"reference": form["metadata[reference]"]},
    }


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        lifespan="off",
        log_level="warning",
        # It must not wait for the requests that are never answered.
        timeout_graceful_shutdown=1,
    )
