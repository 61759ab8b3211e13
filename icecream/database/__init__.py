"""The engine for SQLite or PostgreSQL; transactions that cannot leak, and are tried again."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
from piccolo.columns import Column
from piccolo.query import Select
from piccolo.table import Table

from icecream import settings
from icecream.database.postgres import Postgres
from icecream.database.sqlite import InUse, SQLite

__all__ = ["DB", "InUse", "Postgres", "SQLite", "add", "running", "transaction", "unlocked"]
T = TypeVar("T")

# The database asks to try again after a serialization failure (40001) or a deadlock (40P01).
AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
TRIES = 10
# What it looks like when the database cannot answer now: it is away, full, locked or too slow.
# After one of these during COMMIT nobody knows the outcome, so none of them is tried again here.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,
    *AGAIN,
    sqlite3.OperationalError,
)
# The database refused a row: a unique, check or foreign key constraint.
REFUSED = (asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError)


def _engine() -> SQLite | Postgres:
    current = settings.load()
    if current.embedded:
        return SQLite(current.database_path)
    return Postgres(current.database_url)


DB = _engine()


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Hold the pool of connections open."""
    try:
        # Within: an open that is interrupted leaves threads, which would keep the process alive.
        await DB.start()
        yield
    finally:
        await DB.stop()


async def transaction(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` in one transaction, from the start again when the database says so.

    `work` may run several times and must have no effect but on the database.
    A failed COMMIT of unknown outcome is raised, never retried.
    """
    for again in range(TRIES):
        try:
            async with DB.transaction():
                return await work()
        except AGAIN:
            if again == TRIES - 1:
                raise
            await asyncio.sleep(random.uniform(0, 0.005 * 2**again))
    raise AssertionError("unreachable")


async def add(
    table: type[Table],
    *,
    keys: Sequence[Column],
    sums: Sequence[Column],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Add to counters, making the ones that are missing, in one statement.

    Each row holds the keys' values, then what is added to each sum. Rows must be sorted by key, so
    that two transactions take the locks in the same order. Raw SQL, because Piccolo's DO UPDATE
    cannot say `excluded`; the text is the same on both databases.
    """
    if not rows:
        return
    name = table._meta.tablename
    names = [column._meta.db_column_name for column in (*keys, *sums)]
    columns = ", ".join(f'"{column}"' for column in names)
    target = ", ".join(f'"{column}"' for column in names[: len(keys)])
    values = ", ".join(f"({', '.join('{}' for _ in row)})" for row in rows)
    updates = ", ".join(
        f'"{column}" = "{name}"."{column}" + excluded."{column}"' for column in names[len(keys) :]
    )
    await table.raw(
        f'INSERT INTO "{name}" ({columns}) VALUES {values} '
        f"ON CONFLICT ({target}) DO UPDATE SET {updates}",
        *(value for row in rows for value in row),
    )


async def unlocked(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query, passing over those that another transaction holds.

    SQLite has one writer, so there is never another transaction to pass over.
    """
    if isinstance(DB, Postgres):
        query = query.lock_rows("UPDATE", skip_locked=True)
    rows: list[dict[str, Any]] = await query
    return rows
