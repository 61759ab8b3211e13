"""Authentication of callers, and the guard for staff."""

from functools import lru_cache
from typing import Annotated, Any

import jwt
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware.authentication import AuthenticationResult
from litestar.openapi.spec import Components, SecurityScheme
from litestar.security.jwt import JWTAuth
from litestar.security.jwt.middleware import JWTAuthenticationMiddleware
from litestar.types import Receive, Scope, Send
from msgspec import Meta

from icecream import errors, fields
from icecream.accounts import tokens
from icecream.http import rate_limits
from icecream.tables import User

Username = Annotated[
    str,
    Meta(min_length=1, max_length=100, pattern=fields.LINE_PATTERN, extra=fields.VISIBLE_TEXT_RULE),
]
Password = Annotated[
    str, Meta(min_length=1, max_length=128, extra_json_schema={"format": "password"})
]
EXAMPLE_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXAiOiJhY2Nlc3MifQ.c2lnbmF0dXJl"
STAFF_ONLY = "Only staff may do this."
SIGN_IN_HINT = "Send one header Authorization: Bearer with an access token from POST /api/token/."
EXAMPLE_PAIR = {"access": EXAMPLE_JWT, "refresh": EXAMPLE_JWT}


class BearerAuthentication(JWTAuthenticationMiddleware):
    """Accepts only one `Bearer` header; Litestar takes any scheme, and the first of several."""

    # Not a coroutine, because most tokens are in the cache, and need no further work.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if not scope["route_handler"].opt.get(self.exclude_opt_key):
            cached = tokens.token_cache.find(_find_bearer_token(scope))
            if cached is not None:
                scope["auth"], scope["user"] = cached
                return self.app(scope, receive, send)
        return super().__call__(scope, receive, send)

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        token = _find_bearer_token(connection.scope)
        if not token:
            raise _count_refusal(errors.Unauthenticated(SIGN_IN_HINT), connection)
        try:
            return await self.authenticate_token(token, connection)
        except NotAuthorizedException as error:
            tokens.token_cache.remove(token)
            # The signature is checked first, so only our own tokens are reported as expired.
            expired = isinstance(error.__cause__, jwt.ExpiredSignatureError)
            refusal = errors.ExpiredToken() if expired else errors.InvalidToken()
            raise _count_refusal(refusal, connection) from None

    async def authenticate_token(
        self, encoded_token: str, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        authenticate = super().authenticate_token

        async def verify() -> tuple[tokens.AccessToken, User]:
            result = await authenticate(encoded_token, connection)
            return result.auth, result.user

        token, user = await tokens.token_cache.check(encoded_token, verify)
        return AuthenticationResult(user=user, auth=token)


def _find_bearer_token(scope: Scope) -> str:
    """Return the token of a request; empty if it has none, or several Authorization headers."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    return _parse_bearer(values[0]) if len(values) == 1 else ""


@lru_cache(maxsize=1000)
def _parse_bearer(value: bytes) -> str:
    scheme, _, token = value.decode("latin-1").partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


def _count_refusal(
    refusal: errors.Refusal, connection: ASGIConnection[Any, Any, Any, Any]
) -> errors.Refusal:
    refusal.headers |= rate_limits.count_request(rate_limits.client_address(connection.scope))
    return refusal


async def _retrieve_user(
    token: tokens.AccessToken, _: ASGIConnection[Any, Any, Any, Any]
) -> User | None:
    return await tokens.find_user(token)


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
    retrieve_user_handler=_retrieve_user,
    token_secret="see tokens.SignedToken.decode_payload, which also accepts older keys",  # nosec B106  # no secret
    token_cls=tokens.AccessToken,
    authentication_middleware_class=BearerAuthentication,
    exclude_http_methods=["OPTIONS"],
    description="The `access` token from `POST /api/token/`: a short-lived JWT according to "
    "RFC8725. The algorithm, the issuer, the audience and the token type are checked.",
)


async def require_staff(
    connection: ASGIConnection[Any, User, Any, Any], _: BaseRouteHandler
) -> None:
    """Guard: the caller is staff.

    Raises:
        errors.Forbidden: the caller is a customer.
    """
    if not connection.user.admin:
        raise errors.Forbidden(STAFF_ONLY)
