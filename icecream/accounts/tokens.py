"""Signed tokens, each for one purpose: how they are signed and verified, and their users.

Access tokens that were recently found valid are cached.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal, Protocol

import jwt
import msgspec
from litestar.exceptions import NotAuthorizedException
from litestar.security.jwt import Token
from msgspec import Meta, Struct

from icecream import settings
from icecream.settings import signing_keys
from icecream.tables import RefreshToken, User

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "icecream"
ACCESS_LIFETIME = timedelta(minutes=15)
# The maximum difference between the clocks of two machines.
CLOCK_LEEWAY_SECONDS = 10
# Our tokens have about 400 characters; longer ones are not decoded.
MAX_TOKEN_CHARACTERS = 2048
MAX_USER_ID = 2**31 - 1  # Piccolo's user ids are 32-bit integers.
REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti", "typ", "pwd"]


class _Claims(Struct, tag_field="typ"):
    """The claims of a token in their exact types; PyJWT and Litestar convert and accept others."""

    exp: int
    iat: int
    sub: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,9}\Z")]
    jti: Annotated[str, Meta(min_length=1)]
    pwd: str


class _AccessClaims(_Claims, tag="access"):
    fam: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


class _RefreshClaims(_Claims, tag="refresh"):
    # The database knows its family.
    fam: Literal[""] = ""


def _check_claims(payload: Any) -> None:
    try:
        msgspec.convert(payload, _AccessClaims | _RefreshClaims)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise jwt.InvalidTokenError("wrong claims") from error


@dataclass
class SignedToken(Token):
    """Litestar's token with a purpose (`typ`), bound to the password at its issue (`pwd`).

    An access token ends with the family of refresh tokens that it was issued with (`fam`).
    """

    typ: str = ""
    pwd: str = ""
    fam: str = ""

    def __post_init__(self) -> None:
        """Skip Litestar's check of the times: decoding has already checked them, with leeway."""

    @classmethod
    def decode_payload(
        cls,
        encoded_token: str,
        secret: str,
        algorithms: list[str],
        issuer: str | Sequence[str] | None = None,
        audience: str | Sequence[str] | None = None,
        options: Any = None,
    ) -> Any:
        if len(encoded_token) > MAX_TOKEN_CHARACTERS:
            raise jwt.InvalidTokenError("too long")
        for key in signing_keys.load_keys(settings.load()):
            try:
                payload = jwt.decode(
                    encoded_token,
                    key,
                    algorithms=algorithms,
                    issuer=ISSUER,
                    audience=AUDIENCE,
                    leeway=CLOCK_LEEWAY_SECONDS,
                    options={"require": REQUIRED_CLAIMS, "strict_aud": True},
                )
            except jwt.InvalidSignatureError:
                continue
            _check_claims(payload)
            return payload
        raise jwt.InvalidTokenError("signed with an unknown key")


class AccessToken(SignedToken):
    """A token for the API. An access token is no refresh token, and the other way round."""

    @classmethod
    def decode_payload(cls, *args: Any, **kwargs: Any) -> Any:
        payload = super().decode_payload(*args, **kwargs)
        if payload["typ"] != "access":
            raise jwt.InvalidTokenError("not an access token")
        return payload


class Credential(Protocol):
    """What a caller sent to prove who it is: an access token or an API key."""

    @property
    def exp(self) -> datetime:
        """The time at which it expires."""


class _CachedToken(Struct):
    token: Credential
    user: User
    checked_at: float
    is_being_checked: bool = False


class _Check(Struct):
    """A full check of a token, which began at this (monotonic) time."""

    began_at: float
    task: asyncio.Task[tuple[Credential, User]]


class TokenCache:
    """A cache of tokens and API keys that were recently found valid, which saves queries.

    After half of `max_age_seconds`, one request checks the token again in full, while the others
    still use the cache. So a revoked token works for at most `max_age_seconds` more in any process.
    The same holds after its account was disabled or got another password.
    """

    def __init__(self, *, max_age_seconds: float, max_tokens: int) -> None:
        self._max_age, self._max_tokens = max_age_seconds, max_tokens
        self._cached: dict[str, _CachedToken] = {}
        self._checks: dict[str, _Check] = {}
        self._forgotten_at = 0.0

    def find(self, encoded: str) -> tuple[Credential, User] | None:
        """Return the token and its user; None if the caller must check it in full."""
        if (cached := self._cached.get(encoded)) is None:
            return None
        age = time.monotonic() - cached.checked_at
        if age >= self._max_age or cached.token.exp <= datetime.now(UTC):
            del self._cached[encoded]
            return None
        if age >= self._max_age / 2 and not cached.is_being_checked:
            cached.is_being_checked = True
            return None
        return cached.token, cached.user

    async def check(
        self, encoded: str, verify: Callable[[], Coroutine[Any, Any, tuple[Credential, User]]]
    ) -> tuple[Credential, User]:
        """Check a token in full, and cache it; calls at the same time share one check.

        Otherwise, if a check takes longer than the cache lasts, all requests of a busy client check
        its token at once, which makes their checks even slower.
        """
        now = time.monotonic()
        check = self._checks.get(encoded)
        if check is None or check.began_at < max(self._forgotten_at, now - self._max_age):
            check = self._checks[encoded] = _Check(now, asyncio.create_task(verify()))
            check.task.add_done_callback(partial(self._end_check, encoded, check))
        # The check belongs to all callers: one of them may be canceled.
        return await asyncio.shield(check.task)

    def _end_check(self, encoded: str, check: _Check, task: asyncio.Task[Any]) -> None:
        if self._checks.get(encoded) is check:
            del self._checks[encoded]
        if not task.cancelled() and task.exception() is None:
            self.store(encoded, *check.task.result(), checked_at=check.began_at)

    def store(self, encoded: str, token: Credential, user: User, *, checked_at: float) -> None:
        """Cache a token after a full check that began at the (monotonic) time `checked_at`."""
        self._cached.pop(encoded, None)
        if checked_at < self._forgotten_at:
            # The check may have read data from before a `forget`.
            return
        if len(self._cached) >= self._max_tokens:
            del self._cached[next(iter(self._cached))]
        self._cached[encoded] = _CachedToken(token, user, checked_at)

    def remove(self, encoded: str) -> None:
        """Remove a token that was found invalid."""
        self._cached.pop(encoded, None)

    def forget(self, user: int) -> None:
        """Remove all tokens of this user, so that they are checked in full again."""
        self._forgotten_at = time.monotonic()
        for encoded in [key for key, cached in self._cached.items() if cached.user.id == user]:
            del self._cached[encoded]


token_cache = TokenCache(max_age_seconds=1, max_tokens=10_000)


def password_fingerprint(user: User) -> str:
    """Return a hash that changes with the password, so that a new password ends all tokens."""
    return hashlib.sha256(user.password.encode()).hexdigest()[:16]


def sign_token(user: User, typ: str, jti: str, lifetime: timedelta, *, family: str = "") -> str:
    """Return a new token for this purpose (`typ`), with this id (`jti`)."""
    now = datetime.now(UTC)
    token = SignedToken(
        sub=str(user.id),
        iss=ISSUER,
        aud=AUDIENCE,
        jti=jti,
        iat=now,
        exp=now + lifetime,
        typ=typ,
        pwd=password_fingerprint(user),
        fam=family,
    )
    return token.encode(signing_keys.load_keys(settings.load())[0], ALGORITHM)


def verify_token(encoded: str) -> SignedToken | None:
    """Return the token, for any purpose, if its signature and its claims are valid."""
    try:
        return SignedToken.decode(encoded, "", ALGORITHM)
    except NotAuthorizedException:
        return None


async def find_user(token: SignedToken) -> User | None:
    """Return the active user of the token, unless the token has ended.

    It ends with its password, and with its family of refresh tokens.
    """
    if int(token.sub) > MAX_USER_ID:
        return None
    user: User | None = await User.objects().where(User.id == int(token.sub)).first()
    if user is None or not user.active or token.pwd != password_fingerprint(user):
        return None
    is_family = RefreshToken.family == token.fam
    if token.typ == "access" and not await RefreshToken.exists().where(is_family):
        return None
    return user
