"""Stripe's SDK, set up for a server: it logs no answers, and each answer is checked first."""

import logging
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import stripe
from msgspec import Struct

# At lower levels the SDK logs whole answers, including the card's last digits. With STRIPE_LOG in
# the environment it prints them. Telemetry would describe this machine.
logging.getLogger("stripe").setLevel(logging.WARNING)
logging.getLogger("httpx").setLevel(logging.WARNING)
stripe._util.STRIPE_LOG = None
stripe.enable_telemetry = False


class UnreadableResponse(stripe.APIError):
    """The answer is not from Stripe, but for example from a proxy in between."""


class ResponseBody(Struct):
    """The fields that the SDK relies on in every answer."""

    object: str = ""
    error: dict[str, Any] | None = None
    data: list[dict[str, Any]] | None = None


class CheckingClient(stripe.HTTPXClient):
    """An HTTP client that checks each answer before the SDK, which fails on unexpected ones."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            content, status, found = await super().request_async(method, url, headers, post_data)
        except stripe.APIConnectionError as error:
            if isinstance(error.__cause__, httpx.HTTPError):
                raise
            # The SDK treats every error as a network error, but this one is an internal error.
            raise (error.__cause__ or error) from None
        try:
            body = msgspec.json.decode(content, type=ResponseBody)
        except msgspec.DecodeError as error:
            raise UnreadableResponse(str(error)) from None
        if body.data is None and body.object in ("list", "search_result"):
            raise UnreadableResponse("a list without data")
        return content, status, found
