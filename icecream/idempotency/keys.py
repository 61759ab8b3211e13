"""Idempotency keys: a repeated request gets the first answer, and is not carried out again.

The rules follow draft-ietf-httpapi-idempotency-key-header. A key is stored in the transaction of
its request. So two simultaneous requests have one effect. After a crash between commit and answer,
the client repeats the request and gets the answer.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
from msgspec import Struct

from icecream import database, errors
from icecream.tables import IdempotencyKey

T = TypeVar("T")
# How long a key is remembered, as promised to clients, and how many old keys are deleted in one
# step.
KEY_LIFETIME, MAX_KEYS_PER_PRUNE = timedelta(days=7), 1000
# Seconds to wait for another transaction that carries out the same request. Some milliseconds are
# usual.
LOCK_TIMEOUT_SECONDS = 5
# The string of a structured field (RFC 9651, 3.3.3), or the same without quotes. Unquoted keys
# contain no spaces.
_QUOTED_KEY = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')
_UNQUOTED_KEY = re.compile(r"[!#-~]+")
MAX_KEY_LENGTH = 255


class RequestKey(Struct, frozen=True):
    """The key that a user sent with a request, and the fingerprint of the request."""

    user: int
    word: str
    fingerprint: str

    @property
    def name(self) -> tuple[int, str]:
        """The unique identity of the key."""
        return self.user, self.word


class StoredResponse(Struct):
    """The stored answer, as JSON, to a request with a key, and the order created, if any."""

    key: RequestKey
    answer: str
    order: int | None = None
    status: int = 200

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the request."""
        return self.key.fingerprint


def parse_key(field: str) -> str:
    """Return the key in a header field.

    Raises:
        errors.IdempotencyKeyInvalid: the field holds no valid key.
    """
    quoted = _QUOTED_KEY.fullmatch(field)
    word = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else field
    if not (quoted or _UNQUOTED_KEY.fullmatch(field)) or len(word) > MAX_KEY_LENGTH:
        raise errors.IdempotencyKeyInvalid
    return word


def fingerprint(method: str, path: str, body: Struct) -> str:
    """Return a hash that identifies a request: its method, its path and its parsed body."""
    text = msgspec.json.encode([method, path.rstrip("/"), body], order="sorted")
    return hashlib.sha256(text).hexdigest()


def request_key(
    field: str | None, *, user: int, method: str, path: str, body: Struct
) -> RequestKey | None:
    """Return the key of a request, if it has one.

    Raises:
        errors.IdempotencyKeyInvalid: the field holds no valid key.
    """
    return (
        None
        if field is None
        else RequestKey(user, parse_key(field), fingerprint(method, path, body))
    )


async def find_responses(keys: Iterable[RequestKey]) -> dict[tuple[int, str], StoredResponse]:
    """Return the stored answers under these keys, by the keys' names."""
    table, wanted = IdempotencyKey, {key.name for key in keys}
    if not wanted:
        return {}
    users, words = (sorted(set(values)) for values in zip(*wanted, strict=True))
    rows = await table.select(table.user, table.key, table.fingerprint, table.answer).where(
        table.user.is_in(users), table.key.is_in(words)
    )
    found = [
        StoredResponse(RequestKey(row["user"], row["key"], row["fingerprint"]), row["answer"])
        for row in rows
    ]
    return {kept.key.name: kept for kept in found}


_INSERT_KEYS = database.insert(
    IdempotencyKey,
    (
        IdempotencyKey.user,
        IdempotencyKey.key,
        IdempotencyKey.fingerprint,
        IdempotencyKey.order,
        IdempotencyKey.status,
        IdempotencyKey.answer,
        IdempotencyKey.created_at,
    ),
    returning=(IdempotencyKey.id,),
    anew=True,
)


async def store_responses(done: Sequence[StoredResponse], *, at: datetime) -> None:
    """Store answers under their keys, within the transaction of the work.

    Keys are written in sorted order and last, to prevent deadlocks: a transaction that waits for a
    key holds no lock that the key's holder still needs.

    Raises:
        database.Again: another transaction stored the key first.
        errors.IdempotencyKeyInUse: another transaction is still carrying the request out.
    """
    rows = [
        (*one.key.name, one.fingerprint, one.order, one.status, one.answer, at)
        for one in sorted(done, key=lambda one: one.key.name)
    ]
    try:
        async with asyncio.timeout(LOCK_TIMEOUT_SECONDS):
            written = await _INSERT_KEYS(rows)
    except TimeoutError:
        raise errors.IdempotencyKeyInUse from None
    if len(written) < len(rows):
        raise database.Again


async def run_once(
    key: RequestKey | None, work: Callable[[], Awaitable[T]], kind: type[T], *, status: int = 200
) -> tuple[T, bool]:
    """Do some work in one transaction, or return the earlier answer under this key.

    Args:
        kind: the type of the answer, a struct, which is stored as JSON.
        status: the HTTP status of the answer.

    Returns:
        The answer, and whether it is a replay.

    Raises:
        errors.IdempotencyKeyReused: the key came with another request.
    """
    if key is None:
        return await database.transaction(work), False

    async def run() -> tuple[T, bool]:
        if found := await _stored_answer(key, kind):
            return found, True
        answer = await work()
        text = msgspec.json.encode(answer).decode()
        await store_responses([StoredResponse(key, text, status=status)], at=datetime.now(UTC))
        return answer, False

    try:
        return await database.transaction(run)
    except (errors.Refusal, *database.REFUSED):
        # Another process may have carried out the same request first: it took the last stock, or
        # began the refund that is now under way.
        if found := await _stored_answer(key, kind):
            return found, True
        raise


async def _stored_answer(key: RequestKey, kind: type[T]) -> T | None:
    """Return the earlier answer under this key, if any.

    Raises:
        errors.IdempotencyKeyReused: the key came with another request.
    """
    kept = (await find_responses([key])).get(key.name)
    if kept is None:
        return None
    if kept.fingerprint != key.fingerprint:
        raise errors.IdempotencyKeyReused
    return msgspec.json.decode(kept.answer, type=kind)


async def prune_keys() -> bool:
    """Delete some expired keys; return True if there may be more."""
    table, over = IdempotencyKey, datetime.now(UTC) - KEY_LIFETIME
    old = table.select(table.id).where(table.created_at < over).limit(MAX_KEYS_PER_PRUNE)
    rows = await old
    if rows:
        await table.delete().where(table.id.is_in([row["id"] for row in rows]))
    return len(rows) == MAX_KEYS_PER_PRUNE
