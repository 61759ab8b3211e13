"""Idempotency-Key: a request that comes again under its key is answered again, not carried out.

The rules are those of draft-ietf-httpapi-idempotency-key-header. A key is kept in the transaction
of what was done under it: two at once have one effect, and a crash between commit and answer is
mended by asking again.
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
# How long a key is remembered, as we promise; and how many old ones are forgotten in one step.
LIFE, STEP = timedelta(days=7), 1000
# Seconds to wait for whoever is carrying out the same request; some milliseconds are usual.
PATIENCE = 5
# A structured field's string (RFC 9651, 3.3.3), or the same bare. Without spaces.
_QUOTED = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')
_BARE = re.compile(r"[!#-~]+")
LONGEST = 255


class Key(Struct, frozen=True):
    """A user's word for a request, and what the request was."""

    user: int
    word: str
    fingerprint: str

    @property
    def name(self) -> tuple[int, str]:
        """What there is only once."""
        return self.user, self.word


class Kept(Struct):
    """What was answered, as JSON, to a request that came under a key; the order it made, if any."""

    key: Key
    answer: str
    order: int | None = None
    status: int = 200

    @property
    def fingerprint(self) -> str:
        """Of the request."""
        return self.key.fingerprint


def read(field: str) -> str:
    """The key in a header field.

    Raises:
        errors.IdempotencyKeyInvalid: it is none.
    """
    quoted = _QUOTED.fullmatch(field)
    word = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else field
    if not (quoted or _BARE.fullmatch(field)) or len(word) > LONGEST:
        raise errors.IdempotencyKeyInvalid
    return word


def fingerprint(method: str, path: str, body: Struct) -> str:
    """Tells one request from another: by its method, its path and its body as it was understood."""
    text = msgspec.json.encode([method, path.rstrip("/"), body], order="sorted")
    return hashlib.sha256(text).hexdigest()


def of(field: str | None, *, user: int, method: str, path: str, body: Struct) -> Key | None:
    """The key under which a request came, if it has one.

    Raises:
        errors.IdempotencyKeyInvalid: the field holds none.
    """
    return None if field is None else Key(user, read(field), fingerprint(method, path, body))


async def find(keys: Iterable[Key]) -> dict[tuple[int, str], Kept]:
    """What was kept under these keys, by their names."""
    table, wanted = IdempotencyKey, {key.name for key in keys}
    if not wanted:
        return {}
    users, words = (sorted(set(values)) for values in zip(*wanted, strict=True))
    rows = await table.select(table.user, table.key, table.fingerprint, table.answer).where(
        table.user.is_in(users), table.key.is_in(words)
    )
    found = [Kept(Key(row["user"], row["key"], row["fingerprint"]), row["answer"]) for row in rows]
    return {kept.key.name: kept for kept in found}


_KEYS = database.insert(
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


async def keep(done: Sequence[Kept], *, at: datetime) -> None:
    """Remember what was done, within the transaction that did it.

    Sorted, and last of all: who waits for a key holds nothing that its holder still wants.

    Raises:
        database.Again: meanwhile somebody else did it.
        errors.IdempotencyKeyInUse: somebody else is still doing it.
    """
    rows = [
        (*one.key.name, one.fingerprint, one.order, one.status, one.answer, at)
        for one in sorted(done, key=lambda one: one.key.name)
    ]
    try:
        async with asyncio.timeout(PATIENCE):
            written = await _KEYS(rows)
    except TimeoutError:
        raise errors.IdempotencyKeyInUse from None
    if len(written) < len(rows):
        raise database.Again


async def once(
    key: Key | None, work: Callable[[], Awaitable[T]], kind: type[T], *, status: int = 200
) -> tuple[T, bool]:
    """Do some work in one transaction, or answer as it was answered before under this key.

    Args:
        kind: the type of the answer, a struct, which is kept as JSON.
        status: of the answer over HTTP.

    Returns:
        The answer, and whether it is a replay.

    Raises:
        errors.IdempotencyKeyReused: the key came with another request.
    """
    if key is None:
        return await database.transaction(work), False

    async def run() -> tuple[T, bool]:
        if found := await _replay(key, kind):
            return found, True
        answer = await work()
        text = msgspec.json.encode(answer).decode()
        await keep([Kept(key, text, status=status)], at=datetime.now(UTC))
        return answer, False

    try:
        return await database.transaction(run)
    except (errors.Refusal, *database.REFUSED):
        # Perhaps because the same request was carried out by another process meanwhile: it took
        # the last of the stock, or began the refund that is now under way.
        if found := await _replay(key, kind):
            return found, True
        raise


async def _replay(key: Key, kind: type[T]) -> T | None:
    """What was answered under this key before, if anything.

    Raises:
        errors.IdempotencyKeyReused: the key came with another request.
    """
    kept = (await find([key])).get(key.name)
    if kept is None:
        return None
    if kept.fingerprint != key.fingerprint:
        raise errors.IdempotencyKeyReused
    return msgspec.json.decode(kept.answer, type=kind)


async def prune() -> bool:
    """Forget some keys whose time is over; True if there may be more."""
    table, over = IdempotencyKey, datetime.now(UTC) - LIFE
    old = table.select(table.id).where(table.created_at < over).limit(STEP)
    rows = await old
    if rows:
        await table.delete().where(table.id.is_in([row["id"] for row in rows]))
    return len(rows) == STEP
