"""A shop's own account: its password, its payment method, and signing out everywhere."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery
from msgspec import Struct

from icecream import errors, settings
from icecream.accounts import users
from icecream.accounts.http import me, sessions
from icecream.pages import access, forms, rendering
from icecream.payments.http import methods
from icecream.tables import Session

# What the page says after a change, by the word in its address.
DONE = {
    "new-password": "Your password is changed. You are signed out everywhere else.",
    "payment-method": "Your payment method is changed.",
}
SHOWN_CHARACTERS = 4


class PasswordFields(Struct):
    """The fields of the form for a new password."""

    current_password: str = ""
    new_password: str = ""


@get("/account/")
async def show_account(visitor: access.SignedIn, done: FromQuery[str] = "") -> Response[str]:
    """Return the page of the account."""
    return _account_page(visitor, notice=DONE.get(done, ""))


def _account_page(
    visitor: access.Visitor, *, notice: str = "", status: int = 200, **errors_by_field: str
) -> Response[str]:
    method = visitor.user.payment_method
    page = rendering.render(
        "shop/account.html",
        visitor=visitor,
        notice=notice,
        errors=errors_by_field,
        needs_method=settings.load().needs_payment_method,
        method=f"... {method[-SHOWN_CHARACTERS:]}" if method else "",
    )
    return rendering.html_response(page, status)


@post("/account/password/")
async def change_password(request: access.Call, visitor: access.SignedIn) -> Response[Any]:
    """Change the password; all other sessions and all tokens of the account end."""
    sent = await forms.read_form(request, visitor, PasswordFields)
    try:
        await me.change_password(
            request.scope, visitor.user, sent.current_password, sent.new_password
        )
    except errors.ValidationFailed as refusal:
        name = refusal.members["errors"][0]["pointer"].strip("/")
        message = refusal.detail.replace(me.NOT_CURRENT, "This is not your password.")
        return _account_page(visitor, status=400, **{name: message})
    except (errors.QuotaExceeded, errors.Unavailable) as refusal:
        response = _account_page(visitor, status=refusal.status, current_password=refusal.detail)
        response.headers.update(refusal.headers)
        return response
    session = await Session.create_session(visitor.user.id)
    return _done("new-password", sessions.set_cookie(session.token))


def _done(what: str, cookie: str = "") -> Response[None]:
    redirect = rendering.redirect(f"{settings.load().prefix}/shop/account/?done={what}")
    if cookie:
        redirect.headers["Set-Cookie"] = cookie
    return redirect


@post("/account/payment-method/")
async def set_payment_method(request: access.Call, visitor: access.SignedIn) -> Response[Any]:
    """Set the payment method for new orders; an empty field removes it."""
    sent = await forms.read_own_fields(request, visitor)
    reference = str(sent.get("reference", "")).strip() or None
    try:
        if reference is not None:
            methods.validate_reference(reference)
        await methods.set_payment_method(visitor.user.id, reference, by=visitor.user.id)
    except ValueError as problem:
        return _account_page(visitor, status=400, reference=f"The {problem}.")
    except errors.PaymentMethodTaken as refusal:
        return _account_page(visitor, status=refusal.status, reference=refusal.detail)
    return _done("payment-method")


@post("/account/sign-out/")
async def sign_out_everywhere(request: access.Call, visitor: access.SignedIn) -> Response[None]:
    """End all sessions and all tokens of the account, this one too."""
    await forms.read_own_fields(request, visitor)
    await users.sign_out(visitor.user.id)
    redirect = rendering.redirect(settings.load().prefix + access.SIGN_IN_PATH)
    redirect.headers["Set-Cookie"] = sessions.set_cookie("")
    return redirect


HANDLERS = (show_account, change_password, set_payment_method, sign_out_everywhere)
