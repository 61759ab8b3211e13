"""The page of an account: contact, access, orders, and who changed what."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from litestar import Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import FromQuery

from icecream import change_history, errors
from icecream.accounts import directory, password_links, tokens, users
from icecream.http import bodies
from icecream.pages import access, forms, rendering
from icecream.reporting import customers
from icecream.staff import account_form
from icecream.tables import User

DONE = {
    "added": "The account is active. Create a link, so that its user can set a password.",
    "saved": "The changes are saved.",
    "disabled": "The account is disabled, and signed out everywhere.",
    "enabled": "The account can sign in again.",
    "signed-out": "The account is signed out everywhere.",
}


async def _require_user_id(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Guard: accept only ids of accounts, which are shorter than other ids."""
    if connection.path_params["user"] > tokens.MAX_USER_ID:
        raise errors.NotFound


GUARDS = [bodies.require_exact_ids, _require_user_id]


async def _page(
    visitor: access.Visitor, user: int, shown: account_form.ShownAccount, status: int = 200
) -> Response[str]:
    """Return the page of an account.

    Raises:
        errors.NotFound: there is no such account.
    """
    account = await directory.load_account(user)
    texts = {"username": account.username, "email": account.email or "", "role": account.role}
    page = rendering.render(
        "staff/customer.html",
        visitor=visitor,
        account=account,
        saved=texts,
        texts=texts | dict(shown.texts),
        shown=shown,
        roles=account_form.ROLES,
        labels=account_form.LABELS,
        may_change=users.may_manage(visitor.user, is_staff=account.admin),
        totals=(await customers.count_orders([user])).get(user),
        orders=await customers.load_latest_orders(user),
        edits=await change_history.load_edits("user", user),
    )
    return rendering.html_response(page, status)


@get("/{user:int}/", guards=GUARDS)
async def show_customer(
    visitor: access.SignedIn, user: bodies.PathId, done: FromQuery[str] = ""
) -> Response[str]:
    """Return the page of an account; `done` is what the last form has done."""
    return await _page(visitor, user, account_form.ShownAccount(done=DONE.get(done, "")))


async def _change(user: int, values: dict[str, Any], by: User) -> None:
    await users.edit_user(user, values, by=by.id, further=partial(users.require_manager, user, by))


@post("/{user:int}/", guards=GUARDS)
async def save_customer(
    request: access.Call, visitor: access.SignedIn, user: bodies.PathId
) -> Response[Any]:
    """Save the fields that differ from those that the page showed."""
    sent = await forms.read_own_fields(request, visitor)
    try:
        contact = account_form.read_contact(sent)
        values: dict[str, Any] = {"username": contact.username, "email": contact.email}
        changed = {
            name: value
            for name, value in values.items()
            if (value or "") != sent.get(f"{name}-shown", "")
        }
        if contact.role != sent.get("role-shown", contact.role):
            changed |= account_form.role_flags(contact.role, visitor.user)
        await _change(user, changed, visitor.user)
    except (errors.ValidationFailed, errors.AccountExists, errors.LastAdmin) as refusal:
        return await _page(visitor, user, account_form.refused(sent, refusal), refusal.status)
    return rendering.redirect(account_form.page_address(user, "saved"))


async def _act(
    request: access.Call,
    visitor: access.Visitor,
    user: int,
    act: Callable[[], Awaitable[None]],
    done: str,
) -> Response[Any]:
    """Do what a form with a single button says, and return to the page of the account."""
    await forms.read_own_fields(request, visitor)
    await users.require_manager(user, visitor.user)
    try:
        await act()
    except errors.LastAdmin as refusal:
        return await _page(
            visitor, user, account_form.ShownAccount(alarm=refusal.detail), refusal.status
        )
    return rendering.redirect(account_form.page_address(user, done))


@post("/{user:int}/disable/", guards=GUARDS)
async def disable(
    request: access.Call, visitor: access.SignedIn, user: bodies.PathId
) -> Response[Any]:
    """Disable an account, which signs it out everywhere."""
    act = partial(_change, user, {"active": False}, visitor.user)
    return await _act(request, visitor, user, act, "disabled")


@post("/{user:int}/enable/", guards=GUARDS)
async def enable(
    request: access.Call, visitor: access.SignedIn, user: bodies.PathId
) -> Response[Any]:
    """Let an account sign in again."""
    act = partial(_change, user, {"active": True}, visitor.user)
    return await _act(request, visitor, user, act, "enabled")


@post("/{user:int}/sign-out/", guards=GUARDS)
async def sign_out(
    request: access.Call, visitor: access.SignedIn, user: bodies.PathId
) -> Response[Any]:
    """End all sessions and tokens of an account."""
    return await _act(request, visitor, user, partial(users.sign_out, user), "signed-out")


@post("/{user:int}/link/", guards=GUARDS)
async def create_link(
    request: access.Call, visitor: access.SignedIn, user: bodies.PathId
) -> Response[Any]:
    """Show a link with which the user sets a password; it is not shown again."""
    await forms.read_own_fields(request, visitor)
    link = await password_links.create_link(user, by=visitor.user)
    return await _page(visitor, user, account_form.ShownAccount(link=link))


HANDLERS = [show_customer, save_customer, disable, enable, sign_out, create_link]
