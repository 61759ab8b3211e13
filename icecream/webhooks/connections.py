"""The HTTP connections to receivers, only to allowed addresses.

The address is checked when the connection is made, and the connection goes to the checked address.
So a name that resolves to another address a moment later (DNS rebinding) reaches nothing private.
Redirects are not followed, and proxies of the environment are not used.
"""

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from yarl import URL

from icecream.webhooks import addresses

CONNECT_TIMEOUT_SECONDS = 5.0
# Standard Webhooks recommends 15 to 30 seconds for the whole request.
TOTAL_TIMEOUT_SECONDS = 15.0
# The part of an answer that is used. Little more is read.
MAX_ANSWER_BYTES = 4096
# The largest header field of an answer.
MAX_FIELD_BYTES = 65_536
# The part of an answer that is kept for the log.
MAX_ANSWER_CHARACTERS = 1000
MAX_ERROR_CHARACTERS = 300
# Receivers that are overloaded or down may say when to come back. A longer pause is cut off.
RETRY_AFTER_STATUSES = (429, 503)
MAX_RETRY_AFTER_SECONDS = 3600.0
# A name may have many addresses; more tries would exceed the timeout.
MAX_ADDRESSES = 3
# Resolving a name blocks a thread, for many seconds if its name server does not answer. With
# threads of their own, these names delay nothing else in the process.
MAX_RESOLVER_THREADS = 32
KEEP_ALIVE_SECONDS = 5.0


class Answer(Struct, frozen=True):
    """The answer of a receiver; for the seconds of `retry_after` it wants no message."""

    status_code: int
    text: str
    retry_after: float


class NoAnswer(Exception):
    """There was no answer; the text is the reason."""


class ForbiddenAddress(OSError):
    """We may not connect to this address, or to none of the host's addresses."""

    def __init__(self) -> None:
        super().__init__("The host has no public address.")


class CheckedResolver(AbstractResolver):
    """Resolves names to allowed addresses, and opens sockets only for these.

    Args:
        threads: the threads that resolve names.
        private_networks: these networks are allowed too.
        public: whether public addresses are allowed.
    """

    def __init__(
        self, threads: ThreadPoolExecutor, private_networks: Sequence[str], *, public: bool
    ) -> None:
        self._threads, self._networks, self._public = threads, private_networks, public

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See aiohttp; the results are allowed addresses of any family."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _resolve, host, port)
        except (OSError, UnicodeError):
            raise OSError("The host was not found.") from None
        allowed = [one for one in dict.fromkeys(found) if self._is_allowed(one)]
        if not allowed:
            raise ForbiddenAddress
        return [_resolved(host, address, port) for address in allowed[:MAX_ADDRESSES]]

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Return a new socket for an address, which may also be the host of the URL itself.

        Raises:
            ForbiddenAddress: we may not connect to the address.
        """
        family, kind, protocol, _, (address, *_) = info
        if not self._is_allowed(address):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)

    def _is_allowed(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            # Another notation, such as a single number, which the system would understand.
            return False
        return addresses.is_allowed(parsed, self._networks, public=self._public)

    async def close(self) -> None:
        """See aiohttp; the threads belong to the caller."""


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=family,
        proto=0,
        flags=socket.AI_NUMERICHOST,
    )


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_RESOLVER_THREADS, "webhook-resolver")


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context of all connections; loading the trusted certificates takes a while."""
    return ssl.create_default_context()


class Connections:
    """The connections for the messages to one endpoint.

    Args:
        private_networks: these networks are allowed too, also without TLS.
    """

    def __init__(self, private_networks: Sequence[str]) -> None:
        self._private_networks = private_networks
        # By scheme: without TLS, only private networks are allowed.
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """Send a message, and return the answer.

        Raises:
            NoAnswer: there was none.
        """
        try:
            async with asyncio.timeout(TOTAL_TIMEOUT_SECONDS):
                return await self._post(URL(url, encoded=True), headers, body)
        except aiohttp.ConnectionTimeoutError:
            reason = f"No connection within {CONNECT_TIMEOUT_SECONDS:g} s."
        except TimeoutError:
            reason = f"No answer within {TOTAL_TIMEOUT_SECONDS:g} s."
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = _describe(error)
        raise NoAnswer(_as_text(reason)[:MAX_ERROR_CHARACTERS])

    async def _post(self, url: URL, headers: Mapping[str, str], body: str) -> Answer:
        while True:
            # Written by `_note_reuse`.
            request = SimpleNamespace(is_reused=False)
            try:
                return await self._post_once(url, headers, body, request)
            except aiohttp.ClientConnectionError:
                # The receiver may have closed an idle connection at the same moment. A new
                # connection does not fail for that reason. If the message did arrive, the receiver
                # recognizes it by its `webhook-id`.
                if not request.is_reused:
                    raise

    async def _post_once(
        self, url: URL, headers: Mapping[str, str], body: str, request: SimpleNamespace
    ) -> Answer:
        if url.scheme not in self._sessions:
            self._sessions[url.scheme] = self._open_session(public=url.scheme == "https")
        async with self._sessions[url.scheme].post(
            url,
            data=body.encode(),
            headers=headers,
            allow_redirects=False,
            trace_request_ctx=request,
        ) as response:
            answer = b""
            async for part in response.content.iter_any():
                answer += part
                if len(answer) >= MAX_ANSWER_BYTES:
                    break
        text = answer[:MAX_ANSWER_BYTES].decode(errors="replace")
        return Answer(
            response.status, _as_text(text)[:MAX_ANSWER_CHARACTERS], _retry_after(response)
        )

    def _open_session(self, *, public: bool) -> aiohttp.ClientSession:
        resolver = CheckedResolver(_threads(), self._private_networks, public=public)
        connector = aiohttp.TCPConnector(
            ssl=tls_context(),
            resolver=resolver,
            socket_factory=resolver.open_socket,
            use_dns_cache=False,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_note_reuse)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding"),
            auto_decompress=False,
            read_bufsize=MAX_ANSWER_BYTES,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_SECONDS),
            trace_configs=[tracing],
        )

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()


async def _note_reuse(_: object, context: Any, __: object) -> None:
    context.trace_request_ctx.is_reused = True


def _describe(error: Exception) -> str:
    """Return one line that says why there was no answer."""
    # The cause says what is wrong, without our own view of the connection.
    cause = error.__cause__ or error
    if isinstance(error, aiohttp.ClientResponseError):
        text = f"The answer is not valid HTTP: {error.message}"
    elif isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
        # The texts of the errors for several addresses are long.
        text = f"{os.strerror(cause.errno)}."
    else:
        text = str(cause) or type(cause).__name__
    return " ".join(text.split())


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Return the seconds of `Retry-After`, a number or a date (RFC 9110); 0 without one."""
    text = response.headers.get("Retry-After", "").strip()
    if response.status not in RETRY_AFTER_STATUSES or not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_SECONDS)
    try:
        seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, min(seconds, MAX_RETRY_AFTER_SECONDS))


def _as_text(text: str) -> str:
    """Return the text without the one character that PostgreSQL does not store."""
    return text.replace("\0", "�")
