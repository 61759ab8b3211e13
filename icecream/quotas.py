"""How often somebody may call, and what they are told about it.

The header fields are those of draft-ietf-httpapi-ratelimit-headers; the counters are this process's
own (`limits` in memory: 10 us a call, where one shared in Redis would cost every order a trip).
"""

import time
from functools import cache
from typing import Any

import limits
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from icecream import edge, errors, settings

# Wrong passwords for one name from one address: enough for a typing mistake, not for guessing.
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
    """The header fields, and the seconds until the next window."""
    wait = max(1, round(reset - time.time()))
    return {
        "RateLimit-Policy": f'"{policy}";q={item.amount};w={item.get_expiry()}',
        "RateLimit": f'"{policy}";r={max(0, left)};t={wait}',
    }, wait


def count_login(name: str, address: str) -> None:
    """Count an attempt before its password is checked, so that many at once gain nothing.

    Raises:
        errors.QuotaExceeded: with the time to wait.
    """
    who = ("login", name, address)
    if not _counter.hit(FAILED_LOGINS, *who):
        stats = _counter.get_window_stats(FAILED_LOGINS, *who)
        raise _refusal(*_told("login", FAILED_LOGINS, stats.remaining, stats.reset_time))


def forget_logins(name: str, address: str) -> None:
    """The password was right: earlier attempts do not count."""
    _counter.clear(FAILED_LOGINS, "login", name, address)


def spend(who: str) -> dict[str, str]:
    """Count a call by a user or an address; the answer's header fields.

    Raises:
        errors.QuotaExceeded: there were too many.
    """
    # Each call pays for this, so the storage is asked itself: `limits` makes a key of several words
    # for each of three questions.
    item, key = _policy(settings.load().rate_limit), f"default {who}"
    count = _counter.storage.incr(key, item.get_expiry())
    fields, wait = _told("default", item, item.amount - count, _counter.storage.get_expiry(key))
    if count > item.amount:
        raise _refusal(fields, wait)
    return fields


def address(scope: Any) -> str:
    """Where a call comes from; uvicorn has put the trusted proxies' word for it here."""
    client = scope.get("client")
    return client[0] if client else "unknown"


class Quota:
    """Counts calls by user where there is one, by address otherwise."""

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
        fields = edge.encoded(spend(f"user {user.id}" if user is not None else address(scope)))

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                edge.add(message, fields)
            await send(message)

        await self.app(scope, receive, send_with_fields)
