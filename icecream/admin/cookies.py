"""The admin's cookies: the session, and the CSRF token that is bound to it.

Piccolo calls them `id` and `csrftoken`. They are translated in requests and responses, so that
browsers protect them better, and so that Piccolo's own check compares the CSRF token with the
session.
"""

from collections.abc import Iterable
from typing import Any

from starlette.requests import HTTPConnection

from icecream import settings
from icecream.accounts.http import sessions

# Piccolo's page reads this cookie under this name.
CSRF = "csrftoken"
Headers = list[tuple[bytes, bytes]]


def to_piccolo(scope: Any) -> Headers:
    """Return the header fields of a request with the cookies that Piccolo expects, and no others.

    With a session, the browser's CSRF cookie does not count: Piccolo compares the header field
    `X-CSRFToken` with the token of the session.
    """
    session, sent = sessions.read_token(scope), HTTPConnection(scope).cookies.get(CSRF)
    values = {
        sessions.COOKIE: session,
        CSRF: sessions.csrf_token(session) if session else sent,
    }
    cookie = "; ".join(f"{name}={value}" for name, value in values.items() if value)
    others = [field for field in scope["headers"] if field[0] != b"cookie"]
    return [*others, (b"cookie", cookie.encode("latin-1"))] if cookie else others


def to_browser(headers: Iterable[tuple[bytes, bytes]], scope: Any) -> Headers:
    """Return the header fields of a response, with our cookies instead of Piccolo's.

    Args:
        scope: the request, with the browser's cookies.
    """
    session, sent = sessions.read_token(scope), HTTPConnection(scope).cookies.get(CSRF)
    result: Headers = []
    for name, value in headers:
        key, _, rest = value.decode("latin-1").partition("=")
        if name != b"set-cookie" or key not in (sessions.COOKIE, CSRF):
            result.append((name, value))
            continue
        if key == sessions.COOKIE:
            session = rest.partition(";")[0].strip('"')
        result.append(_set_cookie(key, rest))
    if session and sent != sessions.csrf_token(session):
        result.append(_set_cookie(CSRF, f"{sessions.csrf_token(session)}; SameSite=lax"))
    return result


def _set_cookie(name: str, rest: str) -> tuple[bytes, bytes]:
    """Return the field for one cookie, restricted to our https host and to our path."""
    # The CSRF cookie ends with the browser's session.
    dropped = (
        ("path=", "secure")
        if name == sessions.COOKIE
        else ("path=", "secure", "max-age=", "expires=")
    )
    value, *attributes = rest.split("; ")
    kept = [text for text in attributes if not text.lower().startswith(dropped)]
    public = sessions.cookie_name() if name == sessions.COOKIE else name
    parts = [f"{public}={value}", f"Path={settings.load().prefix or '/'}", *kept]
    return b"set-cookie", "; ".join(parts + ["Secure"] * sessions.is_https()).encode("latin-1")
