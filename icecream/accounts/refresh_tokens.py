"""Refresh tokens: their exchange for the next pair of tokens, and the detection of reuse.

A refresh returns a new pair. A used refresh token that is sent again gets another successor, as
long as none of its successors was used: the response may have been lost, and clients of the
original service send their first refresh token repeatedly. After a successor was used, a used token
means that two parties hold the same token. Then the whole family is revoked (RFC 9700, section
4.14.2). For some seconds after its first use, a used token revokes nothing, because two tabs of a
page may refresh at the same time.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from icecream import database, errors
from icecream.accounts import tokens
from icecream.runtime.logs import security
from icecream.tables import RefreshToken, User

ACCESS_SECONDS = int(tokens.ACCESS_LIFETIME.total_seconds())
REFRESH_LIFETIME = timedelta(days=7)
# A used token may be sent again for this time after its first use. A replaced successor stays valid
# for this time. Requests that were sent at the same time may arrive this far apart on a slow
# network; for a thief the time is short.
REUSE_GRACE_SECONDS = 10

Jwt = Annotated[
    str, Meta(max_length=tokens.MAX_TOKEN_CHARACTERS, pattern=r"^[\w-]+\.[\w-]+\.[\w-]+$")
]


class Pair(Struct):
    """Send `access` as `Authorization: Bearer ...`; exchange `refresh` for the next pair.

    `access` expires in `expires_in` seconds (RFC 6749, 5.1).
    """

    access: Jwt
    refresh: Jwt
    expires_in: Annotated[int, Meta(ge=1, le=ACCESS_SECONDS)] = ACCESS_SECONDS


def _hash_id(jti: str) -> str:
    return hashlib.sha256(jti.encode()).hexdigest()


def _build_pair(user: User, family: str, refresh_jti: str) -> Pair:
    access_jti = secrets.token_hex(16)
    return Pair(
        access=tokens.sign_token(user, "access", access_jti, tokens.ACCESS_LIFETIME, family=family),
        refresh=tokens.sign_token(user, "refresh", refresh_jti, REFRESH_LIFETIME),
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
    return datetime.now(UTC) + REFRESH_LIFETIME + timedelta(seconds=tokens.CLOCK_LEEWAY_SECONDS)


async def issue_pair(user: User) -> Pair:
    """Start a family of tokens for a user who has just signed in."""
    family = secrets.token_hex(16)
    jti = await database.transaction(lambda: _store_refresh_token(user.id, family))
    return _build_pair(user, family, jti)


async def refresh_pair(encoded: str) -> Pair:
    """Exchange a refresh token for a new pair.

    Raises:
        errors.InvalidRefreshToken: it is not a refresh token, has expired, or its family was
            revoked.
    """
    token = tokens.verify_token(encoded)
    if token is None:
        raise errors.InvalidRefreshToken()
    user = await tokens.find_user(token)
    if token.typ != "refresh" or user is None:
        raise errors.InvalidRefreshToken()
    successor = await database.transaction(lambda: _exchange_or_revoke(_hash_id(str(token.jti))))
    if successor is None:
        security.log_event("refresh-token-refused", user=user.id)
        raise errors.InvalidRefreshToken("The refresh token was already used; sign in again.")
    return _build_pair(user, *successor)


async def _exchange_or_revoke(jti: str) -> tuple[str, str] | None:
    """Exchange a token: return its family and its successor's id, or None if it is not valid.

    If it was reused after its successor was used, revoke its whole family and return None.
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
    return row["family"], successor


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


async def find_family(encoded: str) -> tuple[int, str] | None:
    """Return the user and the family of an access or a refresh token, if it has not ended."""
    token = tokens.verify_token(encoded)
    if token is None:
        return None
    is_this = RefreshToken.jti == _hash_id(str(token.jti))
    if token.fam:
        is_this = RefreshToken.family == token.fam
    row = await RefreshToken.select(RefreshToken.user, RefreshToken.family).where(is_this).first()
    return (row["user"], row["family"]) if row else None


async def revoke_family(user: int, family: str) -> None:
    """End all tokens of this family."""
    await RefreshToken.delete().where(RefreshToken.family == family)
    # After the commit, so that the next check of such a token finds no family.
    tokens.token_cache.forget(user)


async def revoke_tokens(user: int) -> None:
    """End all refresh tokens of a user, in a transaction."""
    await RefreshToken.delete().where(RefreshToken.user == user)
