"""Signing in to the pages and signing out, for staff and for shops."""

import re
from typing import Any

from litestar import Response, Router, get, post

from icecream import errors, settings
from icecream.accounts.http import sessions
from icecream.http import rate_limits
from icecream.pages import access, forms, rendering
from icecream.runtime.logs import security
from icecream.tables import Session, User

WRONG = "No account has this name and password."
# A path on our host, as a header field can have it: addresses have no other characters. A browser
# reads two slashes, or a backslash, as the start of another host.
NEXT_PATTERN = re.compile(r"/(?!/)[!-\[\]-~]*")


def home_page(user: User) -> str:
    """Return the address of the page that this user works with."""
    return settings.load().prefix + ("/dashboard/" if user.admin else "/shop/")


def _sign_in_page(next_page: str, error: str = "", status: int = 200) -> Response[str]:
    page = rendering.render("pages/sign-in.html", next_page=next_page, error=error)
    return rendering.html_response(page, status)


@get("/sign-in/", any_query=True)
async def show_sign_in(request: access.Call) -> Response[str]:
    """Return the page; `next` in its query is the page to open afterwards."""
    return _sign_in_page(request.query_params.get("next", ""))


@post("/sign-in/")
async def sign_in(request: access.Call) -> Response[Any]:
    """Begin a session, and open the page that asked for it."""
    fields = await forms.read_fields(request)
    name, password, next_page = (
        str(fields.get(field, "")) for field in ("username", "password", "next")
    )
    rate_limits.log_address(request.scope)
    try:
        user = await _check_password(request, name, password)
    except (errors.QuotaExceeded, errors.Unavailable) as refusal:
        response = _sign_in_page(next_page, refusal.detail, refusal.status)
        response.headers.update(refusal.headers)
        return response
    if user is None:
        return _sign_in_page(next_page, WRONG, 401)
    # A sign-in ends the older session of this browser.
    await Session.remove_session(sessions.read_token(request.scope))
    session = await Session.create_session(user.id)
    security.log_event("signed-in", account=user.username, session="pages")
    page = next_page if NEXT_PATTERN.fullmatch(next_page) else home_page(user)
    redirect = rendering.redirect(page)
    redirect.headers["Set-Cookie"] = sessions.set_cookie(session.token)
    return redirect


async def _check_password(request: access.Call, name: str, password: str) -> User | None:
    """Return the account with this name and password.

    Raises:
        errors.QuotaExceeded: there were too many attempts.
        errors.Unavailable: too many passwords are waiting to be checked.
    """
    await rate_limits.begin_login(name, request.scope)
    user_id = await User.login(name, password)
    if user_id is None:
        return None
    await rate_limits.end_login(name, request.scope)
    return await User.objects().where(User.id == user_id).first()


@post("/sign-out/")
async def sign_out(request: access.Call, visitor: access.SignedIn) -> Response[None]:
    """End the session of this browser."""
    await forms.read_own_fields(request, visitor)
    await Session.remove_session(sessions.read_token(request.scope))
    redirect = rendering.redirect(settings.load().prefix + access.SIGN_IN_PATH)
    redirect.headers["Set-Cookie"] = sessions.set_cookie("")
    return redirect


router = Router(
    "/",
    route_handlers=[access.router("/", [sign_out]), show_sign_in, sign_in],
    exception_handlers={Exception: access.error_page},
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)
