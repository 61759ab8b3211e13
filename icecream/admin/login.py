"""The entrance to Piccolo Admin: a sign-in page, complete bodies, and our headers."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.datastructures import MutableScopeHeaders
from litestar.types import Receive
from msgspec import Meta
from starlette.requests import Request as PiccoloRequest
from starlette.responses import HTMLResponse

from icecream import errors
from icecream.accounts import users
from icecream.http import middleware

# Vue sets styles on elements, and icons are data URLs; the rest is in two files of Piccolo.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The names of these files contain a hash of their content.
ASSETS, FOREVER = "/admin/assets/", "public, max-age=31536000, immutable"
# A flavor with its description has a few kilobytes.
LARGEST_BODY = 100_000
# A key is the name of an attribute, and names with a leading underscore are Python's own. The
# forms for signing in and for changing a password accept only text.
Members = dict[Annotated[str, Meta(pattern="^[a-z]")], Any]
OF_MEMBERS = ("/admin/api/tables/", "/admin/api/forms/")
SIGN_IN = "/admin/sign-in/"
PAGE = middleware.beneath_prefix((Path(__file__).parent / "sign-in.html").read_text())
# The name of Piccolo's session cookie.
COOKIE = "id"


async def sign_in(_: PiccoloRequest) -> HTMLResponse:
    """Return our sign-in page, as a Piccolo route: the login requires Piccolo's CSRF cookie."""
    return HTMLResponse(PAGE)


async def knows(scope: Any) -> bool:
    """Return whether the caller is signed in as an active member of staff.

    Piccolo's own page finds that out by four refused requests, and the browser's console shows each
    as an error.
    """
    user = await users.of_session(PiccoloRequest(scope).cookies.get(COOKIE, ""))
    return user is not None and user.admin


async def whole(receive: Receive, path: str) -> Receive:
    """Read the whole body, check that it is a valid JSON object, and return a receive for it."""
    kind: Any = Members if path.startswith(OF_MEMBERS) else dict[str, str]
    body, more = b"", True
    while more:
        message: Any = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > LARGEST_BODY:
            raise errors.PayloadTooLarge()
    try:
        msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = "The body is not such a JSON object."
        raise errors.ValidationFailed("", "malformed", detail) from None
    left: list[Any] = [{"type": "http.request", "body": body}]

    async def again() -> Any:
        return left.pop() if left else await receive()

    return again


def told(_: Request[Any, Any, Any], refusal: errors.Refusal) -> Response[str]:
    """Return a refusal as plain text, because Piccolo's page shows only text."""
    return Response(
        refusal.detail,
        status_code=refusal.status,
        headers=refusal.headers,
        media_type=MediaType.TEXT,
    )


def _kept_in(cookie: bytes, *, https: bool, prefix: str) -> bytes:
    """Restrict one of Piccolo's cookies to our HTTPS host and path."""
    if https and b"Secure" not in cookie:
        # Piccolo leaves it out of the cookie with the CSRF token.
        cookie += b"; Secure"
    return cookie.replace(b"Path=/", f"Path={prefix}".encode()) if prefix else cookie


def protect(message: Any, path: str, *, https: bool, prefix: str) -> None:
    """Add our headers to the start of a response."""
    message["headers"] = [
        (name, _kept_in(value, https=https, prefix=prefix) if name == b"set-cookie" else value)
        for name, value in message["headers"]
    ]
    headers = MutableScopeHeaders.from_message(message)
    headers["Content-Security-Policy"] = CSP
    if path.startswith(ASSETS) and message["status"] == 200:
        headers["Cache-Control"] = FOREVER
