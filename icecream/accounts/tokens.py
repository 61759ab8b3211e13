"""Access and refresh tokens: both are signed, and each is valid for its own purpose only.

A refresh returns a new pair. A used refresh token that is sent again gets another successor, as
long as none of its successors was used: the response may have been lost, and clients of the
original service send their first refresh token repeatedly. After a successor was used, a used token
means that two parties hold the same token. Then the whole family is revoked (RFC 9700, section
4.14.2). For some seconds after its first use, a used token revokes nothing, because two tabs of a
page may refresh at the same time.
"""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
from litestar.exceptions import NotAuthorizedException
from litestar.security.jwt import Token
from msgspec import Meta, Struct

from icecream import database, errors, settings
from icecream.tables import RefreshToken, User

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "icecream"
ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=7)
# The maximum difference between the clocks of two machines.
CLOCK_LEEWAY_SECONDS = 10
# A used token may be sent again for this time after its first use. A replaced successor stays valid
# for this time. Requests that were sent at the same time may arrive this far
# apart on a slow network; for a thief the time is short.
REUSE_GRACE_SECONDS = 10
# Our tokens have about 400 characters; longer ones are not decoded.
MAX_TOKEN_CHARACTERS = 2048
MAX_USER_ID = 2**31 - 1  # Piccolo's user ids are 32-bit integers.
REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti", "typ", "pwd"]


Jwt = Annotated[str, Meta(max_length=MAX_TOKEN_CHARACTERS, pattern=r"^[\w-]+\.[\w-]+\.[\w-]+$")]


class Pair(Struct):
    """Send `access` as `Authorization: Bearer ...`; exchange `refresh` for the next pair."""

    access: Jwt
    refresh: Jwt


@dataclass
class SignedToken(Token):
    """Litestar's token with a purpose (`typ`), and bound to the password at its issue (`pwd`)."""

    typ: str = ""
    pwd: str = ""

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
        for key in settings.load().signing_keys:
            try:
                return jwt.decode(
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
        raise jwt.InvalidTokenError("signed with an unknown key")


class AccessToken(SignedToken):
    """A token for the API. An access token is no refresh token, and the other way round."""

    @classmethod
    def decode_payload(cls, *args: Any, **kwargs: Any) -> Any:
        payload = super().decode_payload(*args, **kwargs)
        if payload["typ"] != "access":
            raise jwt.InvalidTokenError("not an access token")
        return payload


class _CachedToken(Struct):
    token: AccessToken
    user: User
    checked_at: float
    is_being_checked: bool = False


class TokenCache:
    """A cache of tokens that were recently found valid, which saves queries.

    After half of `max_age_seconds`, one request checks the token again in full, while the others
    still use the cache. So a revoked token works for at most `max_age_seconds` more in any process.
    The same holds after its account was disabled or got another password.
    """

    def __init__(self, *, max_age_seconds: float, max_tokens: int) -> None:
        self._max_age, self._max_tokens = max_age_seconds, max_tokens
        self._cached: dict[str, _CachedToken] = {}
        self._forgotten_at = 0.0

    def find(self, encoded: str) -> tuple[AccessToken, User] | None:
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

    def store(self, encoded: str, token: AccessToken, user: User, *, checked_at: float) -> None:
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


def _hash_id(jti: str) -> str:
    return hashlib.sha256(jti.encode()).hexdigest()


def _sign_token(user: User, typ: str, jti: str, lifetime: timedelta) -> str:
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
    )
    return token.encode(settings.load().signing_keys[0], ALGORITHM)


def _build_pair(user: User, refresh_jti: str) -> Pair:
    return Pair(
        access=_sign_token(user, "access", secrets.token_hex(16), ACCESS_LIFETIME),
        refresh=_sign_token(user, "refresh", refresh_jti, REFRESH_LIFETIME),
    )


async def _store_refresh_token(user: int, family: str, parent: str | None = None) -> str:
    """Store a new refresh token and return its id; also delete the user's expired ones."""
    jti = secrets.token_hex(16)
    await RefreshToken.delete().where(
        RefreshToken.user == user, RefreshToken.expires_at <= database.seconds_from_now(0)
    )
    row = RefreshToken(
        jti=_hash_id(jti), family=family, user=user, parent=parent, expires_at=_refresh_expiry()
    )
    await RefreshToken.insert(row)
    return jti


def _refresh_expiry() -> datetime:
    return datetime.now(UTC) + REFRESH_LIFETIME + timedelta(seconds=CLOCK_LEEWAY_SECONDS)


async def issue_pair(user: User) -> Pair:
    """Start a family of tokens for a user who has just signed in."""
    family = secrets.token_hex(16)
    jti = await database.transaction(lambda: _store_refresh_token(user.id, family))
    return _build_pair(user, jti)


async def refresh_pair(encoded: str) -> Pair:
    """Exchange a refresh token for a new pair.

    Raises:
        errors.InvalidRefreshToken: it is not a refresh token, has expired, or its family was
            revoked.
    """
    try:
        token = SignedToken.decode(encoded, "", ALGORITHM)
    except NotAuthorizedException:
        raise errors.InvalidRefreshToken() from None
    user = await find_user(token)
    if token.typ != "refresh" or user is None:
        raise errors.InvalidRefreshToken()
    successor = await database.transaction(lambda: _use_refresh_token(_hash_id(str(token.jti))))
    if successor is None:
        raise errors.InvalidRefreshToken("The refresh token was already used; sign in again.")
    return _build_pair(user, successor)


async def find_user(token: SignedToken) -> User | None:
    """Return the active user of the token, if it was issued for the current password."""
    if not (token.sub.isascii() and token.sub.isdigit() and int(token.sub) <= MAX_USER_ID):
        return None
    user: User | None = await User.objects().where(User.id == int(token.sub)).first()
    if user is None or not user.active or token.pwd != password_fingerprint(user):
        return None
    return user


async def _use_refresh_token(jti: str) -> str | None:
    """Return the id of a successor of a token.

    Return None if the token is not valid. After an attempt to reuse it, also revoke its family.
    """
    columns = (RefreshToken.family, RefreshToken.user, RefreshToken.successor, RefreshToken.used_at)
    is_this = RefreshToken.jti == jti
    is_valid = RefreshToken.expires_at > database.seconds_from_now(0)
    rows = await database.for_no_key_update(RefreshToken.select(*columns).where(is_this, is_valid))
    if not rows:
        return None
    (row,) = rows
    now, grace = await database.now(), timedelta(seconds=REUSE_GRACE_SECONDS)
    if row["used_at"] is None:
        # It may have been replaced, but is in use now: it is valid for the full lifetime.
        await RefreshToken.update(
            {RefreshToken.used_at: now, RefreshToken.expires_at: _refresh_expiry()}
        ).where(is_this)
    elif now - row["used_at"] > grace and await _has_used_successor(row, jti):
        await RefreshToken.delete().where(RefreshToken.family == row["family"])
        return None
    if row["successor"] is not None:
        await _expire_soon(row["successor"])
    successor = await _store_refresh_token(row["user"], row["family"], parent=jti)
    await RefreshToken.update({RefreshToken.successor: _hash_id(successor)}).where(is_this)
    return successor


async def _has_used_successor(row: dict[str, Any], jti: str) -> bool:
    """Return whether a successor of this token was used."""
    # The family column has an index, the parent column has none; and a family has few tokens.
    is_successor = (RefreshToken.family == row["family"]) & (RefreshToken.parent == jti)
    used: bool = await RefreshToken.exists().where(is_successor, RefreshToken.used_at.is_not_null())
    return used


async def _expire_soon(jti: str) -> None:
    """Let an unused token expire soon."""
    soon = database.seconds_from_now(REUSE_GRACE_SECONDS)
    await RefreshToken.update({RefreshToken.expires_at: soon}).where(
        RefreshToken.jti == jti, RefreshToken.used_at.is_null()
    )


async def revoke_tokens(user: int) -> None:
    """End all refresh tokens of a user, and in this process also the cached access tokens."""
    token_cache.forget(user)
    await RefreshToken.delete().where(RefreshToken.user == user)
