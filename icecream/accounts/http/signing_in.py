"""Signing in and out: tokens for a name and a password, their exchange, and their end."""

from typing import Annotated

from litestar import Controller, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from icecream import errors, fields
from icecream.accounts import http, refresh_tokens, tokens, users
from icecream.http import bodies, openapi, rate_limits
from icecream.runtime.logs import security
from icecream.tables import User

RefreshToken = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=tokens.MAX_TOKEN_CHARACTERS,
        examples=[http.EXAMPLE_JWT],
        extra_json_schema={"format": "password"},
    ),
]


class Credentials(fields.Body):
    """Name and password."""

    username: Annotated[users.Username, Meta(examples=["admin"])]
    password: Annotated[http.Password, Meta(examples=["correct horse"])]


class Refresh(fields.Body):
    """A refresh token."""

    refresh: RefreshToken


class Revocation(fields.Body):
    """A refresh token to end; with `all`, every sign-in of its account ends."""

    refresh: RefreshToken
    all: Annotated[bool, Meta(examples=[True])] = False


class Revoked(Struct):
    """The token is not valid any more, if it ever was."""

    status: fields.Name


class SigningIn(Controller):
    """The handlers of tokens."""

    path = "/api/token"

    @post(
        "/",
        tags=["Signing in"],
        **openapi.operation(
            "signIn",
            "Sign in",
            refresh_tokens.Pair,
            http.EXAMPLE_PAIR,
            errors.WrongCredentials(),
            *openapi.BODY_REFUSALS,
            is_public=True,
        ),
    )
    async def sign_in(
        self, request: bodies.ApiRequest, data: JSONBody[Credentials]
    ) -> refresh_tokens.Pair:
        """Exchange a name and a password for a pair of tokens.

        The access token is valid for 15 minutes, the refresh token for 7 days.
        """
        rate_limits.log_address(request.scope)
        await rate_limits.begin_login(data.username, request.scope)
        user_id = await User.login(data.username, data.password)
        user = await User.objects().where(User.id == user_id).first() if user_id else None
        if user is None:
            raise errors.WrongCredentials()
        await rate_limits.end_login(data.username, request.scope)
        security.log_event("signed-in", account=user.username)
        return await refresh_tokens.issue_pair(user)

    @post(
        "/refresh",
        tags=["Signing in"],
        **openapi.operation(
            "refreshToken",
            "Refresh the tokens",
            refresh_tokens.Pair,
            http.EXAMPLE_PAIR,
            errors.InvalidRefreshToken(),
            *openapi.BODY_REFUSALS,
            is_public=True,
        ),
    )
    async def refresh(
        self, request: bodies.ApiRequest, data: JSONBody[Refresh]
    ) -> refresh_tokens.Pair:
        """Exchange a refresh token for a new pair of tokens."""
        rate_limits.log_address(request.scope)
        return await refresh_tokens.refresh_pair(data.refresh)

    @post(
        "/revoke",
        tags=["Your account"],
        **openapi.operation(
            "revokeToken",
            "Sign out",
            Revoked,
            {"status": "Signed out"},
            errors.InvalidRefreshToken(),
            *openapi.BODY_REFUSALS,
            is_public=True,
        ),
    )
    async def revoke(self, request: bodies.ApiRequest, data: JSONBody[Revocation]) -> Revoked:
        """End the sign-in that this refresh token belongs to.

        Its access tokens end too, within a second. The answer is 200 for any token, also for an
        unknown or an ended one (RFC 7009). With `all`, every sign-in of the account ends, and every
        session in the admin; this needs a valid token.
        """
        rate_limits.log_address(request.scope)
        family = await refresh_tokens.find_family(data.refresh)
        if family and data.all:
            await users.sign_out(family[0])
        elif family:
            await refresh_tokens.revoke_family(*family)
            security.log_event("signed-out", user=family[0])
        elif data.all:
            raise errors.InvalidRefreshToken()
        return Revoked("Signed out")
