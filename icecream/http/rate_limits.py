"""Rate limits, and the header fields that report them.

The header fields follow draft-ietf-httpapi-ratelimit-headers. The counters belong to this process:
`limits` in memory costs 10 us per request, while a shared counter in Redis would cost a round trip
per order.
"""

import time
from functools import cache
from typing import Any

import limits
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from icecream import errors, settings
from icecream.http import middleware

# Attempts to sign in with one name from one address until one of them succeeds: enough for typing
# errors, not for guessing.
LOGIN_ATTEMPT_LIMIT = limits.parse("10/minute")
_limiter = FixedWindowRateLimiter(MemoryStorage())
_parse_limit = cache(limits.parse)


def _refusal(fields: dict[str, str], wait: int) -> errors.QuotaExceeded:
    refusal = errors.QuotaExceeded(f"Too many requests; try again in {wait} s.")
    refusal.headers |= {"Retry-After": str(wait)} | fields
    return refusal


def _header_fields(
    policy: str, item: limits.RateLimitItem, remaining: int, reset: float
) -> tuple[dict[str, str], int]:
    """Return the header fields, and the seconds until the next window."""
    wait = max(1, round(reset - time.time()))
    return {
        "RateLimit-Policy": f'"{policy}";q={item.amount};w={item.get_expiry()}',
        "RateLimit": f'"{policy}";r={max(0, remaining)};t={wait}',
    }, wait


def count_login_attempt(name: str, address: str) -> None:
    """Count a sign-in attempt before the check of its password, so that parallel attempts count.

    Raises:
        errors.QuotaExceeded: there were too many attempts; it has the time to wait.
    """
    key = ("login", name, address)
    if not _limiter.hit(LOGIN_ATTEMPT_LIMIT, *key):
        stats = _limiter.get_window_stats(LOGIN_ATTEMPT_LIMIT, *key)
        raise _refusal(
            *_header_fields("login", LOGIN_ATTEMPT_LIMIT, stats.remaining, stats.reset_time)
        )


def reset_login_attempts(name: str, address: str) -> None:
    """Reset the attempts after a correct password."""
    _limiter.clear(LOGIN_ATTEMPT_LIMIT, "login", name, address)


def count_request(caller: str) -> dict[str, str]:
    """Count a request of a user or an address, and return the header fields for the response.

    Raises:
        errors.QuotaExceeded: there were too many requests.
    """
    # Every request pays for this, so the storage is used directly: `limits` itself would build the
    # key three times.
    item, key = _parse_limit(settings.load().rate_limit), f"default {caller}"
    count = _limiter.storage.incr(key, item.get_expiry())
    fields, wait = _header_fields(
        "default", item, item.amount - count, _limiter.storage.get_expiry(key)
    )
    if count > item.amount:
        raise _refusal(fields, wait)
    return fields


def client_address(scope: Any) -> str:
    """Return the client's address; uvicorn sets the address that a trusted proxy reports."""
    client = scope.get("client")
    return client[0] if client else "unknown"


class RateLimiter:
    """Counts requests by user if the client has signed in, else by address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = scope.get("route_handler")
        if scope["type"] != ScopeType.HTTP or (
            handler is not None and handler.opt.get("exclude_from_rate_limit")
        ):
            await self.app(scope, receive, send)
            return
        user = scope.get("user")
        fields = middleware.encode_headers(
            count_request(f"user {user.id}" if user is not None else client_address(scope))
        )

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                middleware.add_missing_headers(message, fields)
            await send(message)

        await self.app(scope, receive, send_with_fields)
