"""The admin's cookies: the session, and the CSRF token that is bound to it.

Piccolo calls them `id` and `csrftoken`. They are translated in requests and responses, so that
browsers protect them better, and so that Piccolo's own check compares the CSRF token with the
session.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from icecream import settings

SESSION = "id"
# Piccolo's page reads this cookie under this name.
CSRF = "csrftoken"
Headers = list[tuple[bytes, bytes]]


def is_https() -> bool:
    """Return whether the public URL begins with https."""
    return urlsplit(settings.load().address).scheme == "https"


def session_cookie_name() -> str:
    """Return the browser's name of the session cookie.

    With such a prefix, browsers refuse the cookie from other hosts and over plain http. `__Host-`
    forbids a path, which the cookie needs if the service has only a part of its host.
    """
    if not is_https():
        return SESSION
    return f"__Secure-{SESSION}" if settings.load().prefix else f"__Host-{SESSION}"


def read_session(scope: Any) -> str:
    """Return the token of the browser's session; empty if it has none."""
    return HTTPConnection(scope).cookies.get(session_cookie_name(), "")


def csrf_token(session: str) -> str:
    """Return the CSRF token of a session; only the session's own token leads to it."""
    return hmac.new(session.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hexdigest()


def to_piccolo(scope: Any) -> Headers:
    """Return the header fields of a request with the cookies that Piccolo expects, and no others.

    With a session, the browser's CSRF cookie does not count: Piccolo compares the header field
    `X-CSRFToken` with the token of the session.
    """
    session, sent = read_session(scope), HTTPConnection(scope).cookies.get(CSRF)
    values = {SESSION: session, CSRF: csrf_token(session) if session else sent}
    cookie = "; ".join(f"{name}={value}" for name, value in values.items() if value)
    others = [field for field in scope["headers"] if field[0] != b"cookie"]
    return [*others, (b"cookie", cookie.encode("latin-1"))] if cookie else others


def to_browser(headers: Iterable[tuple[bytes, bytes]], scope: Any) -> Headers:
    """Return the header fields of a response, with our cookies instead of Piccolo's.

    Args:
        scope: the request, with the browser's cookies.
    """
    session, sent = read_session(scope), HTTPConnection(scope).cookies.get(CSRF)
    result: Headers = []
    for name, value in headers:
        key, _, rest = value.decode("latin-1").partition("=")
        if name != b"set-cookie" or key not in (SESSION, CSRF):
            result.append((name, value))
            continue
        if key == SESSION:
            session = rest.partition(";")[0].strip('"')
        result.append(_set_cookie(key, rest))
    if session and sent != csrf_token(session):
        result.append(_set_cookie(CSRF, f"{csrf_token(session)}; SameSite=lax"))
    return result


def _set_cookie(name: str, rest: str) -> tuple[bytes, bytes]:
    """Return the field for one cookie, restricted to our https host and to our path."""
    # The CSRF cookie ends with the browser's session.
    dropped = (
        ("path=", "secure") if name == SESSION else ("path=", "secure", "max-age=", "expires=")
    )
    value, *attributes = rest.split("; ")
    kept = [text for text in attributes if not text.lower().startswith(dropped)]
    public = session_cookie_name() if name == SESSION else name
    parts = [f"{public}={value}", f"Path={settings.load().prefix or '/'}", *kept]
    return b"set-cookie", "; ".join(parts + ["Secure"] * is_https()).encode("latin-1")
