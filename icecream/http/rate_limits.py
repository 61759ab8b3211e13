"""Rate limits, and the header fields that report them.

The header fields follow draft-ietf-httpapi-ratelimit-headers. The counters belong to this process:
`limits` in memory costs 10 us per call, while a shared counter in Redis would cost a round trip per
order.
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

# Wrong passwords for one name from one address: enough for typing errors, not for guessing.
FAILED_LOGINS = limits.parse("10/minute")
_counter = FixedWindowRateLimiter(MemoryStorage())


_policy = cache(limits.parse)


def _refusal(fields: dict[str, str], wait: int) -> errors.QuotaExceeded:
    refusal = errors.QuotaExceeded(f"Too many requests; try again in {wait} s.")
    refusal.headers |= {"Retry-After": str(wait)} | fields
    return refusal


def _told(
    policy: str, item: limits.RateLimitItem, left: int, reset: float
) -> tuple[dict[str, str], int]:
    """Return the header fields, and the seconds until the next window."""
    wait = max(1, round(reset - time.time()))
    return {
        "RateLimit-Policy": f'"{policy}";q={item.amount};w={item.get_expiry()}',
        "RateLimit": f'"{policy}";r={max(0, left)};t={wait}',
    }, wait


def count_login(name: str, address: str) -> None:
    """Count a sign-in attempt before the check of its password, so that parallel attempts count.

    Raises:
        errors.QuotaExceeded: there were too many attempts; it has the time to wait.
    """
    who = ("login", name, address)
    if not _counter.hit(FAILED_LOGINS, *who):
        stats = _counter.get_window_stats(FAILED_LOGINS, *who)
        raise _refusal(*_told("login", FAILED_LOGINS, stats.remaining, stats.reset_time))


def forget_logins(name: str, address: str) -> None:
    """Reset the attempts after a correct password."""
    _counter.clear(FAILED_LOGINS, "login", name, address)


def spend(who: str) -> dict[str, str]:
    """Count a call by a user or an address, and return the header fields for the response.

    Raises:
        errors.QuotaExceeded: there were too many calls.
    """
    # Every call pays for this, so the storage is used directly: `limits` itself would build the key
    # three times.
    item, key = _policy(settings.load().rate_limit), f"default {who}"
    count = _counter.storage.incr(key, item.get_expiry())
    fields, wait = _told("default", item, item.amount - count, _counter.storage.get_expiry(key))
    if count > item.amount:
        raise _refusal(fields, wait)
    return fields


def address(scope: Any) -> str:
    """Return the client's address; for a trusted proxy, uvicorn has set the address it reports."""
    client = scope.get("client")
    return client[0] if client else "unknown"


class Quota:
    """Counts calls by user if the caller has signed in, else by address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = scope.get("route_handler")
        if scope["type"] != ScopeType.HTTP or (
            handler is not None and handler.opt.get("uncounted")
        ):
            await self.app(scope, receive, send)
            return
        user = scope.get("user")
        fields = middleware.encoded(
            spend(f"user {user.id}" if user is not None else address(scope))
        )

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                middleware.add(message, fields)
            await send(message)

        await self.app(scope, receive, send_with_fields)
