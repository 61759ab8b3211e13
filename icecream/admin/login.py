"""Access to Piccolo Admin: who may open its page, checks of request bodies, and our headers."""

from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.datastructures import MutableScopeHeaders
from litestar.types import Receive
from msgspec import Meta
from starlette.requests import Request as PiccoloRequest

from icecream import errors
from icecream.accounts import users
from icecream.accounts.http import sessions
from icecream.http import problems

# Vue sets styles on elements, and icons are data URLs. All other styles and scripts are files.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
ASSETS_PATH = "/admin/assets/"
# The names of these files contain a hash of their content.
CACHE_FOREVER = "public, max-age=31536000, immutable"
# The largest form, a flavor with its description, has a few kilobytes.
MAX_BODY_BYTES = 100_000
# A key is the name of an attribute, and names with a leading underscore are Python's own. The
# forms for signing in and for changing a password accept only text.
Members = dict[Annotated[str, Meta(pattern="^[a-z]")], Any]
MEMBERS_PATHS = ("/admin/api/tables/", "/admin/api/forms/")


async def is_signed_in_staff(scope: Any) -> bool:
    """Return whether the caller is signed in as an active staff user.

    Piccolo's own page finds this out with four refused requests, which the browser's console shows
    as errors.
    """
    user = await users.find_session_user(PiccoloRequest(scope).cookies.get(sessions.COOKIE, ""))
    return user is not None and user.admin


async def read_json_object(receive: Receive, path: str) -> tuple[dict[str, Any], Receive]:
    """Read the body, which must be a JSON object; return it, and a `receive` that replays it."""
    kind: Any = Members if path.startswith(MEMBERS_PATHS) else dict[str, str]
    body = b""
    has_more = True
    while has_more:
        message: Any = await receive()
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise errors.PayloadTooLarge()
    try:
        members: dict[str, Any] = msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = "The body is not a valid JSON object for this request."
        raise errors.ValidationFailed("", "malformed", detail) from None
    messages: list[Any] = [{"type": "http.request", "body": body}]

    async def replay() -> Any:
        return messages.pop() if messages else await receive()

    return members, replay


def refuse_foreign_page(scope: Any) -> None:
    """Refuse a request that the page of another origin sends.

    Raises:
        errors.Forbidden: the browser says so. (Older browsers say nothing; Piccolo checks the CSRF
            token in any case, and with https the origin too.)
    """
    site = PiccoloRequest(scope).headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none"):
        raise errors.Forbidden("Another page sent this request.")


def respond_with_text(request: Request[Any, Any, Any], refusal: errors.Refusal) -> Response[str]:
    """Return a refusal as plain text, because Piccolo's page shows only text."""
    if isinstance(refusal, errors.Forbidden):
        problems.log_refusal(request.scope, refusal)
    return Response(
        refusal.detail,
        status_code=refusal.status,
        headers=refusal.headers,
        media_type=MediaType.TEXT,
    )


def add_headers(message: Any, path: str) -> None:
    """Add our headers to the start of a response."""
    headers = MutableScopeHeaders.from_message(message)
    headers["Content-Security-Policy"] = CSP
    if path.startswith(ASSETS_PATH) and message["status"] == 200:
        headers["Cache-Control"] = CACHE_FOREVER
