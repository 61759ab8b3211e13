"""Stripe's SDK, set up for a server: it logs no answers, and each answer is checked first."""

import logging
import ssl
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import aiohttp
import msgspec
import stripe
from msgspec import Struct

# At lower levels the SDK logs whole answers, including the card's last digits. With STRIPE_LOG in
# the environment it prints them. Telemetry would describe this machine.
logging.getLogger("stripe").setLevel(logging.WARNING)
stripe._util.STRIPE_LOG = None
stripe.enable_telemetry = False
NETWORK_ERRORS = (aiohttp.ClientError, ConnectionError, TimeoutError)


class UnreadableResponse(stripe.APIError):
    """The answer is not from Stripe, but for example from a proxy in between."""


class ResponseBody(Struct):
    """The fields that the SDK relies on in every answer."""

    object: str = ""
    error: dict[str, Any] | None = None
    data: list[dict[str, Any]] | None = None


class CheckingClient(stripe.AIOHTTPClient):
    """An HTTP client that checks each answer before the SDK, which fails on unexpected ones.

    It has a connection for each call, because the executor limits the number of calls, and it
    follows no redirect. With 100 calls at a time, httpx would take four times as long for each.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout=aiohttp.ClientTimeout(total=timeout))

    # At the first use, because it needs a running event loop.
    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        tls = ssl.create_default_context(cafile=stripe.ca_bundle_path)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Use the proxy that the environment names, if any.
            trust_env=True,
        )

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        # The SDK's method also counts internal errors as network errors, and does not close the
        # connection if the answer is cut off.
        arguments, options = self._get_request_args_kwargs(method, url, headers, post_data)
        sent = self._session.request(*arguments, **options, allow_redirects=False)
        try:
            async with sent as response:
                content = await response.read()
        except NETWORK_ERRORS as error:
            raise stripe.APIConnectionError(repr(error)) from error  # type: ignore[no-untyped-call]  # the SDK has no type for it
        try:
            body = msgspec.json.decode(content, type=ResponseBody)
        except msgspec.DecodeError as error:
            raise UnreadableResponse(str(error)) from None
        if body.data is None and body.object in ("list", "search_result"):
            raise UnreadableResponse("a list without data")
        return content, response.status, response.headers
