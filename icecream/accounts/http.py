"""Authentication of callers, the guard for staff, and account management by operators."""

import time
from typing import Annotated, Any

import jwt
from litestar import Controller, post
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware.authentication import AuthenticationResult
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import JSONBody
from litestar.security.jwt import JWTAuth
from litestar.security.jwt.middleware import JWTAuthenticationMiddleware
from msgspec import Meta

from icecream import errors, fields
from icecream.accounts import tokens
from icecream.http import bodies, openapi, rate_limits
from icecream.runtime import passwords
from icecream.tables import User

Username = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=fields.LINE, extra=fields.VISIBLE)
]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXAiOiJhY2Nlc3MifQ.c2lnbmF0dXJl"
HOW = "Send one header Authorization: Bearer, with an access token from POST /api/token/."
PAIR = {"access": JWT, "refresh": JWT}


class Credentials(fields.Body):
    """Name and password."""

    username: Annotated[Username, Meta(examples=["admin"])]
    password: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=128,
            examples=["correct horse"],
            extra_json_schema={"format": "password"},
        ),
    ]


class Refresh(fields.Body):
    """A refresh token."""

    refresh: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=tokens.LONGEST,
            examples=[JWT],
            extra_json_schema={"format": "password"},
        ),
    ]


class BearerOnly(JWTAuthenticationMiddleware):
    """Accepts only one `Bearer` header; Litestar takes any scheme, and the first of several."""

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        given = [value for name, value in connection.scope["headers"] if name == b"authorization"]
        scheme, _, token = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not token:
            raise _counted(errors.Unauthenticated(HOW), connection)
        try:
            return await self.authenticate_token(token, connection)
        except NotAuthorizedException as error:
            tokens.known.drop(token)
            # The signature is checked first, so only our own tokens are reported as expired.
            expired = isinstance(error.__cause__, jwt.ExpiredSignatureError)
            refusal = errors.ExpiredToken() if expired else errors.InvalidToken()
            raise _counted(refusal, connection) from None

    async def authenticate_token(
        self, encoded_token: str, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        if found := tokens.known.find(encoded_token):
            token, user = found
            return AuthenticationResult(user=user, auth=token)
        began = time.monotonic()
        result = await super().authenticate_token(encoded_token, connection)
        tokens.known.keep(encoded_token, result.auth, result.user, checked=began)
        return result


def _counted(
    refusal: errors.Refusal, connection: ASGIConnection[Any, Any, Any, Any]
) -> errors.Refusal:
    refusal.headers |= rate_limits.spend(rate_limits.address(connection.scope))
    return refusal


async def _user(token: tokens.AccessToken, _: ASGIConnection[Any, Any, Any, Any]) -> User | None:
    return await tokens.holder(token)


class BearerAuth(JWTAuth[User]):
    """Litestar's JWTAuth without the scheme's name, which OpenAPI does not allow for bearer."""

    @property
    def openapi_components(self) -> Components:
        components = super().openapi_components
        for scheme in (components.security_schemes or {}).values():
            if isinstance(scheme, SecurityScheme):
                scheme.name = None
        return components


auth = BearerAuth(
    retrieve_user_handler=_user,
    token_secret="see tokens.Signed.decode_payload, which knows older keys too",
    token_cls=tokens.AccessToken,
    authentication_middleware_class=BearerOnly,
    exclude_http_methods=["OPTIONS"],
    description="The `access` token from `POST /api/token/`: a JWT according to RFC8725 (one "
    "algorithm, issuer and audience checked, a type of its own, short-lived).",
)


async def staff_only(connection: ASGIConnection[Any, User, Any, Any], _: BaseRouteHandler) -> None:
    """Guard: the caller is staff.

    Raises:
        errors.Forbidden: the caller is a customer.
    """
    if not connection.user.admin:
        raise errors.Forbidden("Only staff may do this.")


class Accounts(Controller):
    """Signing in."""

    path = "/api/token"
    tags = ["Signing in"]

    @post(
        "/",
        status_code=200,
        exclude_from_auth=True,
        operation_class=openapi.ApiOperation,
        operation_id="signIn",
        summary="Sign in",
        responses=openapi.answers(
            200, tokens.Pair, PAIR, errors.WrongCredentials(), *openapi.ANY, *openapi.BODY
        ),
        security=[{}],
    )
    async def sign_in(self, request: bodies.AnyBody, data: JSONBody[Credentials]) -> tokens.Pair:
        """Get a pair of tokens for a name and a password.

        The access token lasts 15 minutes, the refresh token 7 days.
        """
        address = rate_limits.address(request.scope)
        passwords.require_place()
        rate_limits.count_login(data.username, address)
        user_id = await User.login(data.username, data.password)
        user = await User.objects().where(User.id == user_id).first() if user_id else None
        if user is None:
            raise errors.WrongCredentials()
        rate_limits.forget_logins(data.username, address)
        return await tokens.first(user)

    @post(
        "/refresh",
        status_code=200,
        exclude_from_auth=True,
        operation_class=openapi.ApiOperation,
        operation_id="refreshToken",
        summary="Refresh",
        responses=openapi.answers(
            200, tokens.Pair, PAIR, errors.InvalidRefreshToken(), *openapi.ANY, *openapi.BODY
        ),
        security=[{}],
    )
    async def refresh(self, data: JSONBody[Refresh]) -> tokens.Pair:
        """Trade a refresh token for a new pair."""
        return await tokens.refresh(data.refresh)
