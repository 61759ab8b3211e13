"""Rate limits, and the header fields that report them.

The header fields follow draft-ietf-httpapi-ratelimit-headers. The counters of requests belong to
this process: a shared counter in Redis would cost a round trip per order.
"""

import hashlib
import ipaddress
import logging
import time
from collections.abc import Awaitable
from functools import cache, partial
from typing import Any

import limits
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from icecream import errors, settings
from icecream.http import login_counts, middleware
from icecream.http.login_counts import LoginCounts
from icecream.runtime import logs, passwords
from icecream.runtime.logs import security

# Attempts to sign in with one name from one address until one of them succeeds: enough for typing
# errors, not for guessing. The more attempts, the longer the wait: from a minute to an hour.
LOGIN_ATTEMPT_LIMITS = limits.parse_many("10/minute; 20/10 minutes; 40/hour")
# Failed attempts from one address over all names: one address cannot try many names.
FAILED_LOGIN_LIMIT = limits.parse("30/minute")
# One customer of a network provider usually has all addresses with this prefix.
IPV6_PREFIX_LENGTH = 64
log = logging.getLogger(__name__)
_has_warned = False
_parse_limit = cache(limits.parse)


class _Window(Struct):
    """A caller's requests since the first one; the next window begins after the end."""

    ends_at: float
    requests: int = 0


class RequestCounts:
    """The numbers of requests in the current windows of all callers.

    Every request is counted here, and `limits` would start a thread for it a hundred times a
    second, which removes ended windows.
    """

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        self._remove_ended_at = 0.0

    def add(self, caller: str, window_seconds: int) -> tuple[int, float]:
        """Count a request; return the requests of the caller's window, and its remaining time."""
        now = time.monotonic()
        window = self._windows.get(caller)
        if window is None or window.ends_at <= now:
            if self._remove_ended_at <= now:
                self._remove_ended(now)
                self._remove_ended_at = now + window_seconds
            window = self._windows[caller] = _Window(now + window_seconds)
        window.requests += 1
        return window.requests, window.ends_at - now

    def _remove_ended(self, now: float) -> None:
        self._windows = {
            caller: window for caller, window in self._windows.items() if window.ends_at > now
        }

    def clear(self) -> None:
        """Forget all requests."""
        self._windows.clear()


request_counts = RequestCounts()


def _refusal(fields: dict[str, str], wait: int) -> errors.QuotaExceeded:
    refusal = errors.QuotaExceeded(f"Too many requests; try again in {wait} s.")
    refusal.headers |= {"Retry-After": str(wait)} | fields
    return refusal


def _header_fields(
    policy: str, item: limits.RateLimitItem, remaining: int, seconds: float
) -> tuple[dict[str, str], int]:
    """Return the header fields, and the whole seconds until the next window."""
    wait = max(1, round(seconds))
    return {
        "RateLimit-Policy": f'"{policy}";q={item.amount};w={item.get_expiry()}',
        "RateLimit": f'"{policy}";r={max(0, remaining)};t={wait}',
    }, wait


async def begin_login(name: str, scope: Any) -> None:
    """Count an attempt to sign in before the check of its password, so that parallel ones count.

    Raises:
        errors.QuotaExceeded: there were too many attempts; it has the time to wait.
        errors.Unavailable: too many passwords are waiting to be checked.
    """
    _warn_of_untrusted_proxy(scope)
    await login_counts.use(partial(_count_login, _digest(name), client_network(scope)))


async def _count_login(name: str, address: str, counts: LoginCounts) -> None:
    has_failed = await counts.storage.get(_failures_key(address)) > 0
    passwords.client.set(passwords.Client(address, has_failed))
    passwords.require_free_place()
    # An attempt that one limit refuses does not count for the next ones, so that others at the same
    # address cannot make a user's wait longer than theirs.
    if await counts.limiter.test(FAILED_LOGIN_LIMIT, "failed-logins", address):
        for limit in LOGIN_ATTEMPT_LIMITS:
            await _hit(counts, "login", limit, name, address)
    await _hit(counts, "failed-logins", FAILED_LOGIN_LIMIT, address)


async def end_login(name: str, scope: Any) -> None:
    """Take a successful attempt out of the counts."""
    await login_counts.use(partial(_forget_login, _digest(name), client_network(scope)))


def _digest(name: str) -> str:
    """Return a short text for a name, which may be of any length."""
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()


async def _forget_login(name: str, address: str, counts: LoginCounts) -> None:
    for limit in LOGIN_ATTEMPT_LIMITS:
        await counts.limiter.clear(limit, "login", name, address)
    await counts.storage.incr(_failures_key(address), FAILED_LOGIN_LIMIT.get_expiry(), -1)


def _warn_of_untrusted_proxy(scope: Any) -> None:
    """Log once if a proxy reports its clients' addresses, but is not trusted."""
    global _has_warned
    address = client_address(scope)
    reported = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    if reported and not _has_warned and address.encode() not in b" ".join(reported):
        _has_warned = True
        log.warning(
            "%s sends X-Forwarded-For, but is not in ICECREAM_TRUSTED_PROXIES. So all clients "
            "behind it share the limits for sign-ins.",
            address,
        )


def _failures_key(address: str) -> str:
    return FAILED_LOGIN_LIMIT.key_for("failed-logins", address)


async def _hit(counts: LoginCounts, policy: str, item: limits.RateLimitItem, *key: str) -> None:
    if not await counts.limiter.hit(item, policy, *key):
        if await counts.storage.get(item.key_for(policy, *key)) == item.amount + 1:
            # Once in each window. A name is not logged: it may be a password in the wrong field.
            security.log_event("rate-limited", policy=policy, address=key[-1])
        stats = await counts.limiter.get_window_stats(item, policy, *key)
        seconds = stats.reset_time - time.time()
        raise _refusal(*_header_fields(policy, item, stats.remaining, seconds))


def count_request(caller: str) -> dict[str, str]:
    """Count a request of a user or an address, and return the header fields for the response.

    Raises:
        errors.QuotaExceeded: there were too many requests.
    """
    item = _parse_limit(settings.load().rate_limit)
    count, seconds = request_counts.add(caller, item.get_expiry())
    fields, wait = _header_fields("default", item, item.amount - count, seconds)
    if count == item.amount + 1:
        security.log_event("rate-limited", policy="default", caller=caller)
    if count > item.amount:
        raise _refusal(fields, wait)
    return fields


def count_caller(scope: Any) -> dict[str, str]:
    """Count a request: of the user if the client has signed in, else of its address.

    Raises:
        errors.QuotaExceeded: there were too many requests.
    """
    user = scope.get("user")
    return count_request(f"user {user.id}" if user is not None else client_address(scope))


def client_address(scope: Any) -> str:
    """Return the client's address; uvicorn sets the address that a trusted proxy reports."""
    client = scope.get("client")
    return client[0] if client else "unknown"


def log_address(scope: Any) -> None:
    """Add the client's address to all later log lines of this request."""
    logs.add_to_context(address=client_address(scope))


def client_network(scope: Any) -> str:
    """Return the network of the client's IPv6 address, or any other address as it is."""
    address = client_address(scope)
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        # A trusted proxy may report an address with a port, or a name.
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX_LENGTH), strict=False))


class RateLimiter:
    """Counts requests by user if the client has signed in, else by address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    # Not a coroutine, which would add a cost to every request.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        handler = scope.get("route_handler")
        if scope["type"] == ScopeType.HTTP and not (
            handler is not None and handler.opt.get("exclude_from_rate_limit")
        ):
            middleware.add_response_headers(scope, count_caller(scope))
        return self.app(scope, receive, send)
