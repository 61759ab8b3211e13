"""Piccolo Admin for staff: from our own host alone, and held to the rules of the API."""

import logging
import warnings
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec
from litestar import MediaType, Request, Response, asgi
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.handlers import ASGIRouteHandler
from litestar.types import Message, Receive, Scope, Send
from msgspec import Meta, Struct
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

from icecream import accounts, database, errors, flavors, passwords, settings, tables
from icecream.tables import Event, Flavor, Order, OrderLine, Payment, User

log = logging.getLogger(__name__)
# They log every refusal with a traceback; what nobody expected is logged where it ends up.
for _name in ("piccolo_admin.endpoints", "piccolo_api.crud.exceptions"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", "If running sessions in production")

# Vue sets styles on elements, and icons come as data; the rest is two files beside Piccolo.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The names of these hold a hash of what is in them.
ASSETS, FOREVER = "/admin/assets/", "public, max-age=31536000, immutable"
# Piccolo's other pages load from elsewhere; its one page has its own login.
DOCS = ("/admin/api/docs", "/admin/public/docs")
FORMS = ("/admin/public/login", "/admin/public/logout")
SAFE = ("GET", "HEAD", "OPTIONS")
# A flavor with its description has some kilobytes.
LARGEST_BODY = 100_000
# A key names an attribute, of which those with an underscore are Python's.
Members = dict[Annotated[str, Meta(pattern="^[a-z]")], Any]
# What the tables' URLs may hold that fits no column: too big, of another type, not text.
UNFIT = (ValueError, OverflowError, asyncpg.DataError, asyncpg.UndefinedFunctionError)
AT_MOST = {"limit": 1000, "offset": 10**9, "__page_size": 1000, "__page": 10**6}

FIXED = "This is written by the service alone: here it can be read, not changed."
KEPT = "Orders refer to {}, so none is deleted or replaced: {} instead."
STOCK = "Stock moves by orders and receipts only."
WRITES = ("post_single", "patch_single", "put_single", "delete_single", "delete_all")

Line = Annotated[str, Meta(max_length=255, pattern=accounts.NAME)]
Text = Annotated[str, Meta(max_length=10_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")]


class Person(Struct):
    """What a user may be called."""

    username: accounts.Username
    first_name: Line | None = None
    last_name: Line | None = None
    email: Line | None = None
    payment_method: Line | None = None


class EditedFlavor(flavors.NewFlavor):
    """A flavor as staff may write it."""

    description: Text = ""
    archived: bool = False


class Account(User, tablename="users"):
    """A user as the admin knows one: only staff sign in, and hashing stays off the loop."""

    @classmethod
    async def login(cls, username: str, password: str) -> int | None:
        """The id of the active member of staff with that password."""
        try:
            given = msgspec.convert((username, password), tuple[accounts.Username, str])
        except msgspec.ValidationError:
            return None
        user = await super().login(*given)
        staff = user is not None and await cls.exists().where(cls.id == user, cls.admin.eq(True))
        return user if staff else None

    @classmethod
    async def update_password(cls, user: int | str, password: str) -> None:
        """Set it as the command line does: the user is then signed out everywhere."""
        await accounts.set_password(int(user), _plain(password))

    @classmethod
    async def create_user(cls, username: str, password: str, **others: Any) -> "Account":
        """Add a user."""
        values = others | _checked({"username": username} | others, Person)
        user = cls(**values, password=await passwords.hashed(_plain(password)))
        try:
            await user.save()
        except database.REFUSED:
            raise errors.Conflict("The name or the email is taken.") from None
        return user


# What links to a user, as far as it is shown.
Account._meta._foreign_key_references = [
    key for key in User._meta.foreign_key_references if key._meta.table is not tables.RefreshToken
]


def _plain(password: Any) -> str:
    if not isinstance(password, str) or password.startswith("pbkdf2_sha256"):
        raise ValueError("Send the password itself, not its hash.")
    return password


def _checked(values: dict[str, Any], rules: type[Struct]) -> dict[str, Any]:
    """Those of the values that the rules know, normalised."""
    known = {name: values[name] for name in rules.__struct_fields__ if name in values}
    try:
        return msgspec.structs.asdict(msgspec.convert(known, rules))
    except msgspec.ValidationError as error:
        what, _, name = str(error).replace("`", "").partition(" - at $.")
        raise errors.ValidationFailed(f"/{name}", "invalid", f"{name}: {what}.") from None


async def _change(
    table: type[Table], row_id: int, values: dict[Column, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row as it is, and what is to change in it."""
    row = await table.select().where(table._meta.primary_key == row_id).first()
    return row or {}, {column._meta.name: value for column, value in values.items()}


async def add_flavor(row: Flavor) -> Flavor:
    """Hold a new flavor to the rules of the API."""
    if row.stock is not None or row.version != 1:
        raise errors.ValidationFailed("/stock", "read-only", f"Leave the stock empty. {STOCK}")
    price = settings.load().default_price if row.price is None else row.price
    new = _checked(row.to_dict() | {"price": price}, EditedFlavor)
    row.name, row.price = new["name"], new["price"]
    return row


async def edit_flavor(row_id: int, values: dict[Column, Any]) -> dict[str, Any]:
    """Hold an edit to the rules of the API, and count it.

    The form sends all columns, so that those which are nobody's to edit may come unchanged.
    """
    row, sent = await _change(Flavor, row_id, values)
    if sent.pop("stock", row["stock"]) != row["stock"]:
        raise errors.Conflict(f"{STOCK} It is {row['stock']} now; load the page again.")
    if sent.pop("version", row["version"]) != row["version"]:
        raise errors.Conflict("This flavor was edited after the page was loaded; load it again.")
    new = _checked(row | sent, EditedFlavor)
    edited = {name: new[name] for name in sent if name != "id"}
    return edited | {"version": Flavor.version + 1}


async def edit_user(row_id: int, values: dict[Column, Any]) -> dict[str, Any]:
    """Hold an edit to the rules; a new password, or becoming inactive, signs the user out."""
    row, sent = await _change(User, row_id, values)
    password = sent.pop("password", None)
    new = row | sent | _checked(row | sent, Person)
    if not (new["active"] and new["admin"] and new["superuser"]):
        await _spare_the_last(row_id)
    if password:
        await accounts.set_password(row_id, _plain(password))
    if not new["active"]:
        await accounts.disable(row_id)
    # An update must set something, if only the id to what it is.
    return {name: new[name] for name in sent} | {"id": row_id}


async def _spare_the_last(row_id: int) -> None:
    others = (User.active.eq(True), User.admin.eq(True), User.superuser.eq(True))
    if not await User.exists().where(User.id != row_id, *others):
        raise errors.Conflict("This is the last active superuser; make another one first.")


def bounded(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
    """Refuse what Piccolo takes for everything there is, such as a page of -1 rows."""
    for name, most in AT_MOST.items():
        given = request.query_params.getlist(name)
        if len(given) > 1 or not all(n.isascii() and n.isdigit() and int(n) <= most for n in given):
            raise HTTPException(400, f"{name} is a whole number up to {most}.")


def limited(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
    """Refuse to name all rows at once."""
    if "limit" not in request.query_params:
        raise HTTPException(400, "limit is required.")


def _without(calls: tuple[str, ...], why: str) -> Validators:
    def refuse(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
        raise HTTPException(405, why)

    refused: dict[str, Any] = {call: [refuse] for call in calls}
    return Validators(every=[bounded], get_ids=[limited], **refused)


def _shown(group: str, *columns: Column, **options: Any) -> TableConfig:
    """A table that can only be read, the newest rows first, with filters for what it shows."""
    table = columns[0]._meta.table
    filters = [column for column in columns if not isinstance(column, JSON)]
    newest = [OrderBy(table._meta.primary_key, ascending=False)]
    defaults: dict[str, Any] = {"order_by": newest, "validators": _without(WRITES, FIXED)}
    return TableConfig(
        table,
        visible_columns=list(columns),
        visible_filters=filters,
        menu_group=group,
        **defaults | options,
    )


def _tables() -> list[TableConfig]:
    u, f, m, o, n = Account, Flavor, tables.StockMove, Order, OrderLine
    e, k, p, j = Event, tables.IdempotencyKey, Payment, tables.Job
    t, d, a = tables.FlavorTotal, tables.FlavorDay, tables.DayTotal
    of_users: dict[str, Any] = {
        "link_column": u.username,
        "order_by": [OrderBy(u.username)],
        "validators": _without(WRITES[2:], KEPT.format("users", "make it inactive")),
        "hooks": [Hook(HookType.pre_patch, edit_user)],
    }
    of_flavors: dict[str, Any] = {
        "order_by": [OrderBy(f.name)],
        "validators": _without(WRITES[2:], KEPT.format("flavors", "archive it")),
        "hooks": [Hook(HookType.pre_save, add_flavor), Hook(HookType.pre_patch, edit_flavor)],
    }
    latest = {"order_by": [OrderBy(d.day, ascending=False)]}
    return [
        _shown("Accounts", u.username, u.email, u.active, u.admin, u.superuser, **of_users),
        _shown("Catalogue", f.id, f.name, f.price, f.stock, f.archived, f.version, **of_flavors),
        _shown("Catalogue", m.id, m.flavor, m.quantity, m.why, m.by, m.at),
        _shown("Orders", o.id, o.user, o.status, o.total, o.refunded, o.currency, o.created_at),
        _shown("Orders", n.id, n.order, n.flavor, n.quantity, n.unit_price),
        _shown("Orders", e.id, e.order, e.seq, e.type, e.payload, e.by, e.at),
        _shown("Orders", k.id, k.user, k.key, k.order, k.status, k.created_at),
        _shown("Money", p.id, p.order, p.kind, p.n, p.state, p.amount, p.tries, p.last_error),
        _shown("Money", j.id, j.kind, j.subject, j.run_at, j.tries),
        _shown("Totals", t.id, t.flavor, t.status, t.quantity, t.revenue),
        _shown("Totals", d.id, d.flavor, d.day, d.status, d.quantity, d.revenue, **latest),
        _shown("Totals", a.id, a.day, a.status, a.orders, a.revenue, **latest),
    ]


NAME = "Ice Cream Distribution"
# Without one of its own the page asks for /favicon.ico.
HEAD = '<link rel="icon" href="data:,"></head>'
LINKS = {
    "Pending orders": "/admin/#/orders?status=pending",
    "Parked payments": "/admin/#/payment?state=parked",
    "API docs": "/schema",
    "Front page": "/",
}


async def _whole(receive: Receive) -> Receive:
    """The body, read to its end and found to be a JSON object, to be received again."""
    body, more = b"", True
    while more:
        message: Any = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > LARGEST_BODY:
            raise errors.PayloadTooLarge()
    try:
        msgspec.json.decode(body or b"{}", type=Members)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = "The body is not a JSON object."
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


def _protect(message: Any, path: str, https: bool) -> None:
    if https:
        # Piccolo leaves it out of the cookie with the CSRF token.
        message["headers"] = [
            (name, value + b"; Secure" * (name == b"set-cookie" and b"Secure" not in value))
            for name, value in message["headers"]
        ]
    headers = MutableScopeHeaders.from_message(message)
    headers["Content-Security-Policy"] = CSP
    if path.startswith(ASSETS) and message["status"] == 200:
        headers["Cache-Control"] = FOREVER


def mount() -> ASGIRouteHandler:
    """Build Piccolo Admin, which takes a moment, for everything under `/admin`."""
    address = urlsplit(settings.load().address)
    https = address.scheme == "https"
    piccolo: Any = create_admin(
        _tables(),
        auth_table=Account,
        session_table=tables.Session,
        auto_include_related=False,
        site_name=NAME,
        sidebar_links=LINKS,
        production=https,
        allowed_hosts=[address.hostname or ""],
        # Without a duration, whoever is blocked stays so until the next start.
        rate_limit_provider=InMemoryLimitProvider(limit=20, timespan=300, block_duration=300),
    )
    piccolo.template = piccolo.template.replace("Piccolo Admin", NAME).replace("</head>", HEAD)

    @asgi(
        "/admin",
        is_mount=True,
        copy_scope=True,
        exception_handlers={errors.Refusal: told},
        exclude_from_auth=True,
        uncounted=True,
    )
    async def admin(scope: Scope, receive: Receive, send: Send) -> None:
        # Litestar cuts the mount's own path off, which Starlette does not expect.
        path = unquote(scope["raw_path"].split(b"?")[0].decode("latin-1"))
        call: Any = scope | {"path": path, "root_path": "/admin"}

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                _protect(message, path, https)
            await send(message)

        if path.startswith(DOCS) or scope["type"] != ScopeType.HTTP:
            raise errors.NotFound()
        if path == "/admin" or (path.startswith(FORMS) and scope["method"] in SAFE):
            status = 308 if path == "/admin" else 303
            away: Any = RedirectResponse("/admin/", status)
            await away(call, receive, send)
            return
        if scope["method"] not in SAFE:
            receive = await _whole(receive)
        try:
            await piccolo(call, receive, protected)
        except UNFIT as error:
            log.info("Refused: %r", error)
            raise errors.ValidationFailed("", "invalid", str(error)) from None

    return admin
