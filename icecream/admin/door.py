"""What stands before Piccolo Admin: a page to sign in, whole bodies, and our headers."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.datastructures import MutableScopeHeaders
from litestar.types import Receive
from msgspec import Meta
from starlette.requests import Request as PiccoloRequest
from starlette.responses import HTMLResponse

from icecream import accounts, edge, errors

# Vue sets styles on elements, and icons come as data; the rest is two files beside Piccolo.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The names of these hold a hash of what is in them.
ASSETS, FOREVER = "/admin/assets/", "public, max-age=31536000, immutable"
# A flavor with its description has some kilobytes.
LARGEST_BODY = 100_000
# A key names an attribute, of which those with an underscore are Python's. Signing in and changing
# one's password take text alone.
Members = dict[Annotated[str, Meta(pattern="^[a-z]")], Any]
OF_MEMBERS = ("/admin/api/tables/", "/admin/api/forms/")
SIGN_IN = "/admin/sign-in/"
PAGE = edge.beneath_prefix((Path(__file__).parent / "sign-in.html").read_text())
# As Piccolo calls the one with the session.
COOKIE = "id"


async def sign_in(_: PiccoloRequest) -> HTMLResponse:
    """A page of our own, among Piccolo's routes because of the cookie that its login asks for."""
    return HTMLResponse(PAGE)


async def knows(scope: Any) -> bool:
    """Whether the caller is signed in, as an active member of staff.

    Piccolo's own page learns that from being refused, four times, and the browser's console tells
    of each as of an error.
    """
    user = await accounts.of_session(PiccoloRequest(scope).cookies.get(COOKIE, ""))
    return user is not None and user.admin


async def whole(receive: Receive, path: str) -> Receive:
    """The body, read to its end and found to be a JSON object that fits, to be received again."""
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
    """A refusal as plain text, of which Piccolo's page shows the words alone."""
    return Response(
        refusal.detail,
        status_code=refusal.status,
        headers=refusal.headers,
        media_type=MediaType.TEXT,
    )


def _kept_in(cookie: bytes, *, https: bool, prefix: str) -> bytes:
    """A cookie of Piccolo's, which is sent to us alone."""
    if https and b"Secure" not in cookie:
        # Piccolo leaves it out of the cookie with the CSRF token.
        cookie += b"; Secure"
    return cookie.replace(b"Path=/", f"Path={prefix}".encode()) if prefix else cookie


def protect(message: Any, path: str, *, https: bool, prefix: str) -> None:
    """Give the start of an answer our headers."""
    message["headers"] = [
        (name, _kept_in(value, https=https, prefix=prefix) if name == b"set-cookie" else value)
        for name, value in message["headers"]
    ]
    headers = MutableScopeHeaders.from_message(message)
    headers["Content-Security-Policy"] = CSP
    if path.startswith(ASSETS) and message["status"] == 200:
        headers["Cache-Control"] = FOREVER
