"""The caller's own account: who it is, and its password."""

from typing import Annotated, Any

from litestar import Controller, get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from icecream import errors, fields
from icecream.accounts import http, refresh_tokens, users
from icecream.http import bodies, openapi, rate_limits
from icecream.runtime import passwords
from icecream.tables import User

NOT_CURRENT = "current_password is not your password."
EXAMPLE_ACCOUNT = {"id": 7, "username": "Ada", "email": "ada@example.org", "roles": ["staff"]}


class AccountView(Struct):
    """The caller's account. Staff have the role `staff`, and admins `admin` too."""

    id: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    username: fields.Name
    email: Annotated[str, fields.shown_text(255)] | None
    roles: Annotated[
        list[Annotated[str, fields.words("Role", ("staff", "admin"))]],
        Meta(extra_json_schema={"maxItems": 2}),
    ]


class NewPassword(fields.Body):
    """The current and the new password."""

    current_password: Annotated[http.Password, Meta(examples=["correct horse"])]
    new_password: Annotated[
        str,
        Meta(
            examples=["battery staple"],
            # Documented, not checked here: common passwords are refused too.
            extra_json_schema={
                "format": "password",
                "minLength": passwords.MIN_LENGTH,
                "maxLength": passwords.MAX_LENGTH,
            },
        ),
    ]


def _roles(user: User) -> list[str]:
    return ["staff", "admin"][: user.admin + (user.admin and user.superuser)]


async def change_password(scope: Any, user: User, current: str, new: str) -> None:
    """Change the caller's own password; all sessions and tokens of the account end.

    Raises:
        errors.ValidationFailed: the current password is wrong, or the new one is not allowed.
        errors.QuotaExceeded: there were too many attempts.
        errors.Unavailable: too many passwords are waiting to be checked.
    """
    try:
        passwords.require_allowed(new)
    except ValueError as error:
        raise errors.ValidationFailed("/new_password", "invalid", str(error)) from None
    rate_limits.log_address(scope)
    await rate_limits.begin_login(user.username, scope)
    if await User.login(user.username, current) != user.id:
        raise errors.ValidationFailed("/current_password", "wrong", NOT_CURRENT)
    await rate_limits.end_login(user.username, scope)
    await users.set_password(user.id, new, by=user.id)


class Me(Controller):
    """The handlers of the caller's own account."""

    path = "/api/me"
    tags = ["Your account"]

    @get("/", **openapi.operation("getAccount", "Get your account", AccountView, EXAMPLE_ACCOUNT))
    async def get_account(self, request: bodies.ApiRequest) -> AccountView:
        """Get the account that the token belongs to."""
        user = request.user
        return AccountView(user.id, user.username, user.email or None, _roles(user))

    @post(
        "/password",
        **openapi.operation(
            "changePassword",
            "Change your password",
            refresh_tokens.Pair,
            http.EXAMPLE_PAIR,
            *openapi.BODY_REFUSALS,
            errors.ValidationFailed("/current_password", "wrong", NOT_CURRENT),
        ),
    )
    async def change_password(
        self, request: bodies.ApiRequest, data: JSONBody[NewPassword]
    ) -> refresh_tokens.Pair:
        """Change your password, and get a new pair of tokens.

        All other tokens of the account end within a second, and so do its sessions in the admin.
        Attempts are limited like attempts to sign in.
        """
        user = request.user
        await change_password(request.scope, user, data.current_password, data.new_password)
        changed = await User.objects().where(User.id == user.id).first()
        assert changed is not None
        return await refresh_tokens.issue_pair(changed)
