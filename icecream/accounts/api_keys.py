"""API keys: secrets for programs, which act for an account within their scopes.

A key is `ice_`, a public prefix that finds its row, and a secret. Only the hash of the whole key is
stored. One round of SHA-256 is enough, because 192 random bits cannot be guessed.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from icecream import change_history, database, errors
from icecream.accounts import tokens
from icecream.runtime import logs
from icecream.runtime.logs import security
from icecream.tables import ApiKey, User

# What a key allows: to read; to place, cancel and pay orders, and to read; to act as staff.
READ, ORDER, STAFF = SCOPES = ("read", "order", "staff")
# Scanners of repositories find leaked keys by this form.
START = "ice_"
_KEY_PATTERN = re.compile(r"ice_([0-9a-f]{12})_[0-9a-f]{48}")
PREFIX_BYTES, SECRET_BYTES = 6, 24
# More than an account has programs; it bounds the list.
MAX_KEYS = 50
# The last use is written at most once in this time, and this long after the first use.
USE_WRITE_INTERVAL = timedelta(minutes=1)
USE_WRITE_DELAY_SECONDS = 1.0
NEVER = datetime.max.replace(tzinfo=UTC)
NOT_STAFF = "Only an account of staff can have a key with the scope staff."
NO_ACCESS = "scopes must contain read or order."
PAST = "expires_at must be in the future."
COLUMNS = (
    ApiKey.id,
    ApiKey.user,
    ApiKey.name,
    ApiKey.prefix,
    ApiKey.scopes,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.last_used_at,
)
NOT_REVOKED = ApiKey.revoked_at.is_null()


class KeyAccess(Struct, frozen=True):
    """What a valid key allows, and until when; `scopes` that include others name them too."""

    id: int
    scopes: frozenset[str]
    exp: datetime


class KeyUses:
    """The keys that were used, for one task that writes them: no request waits for it."""

    def __init__(self) -> None:
        self._used: set[int] = set()
        self._is_used = asyncio.Event()

    def add(self, key: int, last_used_at: datetime | None) -> None:
        """Note a use, unless the stored one is recent enough."""
        if last_used_at is None or datetime.now(UTC) - last_used_at >= USE_WRITE_INTERVAL:
            self._used.add(key)
            self._is_used.set()

    async def write(self) -> None:
        """Write the uses since the last call; some may be lost while the database is away."""
        used, self._used = self._used, set()
        self._is_used.clear()
        if used:
            is_used = database.is_any(ApiKey.id, sorted(used))
            await ApiKey.update({ApiKey.last_used_at: datetime.now(UTC)}).where(is_used)

    async def write_repeatedly(self) -> None:
        """Write the uses shortly after they were noted, until the task is canceled."""
        while True:
            await self._is_used.wait()
            await asyncio.sleep(USE_WRITE_DELAY_SECONDS)
            try:
                await self.write()
            except database.DATABASE_UNAVAILABLE as error:
                logs.DATABASE_OUTAGE.record_failure(error)


key_uses = KeyUses()


def _hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _expand_scopes(scopes: str) -> frozenset[str]:
    """Return the scopes, with those that they include."""
    found = frozenset(scopes.split())
    return found | {READ} if ORDER in found else found


def as_shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `COLUMNS` as its owner sees it."""
    return row | {"prefix": START + row["prefix"], "scopes": row["scopes"].split()}


async def verify_key(key: str) -> tuple[KeyAccess, User] | None:
    """Return what a key allows, and its active user; None if it is unknown or has ended.

    Without the scope `staff`, the user is a customer, also if the account is staff.
    """
    match = _KEY_PATTERN.fullmatch(key)
    if match is None:
        return None
    row = await ApiKey.select(*COLUMNS, ApiKey.hash).where(ApiKey.prefix == match[1], NOT_REVOKED)
    if not row or not hmac.compare_digest(row[0]["hash"], _hash_key(key)):
        return None
    access = KeyAccess(
        row[0]["id"], _expand_scopes(row[0]["scopes"]), row[0]["expires_at"] or NEVER
    )
    user: User | None = await User.objects().where(User.id == row[0]["user"]).first()
    if user is None or not user.active or access.exp <= datetime.now(UTC):
        return None
    if STAFF not in access.scopes:
        user.admin = user.superuser = False
    key_uses.add(access.id, row[0]["last_used_at"])
    return access, user


async def create_key(
    user: int,
    name: str,
    scopes: Collection[str],
    *,
    expires_at: datetime | None = None,
    by: int | None = None,
) -> tuple[dict[str, Any], str]:
    """Create a key; return its row and the key itself, which is not stored.

    Raises:
        errors.NotFound: there is no such active account.
        errors.TooManyApiKeys: the account has `MAX_KEYS`.
        errors.ValidationFailed: the scopes or the expiry are not possible.
    """
    prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_hex(SECRET_BYTES)
    key = f"{START}{prefix}_{secret}"
    row = ApiKey(
        user=user,
        name=name,
        prefix=prefix,
        hash=_hash_key(key),
        scopes=" ".join(scope for scope in SCOPES if scope in scopes),
        created_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    _require_possible(scopes, expires_at)

    async def create() -> None:
        # The lock also orders the creations, so that their number is exact.
        owners = await database.for_no_key_update(User.select().where(User.id == user))
        if not owners or not owners[0]["active"]:
            raise errors.NotFound("There is no such active account.")
        if STAFF in scopes and not owners[0]["admin"]:
            raise errors.ValidationFailed("/scopes", "not-staff", NOT_STAFF)
        if await ApiKey.count().where(ApiKey.user == user, NOT_REVOKED) >= MAX_KEYS:
            raise errors.TooManyApiKeys
        await row.save()
        await change_history.record_changes("user", user, {}, {"api_key": _describe(row)}, by=by)

    await database.transaction(create)
    security.log_event("api-key-created", user=user, by=by, key=row.id)
    return {column._meta.name: getattr(row, column._meta.name) for column in COLUMNS}, key


def _require_possible(scopes: Collection[str], expires_at: datetime | None) -> None:
    if not {READ, ORDER} & set(scopes):
        raise errors.ValidationFailed("/scopes", "invalid", NO_ACCESS)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise errors.ValidationFailed("/expires_at", "invalid", PAST)


def _describe(row: ApiKey) -> str:
    """Return what the history of the account says about a key."""
    return f"{row.name} ({START}{row.prefix}): {row.scopes}"


async def revoke_key(key: int, *, user: int | None, by: int | None = None) -> None:
    """Revoke a key, of this user only, or of any; it ends within a second in every process.

    Raises:
        errors.NotFound: there is no such key, or it is already revoked.
    """
    row: ApiKey | None = None

    async def revoke() -> None:
        nonlocal row
        is_this = (ApiKey.id == key) & NOT_REVOKED
        if user is not None:
            is_this &= ApiKey.user == user
        await database.for_no_key_update(ApiKey.select(ApiKey.id).where(is_this))
        row = await ApiKey.objects().where(is_this).first()
        if row is None:
            raise errors.NotFound
        await ApiKey.update({ApiKey.revoked_at: datetime.now(UTC)}).where(ApiKey.id == key)
        before, after = {"api_key": _describe(row)}, {"api_key": None}
        await change_history.record_changes("user", row.user, before, after, by=by)

    await database.transaction(revoke)
    assert row is not None
    # After the commit, so that the next check of the key finds that it has ended.
    tokens.token_cache.forget(row.user)
    security.log_event("api-key-revoked", user=row.user, by=by, key=key)
