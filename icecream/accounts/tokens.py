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
ACCESS, REFRESH = timedelta(minutes=15), timedelta(days=7)
# Maximum difference in seconds between the clocks of two machines.
LEEWAY = 10
# A used token may be sent again for this many seconds after its first use. A replaced successor
# stays valid for this many seconds. Requests that were sent at the same time may arrive this far
# apart on a slow network; for a thief the time is short.
GRACE_SECONDS = 10
# Our tokens have about 400 characters; longer ones are not decoded.
LONGEST = 2048
MAX_USER = 2**31 - 1  # Piccolo's user ids are 32-bit integers.
CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti", "typ", "pwd"]


Jwt = Annotated[str, Meta(max_length=LONGEST, pattern=r"^[\w-]+\.[\w-]+\.[\w-]+$")]


class Pair(Struct):
    """Send `access` as `Authorization: Bearer ...`; trade `refresh` for the next pair."""

    access: Jwt
    refresh: Jwt


@dataclass
class Signed(Token):
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
        if len(encoded_token) > LONGEST:
            raise jwt.InvalidTokenError("too long")
        for key in settings.load().signing_keys:
            try:
                return jwt.decode(
                    encoded_token,
                    key,
                    algorithms=algorithms,
                    issuer=ISSUER,
                    audience=AUDIENCE,
                    leeway=LEEWAY,
                    options={"require": CLAIMS, "strict_aud": True},
                )
            except jwt.InvalidSignatureError:
                continue
        raise jwt.InvalidTokenError("signed by nobody we know")


class AccessToken(Signed):
    """A token for the API; not valid as a refresh token, nor a refresh token as this one."""

    @classmethod
    def decode_payload(cls, *args: Any, **kwargs: Any) -> Any:
        payload = super().decode_payload(*args, **kwargs)
        if payload["typ"] != "access":
            raise jwt.InvalidTokenError("not an access token")
        return payload


class _Known(Struct):
    token: AccessToken
    user: User
    checked: float
    being_checked: bool = False


class Memory:
    """A cache of tokens that were recently found valid, which saves a busy caller's lookups.

    After half of `longest` seconds, one caller checks the token again in full, while the others
    still use the cache. So `longest` is the maximum time for which a revoked token still works in
    any process. The same holds for a token whose account was deactivated or got another password.
    """

    def __init__(self, *, longest: float, room: int) -> None:
        self._longest, self._room = longest, room
        self._known: dict[str, _Known] = {}
        self._forgot = 0.0

    def find(self, encoded: str) -> tuple[AccessToken, User] | None:
        """Return the token and its user; None if the caller must check it in full."""
        if (known := self._known.get(encoded)) is None:
            return None
        age = time.monotonic() - known.checked
        if age >= self._longest or known.token.exp <= datetime.now(UTC):
            del self._known[encoded]
            return None
        if age >= self._longest / 2 and not known.being_checked:
            known.being_checked = True
            return None
        return known.token, known.user

    def keep(self, encoded: str, token: AccessToken, user: User, *, checked: float) -> None:
        """Cache a token whose full check began at the (monotonic) time `checked`."""
        self._known.pop(encoded, None)
        if checked < self._forgot:
            # The check may have read data from before a `forget`.
            return
        if len(self._known) >= self._room:
            del self._known[next(iter(self._known))]
        self._known[encoded] = _Known(token, user, checked)

    def drop(self, encoded: str) -> None:
        """Remove a token that was found invalid."""
        self._known.pop(encoded, None)

    def forget(self, user: int) -> None:
        """Make all tokens of this user be checked in full again."""
        self._forgot = time.monotonic()
        for encoded in [one for one, known in self._known.items() if known.user.id == user]:
            del self._known[encoded]


known = Memory(longest=1, room=10_000)


def fingerprint(user: User) -> str:
    """Return a hash that changes with the password, so that a new password ends all old tokens."""
    return hashlib.sha256(user.password.encode()).hexdigest()[:16]


def _hash(jti: str) -> str:
    return hashlib.sha256(jti.encode()).hexdigest()


def _sign(user: User, typ: str, jti: str, life: timedelta) -> str:
    now = datetime.now(UTC)
    token = Signed(
        sub=str(user.id),
        iss=ISSUER,
        aud=AUDIENCE,
        jti=jti,
        iat=now,
        exp=now + life,
        typ=typ,
        pwd=fingerprint(user),
    )
    return token.encode(settings.load().signing_keys[0], ALGORITHM)


def _pair(user: User, refresh_jti: str) -> Pair:
    return Pair(
        access=_sign(user, "access", secrets.token_hex(16), ACCESS),
        refresh=_sign(user, "refresh", refresh_jti, REFRESH),
    )


async def _remember(user: int, family: str, parent: str | None = None) -> str:
    """Store a new refresh token and return its id; also delete the user's expired ones."""
    jti = secrets.token_hex(16)
    await RefreshToken.delete().where(
        RefreshToken.user == user, RefreshToken.expires_at <= database.seconds_from_now(0)
    )
    row = RefreshToken(
        jti=_hash(jti), family=family, user=user, parent=parent, expires_at=_expiry()
    )
    await RefreshToken.insert(row)
    return jti


def _expiry() -> datetime:
    return datetime.now(UTC) + REFRESH + timedelta(seconds=LEEWAY)


async def first(user: User) -> Pair:
    """Start a family of tokens for a user who has just signed in."""
    family = secrets.token_hex(16)
    jti = await database.transaction(lambda: _remember(user.id, family))
    return _pair(user, jti)


async def refresh(encoded: str) -> Pair:
    """Exchange a refresh token for a new pair.

    Raises:
        errors.InvalidRefreshToken: it is not a refresh token, has expired, or its family was
            revoked.
    """
    try:
        token = Signed.decode(encoded, "", ALGORITHM)
    except NotAuthorizedException:
        raise errors.InvalidRefreshToken() from None
    user = await holder(token)
    if token.typ != "refresh" or user is None:
        raise errors.InvalidRefreshToken()
    successor = await database.transaction(lambda: _spend(_hash(str(token.jti))))
    if successor is None:
        raise errors.InvalidRefreshToken("The refresh token was used before; sign in again.")
    return _pair(user, successor)


async def holder(token: Signed) -> User | None:
    """Return the active user of the token, if it was issued for the current password."""
    if not (token.sub.isascii() and token.sub.isdigit() and int(token.sub) <= MAX_USER):
        return None
    user: User | None = await User.objects().where(User.id == int(token.sub)).first()
    if user is None or not user.active or token.pwd != fingerprint(user):
        return None
    return user


async def _spend(jti: str) -> str | None:
    """Return the id of a successor of a token.

    Return None if the token is not valid. After an attempt to reuse it, also revoke its family.
    """
    columns = (RefreshToken.family, RefreshToken.user, RefreshToken.successor, RefreshToken.used_at)
    mine = RefreshToken.jti == jti
    valid = RefreshToken.expires_at > database.seconds_from_now(0)
    held = await database.locked(RefreshToken.select(*columns).where(mine, valid))
    if not held:
        return None
    (row,) = held
    now = await database.now()
    if row["used_at"] is None:
        # It may have been replaced, but is in use now: it is valid as long as any other.
        await RefreshToken.update(
            {RefreshToken.used_at: now, RefreshToken.expires_at: _expiry()}
        ).where(mine)
    elif now - row["used_at"] > timedelta(seconds=GRACE_SECONDS) and await _has_heir(row, jti):
        await RefreshToken.delete().where(RefreshToken.family == row["family"])
        return None
    if row["successor"] is not None:
        await _replace(row["successor"])
    successor = await _remember(row["user"], row["family"], parent=jti)
    await RefreshToken.update({RefreshToken.successor: _hash(successor)}).where(mine)
    return successor


async def _has_heir(row: dict[str, Any], jti: str) -> bool:
    """Return whether a successor of this token was used."""
    # Families have an index, parents have none; and a family has few tokens.
    made = (RefreshToken.family == row["family"]) & (RefreshToken.parent == jti)
    used: bool = await RefreshToken.exists().where(made, RefreshToken.used_at.is_not_null())
    return used


async def _replace(jti: str) -> None:
    """Let an unused token expire soon."""
    soon = database.seconds_from_now(GRACE_SECONDS)
    await RefreshToken.update({RefreshToken.expires_at: soon}).where(
        RefreshToken.jti == jti, RefreshToken.used_at.is_null()
    )


async def revoke(user: int) -> None:
    """End all refresh tokens of a user, and in this process also the cached access tokens."""
    known.forget(user)
    await RefreshToken.delete().where(RefreshToken.user == user)
