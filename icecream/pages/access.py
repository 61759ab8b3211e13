"""Who may open a page: the signed-in user of the browser's session."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, Router
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from icecream import errors, settings
from icecream.accounts import users
from icecream.accounts.http import sessions
from icecream.http import problems
from icecream.pages import rendering
from icecream.tables import User

STAFF_ONLY = "This page is for staff. You are signed in as a customer."
SIGN_IN_PATH = "/sign-in/"
# A request for a page, or with a form of a page.
Call = Request[Any, Any, State]


class Visitor(Struct, frozen=True):
    """A signed-in user, and the token that every form of the user's pages has to send back."""

    user: User
    csrf: str


# The user of a page, in the arguments of a handler with the name `visitor`.
SignedIn = NamedDependency[Visitor]


async def load_visitor(request: Call) -> Visitor:
    """Return the user of the browser's session.

    Raises:
        errors.Unauthenticated: there is no session, or it has ended.
    """
    return await _find_visitor(request, is_use=True)


async def load_staff(request: Call) -> Visitor:
    """Return the user of the browser's session, who has to be staff.

    Raises:
        errors.Unauthenticated: there is no session, or it has ended.
        errors.Forbidden: the user is a customer.
    """
    return _require_staff(await _find_visitor(request, is_use=True))


async def require_staff(request: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Allow only staff; unlike opening a page, such a request does not extend the session.

    Raises:
        errors.Unauthenticated: there is no session, or it has ended.
        errors.Forbidden: the user is a customer.
    """
    _require_staff(await _find_visitor(request, is_use=False))


async def _find_visitor(request: ASGIConnection[Any, Any, Any, Any], *, is_use: bool) -> Visitor:
    session = sessions.read_token(request.scope)
    user = await users.find_session_user(session, is_use=is_use)
    if user is None:
        raise errors.Unauthenticated()
    return Visitor(user, sessions.csrf_token(session))


def _require_staff(visitor: Visitor) -> Visitor:
    if not visitor.user.admin:
        raise errors.Forbidden(STAFF_ONLY)
    return visitor


def sign_in_address(back: str) -> str:
    """Return the address of the sign-in page that leads back to an address."""
    return f"{settings.load().prefix}{SIGN_IN_PATH}?next={quote(back, safe='/')}"


def _sign_in_address_for(request: Call) -> str:
    prefix, scope = settings.load().prefix, request.scope
    if request.method != "GET":
        return prefix + SIGN_IN_PATH
    # As the browser sent it: Litestar removes the slash at the end of a path.
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    page = prefix + path.split("?")[0].removeprefix(prefix)
    return sign_in_address(page + (f"?{query}" if query else ""))


def error_page(request: Call, error: Exception) -> Response[Any]:
    """Return the page for any error; without a session, visitors are redirected to sign in."""
    refusal = problems.log_and_convert(request, error)
    if isinstance(refusal, errors.Unauthenticated):
        return rendering.redirect(_sign_in_address_for(request))
    page = rendering.render("pages/message.html", title=refusal.title(), message=refusal.detail)
    response = rendering.html_response(page, refusal.status)
    response.headers.update(refusal.headers)
    return response


def router(
    path: str, handlers: Sequence[ControllerRouterHandler], *, staff: bool = False
) -> Router:
    """Return a router for pages. Its handlers get the signed-in user as `visitor`."""
    return Router(
        path,
        route_handlers=handlers,
        dependencies={"visitor": Provide(load_staff if staff else load_visitor)},
        exception_handlers={Exception: error_page},
        include_in_schema=False,
        opt={"exclude_from_auth": True},
    )
