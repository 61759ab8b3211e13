"""Piccolo Admin for staff: loads files only from our own host, and follows the rules of the API."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
from litestar import asgi
from litestar.enums import ScopeType
from litestar.handlers import ASGIRouteHandler
from litestar.types import Message, Receive, Scope, Send
from starlette.requests import Request as PiccoloRequest
from starlette.responses import RedirectResponse

from icecream import errors, settings, tables
from icecream.accounts.http import sessions
from icecream.admin import cookies, login
from icecream.http import bodies, problems, rate_limits
from icecream.orders import placing
from icecream.pages import access
from icecream.runtime import garbage_collection
from icecream.runtime.logs import security

log = logging.getLogger(__name__)
# Piccolo's other pages load files from other hosts, and staff sign in where shops do.
DOCS_PATHS = ("/admin/api/docs", "/admin/public/docs")
LOGIN_PATH = "/admin/public/login"
SIGN_IN_PATHS = (LOGIN_PATH, "/admin/public/logout")
PASSWORD_PATH = "/admin/api/change-password"  # nosec B105  # an address
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Errors for values in a table's URL that do not fit the column: too big, wrong type, not text.
INVALID_VALUE_ERRORS = (
    ValueError,
    OverflowError,
    asyncpg.DataError,
    asyncpg.UndefinedFunctionError,
)


def _build(host: str, *, https: bool, notify: placing.NotifyWorkers) -> Any:
    # Importing Piccolo Admin takes as long as the other imports together, and 25 MB.
    with garbage_collection.paused():
        from icecream.admin import piccolo_site

        return piccolo_site.build_admin(host, https=https, notify=notify)


def _build_at_first_use(build: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    """Build the admin in a thread at its first use, while other requests continue."""
    built: list[Any] = []
    building = asyncio.Lock()

    async def get() -> Any:
        async with building:
            if not built:
                built.append(await asyncio.to_thread(build))
        return built[0]

    return get


async def _find_redirect(call: Any, path: str, *, home: str) -> RedirectResponse | None:
    """Return the redirect to the admin's page, or to the page for signing in, if it is due."""
    if path == "/admin":
        return RedirectResponse(home, 308)
    if call["method"] not in SAFE_METHODS:
        return None
    if path.startswith(SIGN_IN_PATHS):
        return RedirectResponse(home, 303)
    if path == "/admin/" and not await login.is_signed_in_staff(call):
        return RedirectResponse(access.sign_in_address(home), 303)
    return None


async def _read_body(call: Any, path: str, receive: Receive) -> tuple[str | None, Receive]:
    """Check a body, and count the check of a password.

    Returns:
        The name whose password Piccolo will check, and a `receive` that replays the body.
    """
    bodies.refuse_content_encoding(PiccoloRequest(call).headers.get("content-encoding"))
    members, receive = await login.read_json_object(receive, path)
    name: str | None = None
    if path.startswith(LOGIN_PATH):
        name = str(members.get("username", ""))
    elif path.startswith(PASSWORD_PATH):
        # The form also checks the current password, so guesses must be limited.
        name = "change password"
    if name is not None:
        await rate_limits.begin_login(name, call)
    return name, receive


async def _conclude(scope: Scope, path: str, status: int, checked_name: str | None) -> None:
    """Do what follows from Piccolo's response to a request."""
    if status == HTTPStatus.FORBIDDEN:
        problems.log_refusal(scope, errors.Forbidden())
    if checked_name is not None and status < HTTPStatus.BAD_REQUEST:
        await rate_limits.end_login(checked_name, scope)
        if path.startswith(LOGIN_PATH):
            security.log_event("signed-in", account=checked_name, session="admin")
            # A sign-in ends the older session of this browser.
            await tables.Session.remove_session(sessions.read_token(scope))


def mount(notify: placing.NotifyWorkers) -> ASGIRouteHandler:
    """Return the handler of Piccolo Admin for all paths below `/admin`.

    Building the admin takes as long as the rest of the start, and most processes never use it.
    `notify` notifies the workers of payments.
    """
    host = urlsplit(settings.load().address).hostname or ""
    build = partial(_build, host, https=sessions.is_https(), notify=notify)
    piccolo = _build_at_first_use(build)

    @asgi(
        "/admin",
        is_mount=True,
        copy_scope=True,
        exception_handlers={errors.Refusal: login.respond_with_text},
        exclude_from_auth=True,
        any_query=True,
    )
    async def admin(scope: Scope, receive: Receive, send: Send) -> None:
        # Litestar removes the mount's path, but Starlette expects the full path.
        prefix = scope["root_path"]
        path = unquote(scope["raw_path"].split(b"?")[0].decode("latin-1")).removeprefix(prefix)
        call: Any = scope | {
            "path": prefix + path,
            "root_path": f"{prefix}/admin",
            "headers": cookies.to_piccolo(scope),
        }
        # The name whose password this request lets Piccolo check.
        checked_name: str | None = None

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = cookies.to_browser(message["headers"], scope)
                login.add_headers(message, path)
                await _conclude(scope, path, message["status"], checked_name)
            await send(message)

        if path.startswith(DOCS_PATHS) or scope["type"] != ScopeType.HTTP:
            raise errors.NotFound()
        redirect: Any = await _find_redirect(call, path, home=f"{prefix}/admin/")
        if redirect is not None:
            await redirect(call, receive, send)
            return
        rate_limits.log_address(call)
        if scope["method"] not in SAFE_METHODS:
            login.refuse_foreign_page(call)
            checked_name, receive = await _read_body(call, path, receive)
        app = await piccolo()
        try:
            await app(call, receive, protected)
        except INVALID_VALUE_ERRORS as error:
            log.info("Refused a value in a table's URL: %r", error)
            detail = "A value in the address does not fit its column."
            raise errors.ValidationFailed("", "invalid", detail) from None

    return admin
