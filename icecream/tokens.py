"""Access and refresh tokens: both signed, each good for its own purpose only.

A refresh gives a new pair. A spent refresh token that comes back gets another successor as long as
none of its successors was used: the answer may have been lost, and the original's clients use their
first refresh token again and again. Once a successor was used, a spent token means that two parties
hold the same one, and the whole family is revoked (RFC 9700, section 4.14.2). For some
seconds after its first use a spent token revokes nothing: two tabs of a page may refresh at once.
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
# Seconds by which two machines' clocks may differ.
LEEWAY = 10
# A spent token may come back for so many seconds after its first use, and a successor that was
# replaced works for so many seconds more. It is as long as requests sent at the same time may be
# apart on a slow network, and short for a thief.
GRACE_SECONDS = 10
# Ours have some 400 characters; nobody's work is wasted on more.
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
    """Litestar's token, with its purpose, and bound to the password it was given for."""

    typ: str = ""
    pwd: str = ""

    def __post_init__(self) -> None:
        """The times were checked with leeway while decoding; Litestar would again, without."""

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
    """Opens the API; refused where a refresh token is asked for, and the other way round."""

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
    """Tokens that were found good a moment ago, so that a busy caller is not looked up each time.

    After half of `longest` seconds one caller checks the token again in full, while the others go
    on. So `longest` is how long a revoked token, or one of an account that was shut or got another
    password, may still open the API, in any process.
    """

    def __init__(self, *, longest: float, room: int) -> None:
        self._longest, self._room = longest, room
        self._known: dict[str, _Known] = {}
        self._forgot = 0.0

    def find(self, encoded: str) -> tuple[AccessToken, User] | None:
        """The token and its holder; None if it is to be checked in full, by whoever asked."""
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
        """Remember a token whose full check began at that time (monotonic)."""
        self._known.pop(encoded, None)
        if checked < self._forgot:
            # What it found may be what was to be forgotten.
            return
        if len(self._known) >= self._room:
            del self._known[next(iter(self._known))]
        self._known[encoded] = _Known(token, user, checked)

    def drop(self, encoded: str) -> None:
        """It was found to be no good."""
        self._known.pop(encoded, None)

    def forget(self, user: int) -> None:
        """Check every token of this user in full again."""
        self._forgot = time.monotonic()
        for encoded in [one for one, known in self._known.items() if known.user.id == user]:
            del self._known[encoded]


known = Memory(longest=1, room=10_000)


def fingerprint(user: User) -> str:
    """Changes with the password, and with it every token given for the old one ends."""
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
    """Give out an id for a refresh token; the user's expired ones are dropped meanwhile."""
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
    """Begin a family of tokens for somebody who just signed in."""
    family = secrets.token_hex(16)
    jti = await database.transaction(lambda: _remember(user.id, family))
    return _pair(user, jti)


async def refresh(encoded: str) -> Pair:
    """Trade a refresh token for a new pair.

    Raises:
        errors.InvalidRefreshToken: it is not one, or it is over, or its family was revoked.
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
    """The active user whom the token names, if it was given for the present password."""
    if not (token.sub.isascii() and token.sub.isdigit() and int(token.sub) <= MAX_USER):
        return None
    user: User | None = await User.objects().where(User.id == int(token.sub)).first()
    if user is None or not user.active or token.pwd != fingerprint(user):
        return None
    return user


async def _spend(jti: str) -> str | None:
    """The successor's id for a token's; None if there is none, revoking what a thief may hold."""
    columns = (RefreshToken.family, RefreshToken.user, RefreshToken.successor, RefreshToken.used_at)
    mine = RefreshToken.jti == jti
    valid = RefreshToken.expires_at > database.seconds_from_now(0)
    held = await database.locked(RefreshToken.select(*columns).where(mine, valid))
    if not held:
        return None
    (row,) = held
    now = await database.now()
    if row["used_at"] is None:
        # It may have been replaced, and is in use now: it is kept as long as any other.
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
    """Whether a token that was made from this one was used."""
    # There is an index on families, and a family has few tokens; there is none on parents.
    made = (RefreshToken.family == row["family"]) & (RefreshToken.parent == jti)
    used: bool = await RefreshToken.exists().where(made, RefreshToken.used_at.is_not_null())
    return used


async def _replace(jti: str) -> None:
    """Let a token that was not used end soon."""
    soon = database.seconds_from_now(GRACE_SECONDS)
    await RefreshToken.update({RefreshToken.expires_at: soon}).where(
        RefreshToken.jti == jti, RefreshToken.used_at.is_null()
    )


async def revoke(user: int) -> None:
    """End every refresh token of a user, and in this process every access token at once."""
    known.forget(user)
    await RefreshToken.delete().where(RefreshToken.user == user)
