"""Authentication of callers, the guard for staff, and account management by operators."""

import re
import time
from datetime import timedelta
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

from icecream import bodies, database, errors, openapi, passwords, quotas, tokens
from icecream.tables import Session, User

Username = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=bodies.LINE, extra=bodies.VISIBLE)
]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXAiOiJhY2Nlc3MifQ.c2lnbmF0dXJl"
HOW = "Send one header Authorization: Bearer, with an access token from POST /api/token/."
PAIR = {"access": JWT, "refresh": JWT}


class Credentials(bodies.Body):
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


class Refresh(bodies.Body):
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
    refusal.headers |= quotas.spend(quotas.address(connection.scope))
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


async def of_session(session: str, *, extend: timedelta | None = None) -> User | None:
    """Return the user of this admin session cookie; `extend` prolongs it after a user's action."""
    user = await Session.get_user_id(session, increase_expiry=extend) if session else None
    if user is None:
        return None
    return await User.objects().where(User.id == user, User.active.eq(True)).first()


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
        address = quotas.address(request.scope)
        passwords.require_place()
        quotas.count_login(data.username, address)
        user_id = await User.login(data.username, data.password)
        user = await User.objects().where(User.id == user_id).first() if user_id else None
        if user is None:
            raise errors.WrongCredentials()
        quotas.forget_logins(data.username, address)
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


async def create(
    name: str, password: str, *, email: str | None = None, staff: bool = False, admin: bool = False
) -> User:
    """Make an account.

    Raises:
        ValueError: the name or the password has a wrong length.
        errors.AccountExists: the name or the email is taken.
    """
    if len(name) > 100 or not re.search(bodies.LINE, name):
        raise ValueError("A name has 1 to 100 characters, none of them a control character.")
    user = User(
        username=name,
        password=await passwords.hashed(password),
        email=email or None,
        active=True,
        admin=staff or admin,
        superuser=admin,
    )
    try:
        await user.save()
    except database.REFUSED:
        raise errors.AccountExists() from None
    return user


async def named(name: str) -> int:
    """Return the id of the account with this name.

    Raises:
        errors.NotFound: there is no such account.
    """
    row = await User.select(User.id).where(User.username == name).first()
    if row is None:
        raise errors.NotFound(f"There is no account {name!r}.")
    found: int = row["id"]
    return found


async def set_password(user: int, password: str) -> None:
    """Change a password, and sign the user out everywhere.

    Raises:
        ValueError: the password is too short or too long.
    """
    hashed = await passwords.hashed(password)

    async def change() -> None:
        await User.update({User.password: hashed}).where(User.id == user)
        await _sign_out(user)

    await database.transaction(change)


async def disable(user: int, *, also_last_admin: bool = False) -> None:
    """Disable an account, and sign it out everywhere.

    Raises:
        errors.LastAdmin: it is the last active admin, and `also_last_admin` does not allow it.
    """

    async def change() -> None:
        if not also_last_admin:
            await keep_an_admin(user)
        await User.update({User.active: False}).where(User.id == user)
        await _sign_out(user)

    await database.transaction(change)


async def enable(user: int) -> None:
    """Let a disabled account sign in again."""
    await User.update({User.active: True}).where(User.id == user)


async def keep_an_admin(user: int) -> None:
    """Lock all active admins, in a transaction that is going to disable this one.

    Two admins that disable each other at the same time wait for each other here.

    Raises:
        errors.LastAdmin: there is no other active admin.
    """
    admins = (User.active.eq(True), User.admin.eq(True), User.superuser.eq(True))
    rows = await database.locked(User.select(User.id).where(*admins).order_by(User.id))
    if [row["id"] for row in rows] == [user]:
        raise errors.LastAdmin("This is the last active admin: make another one first.")


async def _sign_out(user: int) -> None:
    await Session.delete().where(Session.user_id == user)
    await tokens.revoke(user)
