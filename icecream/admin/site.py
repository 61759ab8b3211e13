"""Piccolo Admin for staff: served only from our own host, with the rules of the API."""

import asyncio
import gc
import logging
import warnings
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
from litestar import asgi
from litestar.enums import ScopeType
from litestar.handlers import ASGIRouteHandler
from litestar.types import Message, Receive, Scope, Send
from piccolo.columns import JSON, Column
from piccolo.table import Table
from piccolo_admin.endpoints import TableConfig, create_admin
from piccolo_api.crud.endpoints import OrderBy, PiccoloCRUD
from piccolo_api.crud.hooks import Hook, HookType
from piccolo_api.crud.validators import Validators
from piccolo_api.rate_limiting.middleware import InMemoryLimitProvider
from starlette.exceptions import HTTPException
from starlette.requests import Request as PiccoloRequest
from starlette.responses import RedirectResponse

from icecream import errors, settings, tables
from icecream.admin import forms, login, rules
from icecream.http import bodies, middleware, rate_limits
from icecream.orders import placing

log = logging.getLogger(__name__)
# These log every refusal with a traceback; unexpected errors are logged where they are handled.
for _name in ("piccolo_admin.endpoints", "piccolo_api.crud.exceptions"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
# Both warnings are known: http is for local use, and SQLite's LIKE ignores case by default.
warnings.filterwarnings("ignore", "If running sessions in production")
warnings.filterwarnings("ignore", ".*SQLite doesn't support ILIKE")

# Piccolo's other pages load files from other hosts, and staff sign in at /admin/.
DOCS = ("/admin/api/docs", "/admin/public/docs")
FORMS = ("/admin/public/login", "/admin/public/logout", "/admin/sign-in")
PASSWORD = "/admin/api/change-password"
SAFE = ("GET", "HEAD", "OPTIONS")
# Errors for values in a table's URL that do not fit the column: too big, wrong type, not text.
UNFIT = (ValueError, OverflowError, asyncpg.DataError, asyncpg.UndefinedFunctionError)
AT_MOST = {"limit": 1000, "offset": 10**9, "__page_size": 1000, "__page": 10**6}

FIXED = "This is written by the service alone: here it can be read, not changed."
KEPT = "Orders refer to {}, so none is deleted or replaced: {} instead."
WRITES = ("post_single", "patch_single", "put_single", "delete_single", "delete_all")


def _as_sent(_: PiccoloCRUD, data: dict[str, Any]) -> dict[str, Any]:
    """Keep the word "null" as text: Piccolo treats it as null, but a name may be that word."""
    return data


# Piccolo has no setting for this.
PiccoloCRUD._clean_data = _as_sent  # type: ignore[assignment,method-assign]  # replaced on purpose


def bounded(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
    """Refuse parameters that Piccolo treats as "all rows", such as a page of -1 rows."""
    for name, most in AT_MOST.items():
        given = request.query_params.getlist(name)
        if len(given) > 1 or not all(n.isascii() and n.isdigit() and int(n) <= most for n in given):
            raise HTTPException(400, f"{name} is a whole number up to {most}.")
    if not request.query_params.get("__range_header_name", "x").isalnum():
        raise HTTPException(400, "__range_header_name holds letters and digits.")
    shown = request.query_params.get("__visible_fields", "").split(",")
    if any(column._meta.secret and column._meta.name in shown for column in _columns(piccolo_crud)):
        raise HTTPException(400, "__visible_fields names a secret.")


def _columns(piccolo_crud: PiccoloCRUD) -> list[Column]:
    return piccolo_crud.table._meta.columns


def limited(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
    """Refuse to list the names of all rows at once."""
    if "limit" not in request.query_params:
        raise HTTPException(400, "limit is required.")


def _without(calls: tuple[str, ...], why: str) -> Validators:
    def refuse(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
        raise HTTPException(405, why)

    refused: dict[str, Any] = {call: [refuse] for call in calls}
    return Validators(every=[bounded], get_ids=[limited], **refused)


def _shown(
    group: str, table: type[Table], names: str, *, by: str = "-id", **options: Any
) -> TableConfig:
    """Return the configuration of a read-only table, with filters for its visible columns."""
    columns = [table._meta.get_column_by_name(name) for name in names.split()]
    first = table._meta.get_column_by_name(by.lstrip("-"))
    return TableConfig(
        table,
        visible_columns=columns,
        visible_filters=[column for column in columns if not isinstance(column, JSON)],
        order_by=[OrderBy(first, ascending=not by.startswith("-"))],
        menu_group=group,
        **{"validators": _without(WRITES, FIXED)} | options,
    )


def _tables() -> list[TableConfig]:
    user: dict[str, Any] = {
        "link_column": rules.Account.username,
        "validators": _without(WRITES[2:], KEPT.format("users", "make it inactive")),
        "hooks": [Hook(HookType.pre_patch, rules.edit_user)],
    }
    flavor: dict[str, Any] = {
        "validators": _without(WRITES[2:], KEPT.format("flavors", "archive it")),
        "hooks": [
            Hook(HookType.pre_save, rules.add_flavor),
            Hook(HookType.pre_patch, rules.edit_flavor),
        ],
    }
    people, things = "username email active admin superuser", "id name price stock archived version"
    order = "id user status total refunded currency created_at"
    payment = "id order kind n state amount moved last_error tries first_sent_at provider_ref"
    sums = "status quantity orders revenue refunded"
    return [
        _shown("Accounts", rules.Account, people, by="username", **user),
        _shown("Catalogue", tables.Flavor, things, by="name", **flavor),
        _shown("Catalogue", tables.StockMove, "id flavor quantity why by at"),
        _shown("Orders", tables.Order, order),
        _shown("Orders", tables.OrderLine, "id order flavor quantity unit_price refunded"),
        _shown("Orders", tables.Event, "id order seq type payload by at"),
        _shown("Orders", tables.IdempotencyKey, "id user key order status created_at"),
        _shown("Money", tables.Payment, payment),
        _shown("Money", tables.Job, "id kind subject run_at tries"),
        _shown("Money", tables.Notice, "id provider event key reference received_at applied_at"),
        _shown("Totals", tables.FlavorTotal, f"id flavor {sums}"),
        _shown("Totals", tables.FlavorDay, f"id flavor day {sums}", by="-day"),
        _shown("Totals", tables.CustomerDay, f"id user day {sums}", by="-day"),
        _shown("Totals", tables.DayTotal, f"id day {sums}", by="-day"),
    ]


NAME = "Ice Cream Distribution"
LINKS = {
    "Dashboard": "/dashboard/",
    "Pending orders": "/admin/#/orders?status=pending",
    "Parked payments": "/admin/#/payment?state=parked",
    "API docs": "/schema",
    "Front page": "/",
}
_links = "".join(f'<a href="{address}">{name}</a>' for name, address in LINKS.items())
# HTML that is inserted into Piccolo's page, by the text before which it goes. Piccolo itself shows
# links below all tables and forms, but none next to an open form. Without an icon, the page would
# request /favicon.ico. Piccolo's menu links to a page for a second factor, which exists only with a
# provider for it.
ADDED = {
    "</head>": """<link rel="icon" href="data:,"><style>
#links { display: flex; gap: 0 1.5rem; overflow-x: auto; padding: 0 1rem; background: #23507a; }
li:has(> a[href="./api/mfa-setup/"]) { display: none !important; }
#links a { padding: 0.6rem 0; color: #fff; font: 0.95rem sans-serif; white-space: nowrap; }
</style>""",
    '<div id="app">': f'<nav id="links" aria-label="Links">{_links}</nav>',
}


def _build(host: str, *, https: bool, ring: placing.NotifyWorkers) -> Any:
    piccolo = create_admin(
        _tables(),
        forms=forms.configs(ring),
        auth_table=rules.Account,
        session_table=tables.Session,
        auto_include_related=False,
        site_name=NAME,
        production=https,
        allowed_hosts=[host],
        # Without a duration, a blocked client stays blocked until the next start.
        rate_limit_provider=InMemoryLimitProvider(limit=20, timespan=300, block_duration=300),
    )
    piccolo.form_config_map = forms.ByAddress(piccolo.form_config_map)
    piccolo.router.add_route(login.SIGN_IN.removeprefix("/admin"), login.sign_in, methods=["GET"])
    piccolo.template = piccolo.template.replace("Piccolo Admin", NAME)
    for place, text in ADDED.items():
        piccolo.template = piccolo.template.replace(place, middleware.beneath_prefix(text) + place)
    # As in `app`: these objects live as long as the process.
    gc.freeze()
    return piccolo


def _at_first_need(build: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    """Build the admin in a thread at its first use, while other requests continue."""
    built: list[Any] = []
    building = asyncio.Lock()

    async def have() -> Any:
        async with building:
            if not built:
                built.append(await asyncio.to_thread(build))
        return built[0]

    return have


def mount(ring: placing.NotifyWorkers) -> ASGIRouteHandler:
    """Return the handler of Piccolo Admin for all paths below `/admin`.

    Building the admin takes as long as the rest of the start, and most processes never need it.
    `ring` notifies the workers of payments.
    """
    address = urlsplit(settings.load().address)
    https = address.scheme == "https"
    build = partial(_build, address.hostname or "", https=https, ring=ring)
    piccolo = _at_first_need(build)

    @asgi(
        "/admin",
        is_mount=True,
        copy_scope=True,
        exception_handlers={errors.Refusal: login.told},
        exclude_from_auth=True,
        uncounted=True,
        any_query=True,
    )
    async def admin(scope: Scope, receive: Receive, send: Send) -> None:
        # Litestar removes the mount's path, but Starlette expects the full path.
        prefix = scope["root_path"]
        path = unquote(scope["raw_path"].split(b"?")[0].decode("latin-1")).removeprefix(prefix)
        call: Any = scope | {"path": prefix + path, "root_path": f"{prefix}/admin"}

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                login.protect(message, path, https=https, prefix=prefix)
            await send(message)

        if path.startswith(DOCS) or scope["type"] != ScopeType.HTTP:
            raise errors.NotFound()
        if path == "/admin" or (path.startswith(FORMS) and scope["method"] in SAFE):
            status = 308 if path == "/admin" else 303
            away: Any = RedirectResponse(f"{prefix}/admin/", status)
            await away(call, receive, send)
            return
        if scope["method"] not in SAFE:
            if path.startswith(PASSWORD):
                # The form also checks the present password, so guesses must be limited.
                rate_limits.count_login("change password", rate_limits.address(scope))
            bodies.require_plain(PiccoloRequest(call).headers.get("content-encoding"))
            receive = await login.whole(receive, path)
        app = await piccolo()
        try:
            if path == "/admin/" and not await login.knows(call):
                call["path"] = prefix + login.SIGN_IN
            await app(call, receive, protected)
        except UNFIT as error:
            log.info("Refused: %r", error)
            raise errors.ValidationFailed("", "invalid", str(error)) from None

    return admin
