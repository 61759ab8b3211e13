"""Authentication of callers, and the guard for staff."""

import re
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

from icecream import errors
from icecream.accounts import api_keys, tokens
from icecream.http import pagination, rate_limits
from icecream.runtime import passwords
from icecream.tables import User

Password = Annotated[
    str,
    Meta(min_length=1, max_length=passwords.MAX_LENGTH, extra_json_schema={"format": "password"}),
]
EXAMPLE_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXAiOiJhY2Nlc3MifQ.c2lnbmF0dXJl"
STAFF_ONLY = "Only staff may do this."
_USER_PATTERN = re.compile(r"all|[1-9][0-9]{0,9}")
USER_SCHEMA = {"pattern": f"^({_USER_PATTERN.pattern})$", "maxLength": 10}
# The option of a route that names the scopes of API keys that may call it. Without the option, a
# key may only read (GET).
KEY_SCOPES = "key_scopes"
# For routes that place or change orders; for staff's changes the key needs the scope staff too.
FOR_ORDERS: dict[str, Any] = {KEY_SCOPES: (api_keys.ORDER,)}
# For routes that need a sign-in.
NOT_FOR_KEYS: dict[str, Any] = {KEY_SCOPES: ()}
SIGN_IN_HINT = "Send one header Authorization: Bearer with an access token from POST /api/token/."
EXAMPLE_PAIR = {"access": EXAMPLE_JWT, "refresh": EXAMPLE_JWT, "expires_in": 900}


class BearerAuthentication(JWTAuthenticationMiddleware):
    """Accepts only one `Bearer` header; Litestar takes any scheme, and the first of several."""

    # Not a coroutine, because most tokens are in the cache, and need no further work.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if not scope["route_handler"].opt.get(self.exclude_opt_key):
            cached = tokens.token_cache.find(_find_bearer_token(scope))
            if cached is not None:
                scope["auth"], scope["user"] = cached
                _require_scope(scope)
                return self.app(scope, receive, send)
        return super().__call__(scope, receive, send)

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        token = _find_bearer_token(connection.scope)
        if not token:
            raise _count_refusal(errors.Unauthenticated(SIGN_IN_HINT), connection)
        try:
            result = await self.authenticate_token(token, connection)
        except NotAuthorizedException as error:
            tokens.token_cache.remove(token)
            # The signature is checked first, so only our own tokens are reported as expired.
            expired = isinstance(error.__cause__, jwt.ExpiredSignatureError)
            refusal = errors.ExpiredToken() if expired else errors.InvalidToken()
            raise _count_refusal(refusal, connection) from None
        connection.scope["auth"], connection.scope["user"] = result.auth, result.user
        _require_scope(connection.scope)
        return result

    async def authenticate_token(
        self, encoded_token: str, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        authenticate = super().authenticate_token

        async def verify() -> tuple[tokens.Credential, User]:
            if encoded_token.startswith(api_keys.START):
                if (found := await api_keys.verify_key(encoded_token)) is None:
                    raise NotAuthorizedException
                return found
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


def _require_scope(scope: Any) -> None:
    """Refuse an API key that does not have the scope of the route.

    Raises:
        errors.InsufficientScope: it allows less, or no key may call the route.
        errors.QuotaExceeded: there were too many requests.
    """
    access = scope["auth"]
    if not isinstance(access, api_keys.KeyAccess):
        return
    reads = (api_keys.READ,) if scope["method"] == "GET" else ()
    allowed = scope["route_handler"].opt.get(KEY_SCOPES, reads)
    if access.scopes.isdisjoint(allowed):
        refusal = errors.InsufficientScope(allowed)
        refusal.headers |= rate_limits.count_caller(scope)
        raise refusal


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
    """Litestar's JWTAuth, with the scheme as OpenAPI wants it: without a name, in lower case."""

    @property
    def openapi_components(self) -> Components:
        components = super().openapi_components
        for scheme in (components.security_schemes or {}).values():
            if isinstance(scheme, SecurityScheme):
                scheme.name, scheme.scheme = None, "bearer"
        return components


auth = BearerAuth(
    retrieve_user_handler=_retrieve_user,
    token_secret="see tokens.SignedToken.decode_payload, which also accepts older keys",  # nosec B106  # no secret
    token_cls=tokens.AccessToken,
    authentication_middleware_class=BearerAuthentication,
    exclude_http_methods=["OPTIONS"],
    description="The `access` token from `POST /api/token/`: a short-lived JWT according to "
    "RFC8725. Or, for programs, an API key from `POST /api/keys/`.",
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


async def require_same_rights(connection: ASGIConnection[Any, User, Any, Any]) -> None:
    """Check again whether the caller of a request that takes long is still allowed to make it.

    The lifetime of an access token does not matter here, only whether its sign-in was ended.

    Raises:
        errors.InvalidToken: the token or the API key has ended, or the account is disabled.
        errors.Forbidden: the account has other roles now.
    """
    caller, access = connection.user, connection.auth
    if isinstance(access, api_keys.KeyAccess):
        found = await api_keys.verify_key(_find_bearer_token(connection.scope))
        user = found[1] if found else None
    else:
        user = await tokens.find_user(access)
    if user is None:
        raise errors.InvalidToken
    if (user.admin, user.superuser) != (caller.admin, caller.superuser):
        raise errors.Forbidden("The account has other roles now.")


def parse_user(user: str | None, caller: User, *, of: str) -> int | None:
    """Return the user of a list's parameter `user`, by default the caller; None for all users.

    Raises:
        errors.ValidationFailed: it is neither an id nor `all`.
        errors.Forbidden: the caller may not see the list `of` others.
    """
    if user is None or user == str(caller.id):
        return caller.id
    if not _USER_PATTERN.fullmatch(user) or (user != "all" and int(user) > tokens.MAX_USER_ID):
        raise pagination.invalid_parameter("user", "must be an id, or all")
    if not caller.admin:
        raise errors.Forbidden(f"Only staff may see the {of} of other users.")
    return None if user == "all" else int(user)
