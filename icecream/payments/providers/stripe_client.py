"""Stripe's SDK, set up for a server: it logs no answers, and each answer is checked first."""

import logging
import ssl
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

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


def environment_proxy(url: str) -> str | None:
    """Return the proxy that the environment names for this URL, such as in `HTTPS_PROXY`."""
    target, proxies = urlsplit(url), urllib.request.getproxies()
    if urllib.request.proxy_bypass(target.hostname or ""):
        return None
    return proxies.get(target.scheme) or proxies.get("all")


class CheckingClient(stripe.AIOHTTPClient):
    """An HTTP client that checks each answer before the SDK, which fails on unexpected ones.

    It has a connection for each call: the executor limits their number. It follows no redirect.
    With 100 calls at a time, httpx takes four times as long for each.
    """

    def __init__(self, url: str, timeout: float) -> None:
        # aiohttp would look for the proxy, and for a password, before each call.
        super().__init__(timeout=aiohttp.ClientTimeout(total=timeout), proxy=environment_proxy(url))

    # At the first use, because it needs a running event loop.
    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        tls = ssl.create_default_context(cafile=stripe.ca_bundle_path)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close_async(self) -> None:
        if "_session" in vars(self):
            await self._session.close()

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
            # The text of the error may contain the secret key.
            raise stripe.APIConnectionError(type(error).__name__) from None  # type: ignore[no-untyped-call]  # the SDK has no type for it
        try:
            body = msgspec.json.decode(content, type=ResponseBody)
        except msgspec.DecodeError as error:
            raise UnreadableResponse(str(error)) from None
        if body.data is None and body.object in ("list", "search_result"):
            raise UnreadableResponse("a list without data")
        return content, response.status, response.headers
