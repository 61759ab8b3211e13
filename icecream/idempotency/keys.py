"""Idempotency keys: a repeated request gets the stored response, and is not carried out again.

The rules follow draft-ietf-httpapi-idempotency-key-header. A key is stored in the transaction of
its request. So two simultaneous requests have one effect. After a crash between commit and answer,
the client repeats the request and gets the answer.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from icecream import database, errors
from icecream.tables import IdempotencyKey

T = TypeVar("T")
# The API document promises this time to clients.
KEY_LIFETIME = timedelta(days=7)
# A small number keeps the transaction short.
MAX_KEYS_PER_PRUNE = 1000
# The time to wait for another transaction that carries out the same request. Usually, it takes some
# milliseconds.
LOCK_TIMEOUT_SECONDS = 5
# The string of a structured field (RFC 9651, 3.3.3), or the same without quotes. Unquoted keys
# contain no spaces.
_QUOTED_KEY = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')
_UNQUOTED_KEY = re.compile(r"[!#-~]+")
MAX_KEY_LENGTH = 255


class RequestKey(Struct, frozen=True):
    """The Idempotency-Key of a user's request, and the fingerprint of the request."""

    user: int
    text: str
    fingerprint: str

    @property
    def name(self) -> tuple[int, str]:
        """The unique identity of the key."""
        return self.user, self.text


class StoredResponse(Struct):
    """The stored answer to a request, as JSON, and the order that the request created, if any."""

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
    text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else field
    if not (quoted or _UNQUOTED_KEY.fullmatch(field)) or len(text) > MAX_KEY_LENGTH:
        raise errors.IdempotencyKeyInvalid
    return text


def fingerprint(method: str, path: str, body: Struct) -> str:
    """Return a hash that identifies a request: its method, its path and its parsed body."""
    encoded = msgspec.json.encode([method, path.rstrip("/"), body], order="sorted")
    return hashlib.sha256(encoded).hexdigest()


def request_key(
    field: str | None, *, user: int, method: str, path: str, body: Struct
) -> RequestKey | None:
    """Return the key of a request, or None if it has none.

    Raises:
        errors.IdempotencyKeyInvalid: the field holds no valid key.
    """
    return (
        None
        if field is None
        else RequestKey(user, parse_key(field), fingerprint(method, path, body))
    )


_FIND_RESPONSES = database.select_unique(
    (IdempotencyKey.user, IdempotencyKey.key),
    (
        IdempotencyKey.user,
        IdempotencyKey.key,
        IdempotencyKey.fingerprint,
        IdempotencyKey.answer,
    ),
)


async def find_responses(keys: Iterable[RequestKey]) -> dict[tuple[int, str], StoredResponse]:
    """Return the stored answers under these keys, by the keys' names."""
    return to_responses(await _FIND_RESPONSES(response_query(keys)[1]))


def response_query(keys: Iterable[RequestKey]) -> database.BoundStatement:
    """Return the query of `find_responses`, to run it together with others."""
    return _FIND_RESPONSES, sorted({key.name for key in keys})


def to_responses(rows: Iterable[dict[str, Any]]) -> dict[tuple[int, str], StoredResponse]:
    """Return the stored answers for the result of `response_query`, by the keys' names."""
    found = [
        StoredResponse(RequestKey(row["user"], row["key"], row["fingerprint"]), row["answer"])
        for row in rows
    ]
    return {stored.key.name: stored for stored in found}


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
    skip_existing=True,
    complete=True,
)


async def store_responses(responses: Sequence[StoredResponse], *, at: datetime) -> None:
    """Store answers under their keys, within the transaction of the work.

    Keys are written in sorted order and last, to prevent deadlocks: a transaction that waits for a
    key holds no lock that the key's holder still needs.

    Raises:
        database.RetryTransaction: another transaction stored the key first.
        errors.IdempotencyKeyInUse: another transaction is still carrying the request out.
    """
    statement, rows = response_insert(responses, at=at)
    try:
        async with asyncio.timeout(LOCK_TIMEOUT_SECONDS):
            written = await statement(rows)
    except TimeoutError:
        raise errors.IdempotencyKeyInUse from None
    if len(written) < len(rows):
        raise database.RetryTransaction


def response_insert(
    responses: Sequence[StoredResponse], *, at: datetime
) -> database.BoundStatement:
    """Return the insert of `store_responses`; it returns one row for each key that it inserts."""
    return _INSERT_KEYS, [
        (
            *response.key.name,
            response.fingerprint,
            response.order,
            response.status,
            response.answer,
            at,
        )
        for response in sorted(responses, key=lambda response: response.key.name)
    ]


async def run_once(
    key: RequestKey | None,
    work: Callable[[], Awaitable[T]],
    answer_type: type[T],
    *,
    status: int = 200,
) -> tuple[T, bool]:
    """Do some work in one transaction, or return the earlier answer under this key.

    Args:
        answer_type: the type of the answer, a struct, which is stored as JSON.
        status: the HTTP status of the answer.

    Returns:
        The answer, and whether it is a replay.

    Raises:
        errors.IdempotencyKeyReused: the key was used for another request.
    """
    if key is None:
        return await database.transaction(work), False

    async def run() -> tuple[T, bool]:
        if found := await _stored_answer(key, answer_type):
            return found, True
        answer = await work()
        text = msgspec.json.encode(answer).decode()
        await store_responses([StoredResponse(key, text, status=status)], at=datetime.now(UTC))
        return answer, False

    try:
        return await database.transaction(run)
    except (errors.Refusal, *database.CONSTRAINT_VIOLATIONS):
        # Another process may have carried out the same request first: it took the last stock, or
        # started the refund that is now in progress.
        if found := await _stored_answer(key, answer_type):
            return found, True
        raise


async def _stored_answer(key: RequestKey, answer_type: type[T]) -> T | None:
    """Return the earlier answer under this key, if any.

    Raises:
        errors.IdempotencyKeyReused: the key was used for another request.
    """
    stored = (await find_responses([key])).get(key.name)
    if stored is None:
        return None
    if stored.fingerprint != key.fingerprint:
        raise errors.IdempotencyKeyReused
    return msgspec.json.decode(stored.answer, type=answer_type)


async def prune_keys() -> bool:
    """Delete some expired keys; return True if there may be more."""
    table, cutoff = IdempotencyKey, datetime.now(UTC) - KEY_LIFETIME
    old = table.select(table.id).where(table.created_at < cutoff).limit(MAX_KEYS_PER_PRUNE)
    rows = await old
    if rows:
        await table.delete().where(database.is_any(table.id, [row["id"] for row in rows]))
    return len(rows) == MAX_KEYS_PER_PRUNE
