"""The cookie of a browser's session, and the CSRF token that is bound to the session."""

import hashlib
import hmac
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from icecream import settings
from icecream.tables import SESSION_LIFETIME

COOKIE = "id"


def is_https() -> bool:
    """Return whether the public URL begins with https."""
    return urlsplit(settings.load().address).scheme == "https"


def cookie_name() -> str:
    """Return the browser's name of the session cookie.

    With such a prefix, browsers refuse the cookie from other hosts and over plain http. `__Host-`
    forbids a path, which the cookie needs if the service has only a part of its host.
    """
    if not is_https():
        return COOKIE
    return f"__Secure-{COOKIE}" if settings.load().prefix else f"__Host-{COOKIE}"


def read_token(scope: Any) -> str:
    """Return the token of the browser's session; empty if it has none."""
    return HTTPConnection(scope).cookies.get(cookie_name(), "")


def csrf_token(session: str) -> str:
    """Return the CSRF token of a session; only the session's own token leads to it."""
    return hmac.new(session.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hexdigest()


def set_cookie(token: str) -> str:
    """Return the `Set-Cookie` field for a session; an empty token deletes the cookie."""
    seconds = int(SESSION_LIFETIME.total_seconds()) if token else 0
    parts = [
        f"{cookie_name()}={token}",
        f"Path={settings.load().prefix or '/'}",
        f"Max-Age={seconds}",
        "HttpOnly",
        "SameSite=lax",
    ]
    return "; ".join(parts + ["Secure"] * is_https())
