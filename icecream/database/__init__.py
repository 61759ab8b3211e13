"""The database engine (SQLite or PostgreSQL), with transactions that are owned and retried."""

import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
from piccolo.columns import Column
from piccolo.query import Select
from piccolo.querystring import QueryString
from piccolo.table import Table

from icecream import settings
from icecream.database import transactions
from icecream.database.bulk import (
    Asked,
    InsertListed,
    Statement,
    add,
    enter,
    insert,
    move,
    put,
    together,
)
from icecream.database.failures import Again, ReadOnly, Unavailable, Unsettled
from icecream.database.postgres import Postgres
from icecream.database.sqlite import InUse, SQLite
from icecream.database.transactions import StrayQuery
from icecream.runtime import logs

__all__ = [
    "DB",
    "NOW",
    "Again",
    "Asked",
    "InUse",
    "InsertListed",
    "Postgres",
    "ReadOnly",
    "SQLite",
    "Statement",
    "StrayQuery",
    "Unavailable",
    "Unsettled",
    "add",
    "enter",
    "first_day",
    "has_table",
    "insert",
    "kept",
    "locked",
    "move",
    "now",
    "owned",
    "put",
    "running",
    "seconds_from_now",
    "snapshot",
    "together",
    "told",
    "transaction",
    "unlocked",
    "write",
]
T = TypeVar("T")
log = logging.getLogger(__name__)

# The error to catch where an outage is expected. The engines turn the errors of their drivers into
# it. Any other driver error, and any other OSError, is a bug.
AWAY = (Unavailable,)
# The database refused a row: a unique, check or foreign key constraint.
REFUSED = (asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError)


def _engine() -> SQLite | Postgres:
    current = settings.load()
    if current.embedded:
        return SQLite(current.database_path)
    return Postgres(current.database_url, current.database_connections)


DB = _engine()
# The database's clock, in SQL. Due times are compared with it, because our machines' clocks differ.
NOW = (
    "now()"
    if isinstance(DB, Postgres)
    else "strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')"  # The format in which the engine writes.
)
TABLE = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = '{}'"
_told: list[Callable[[], None]] = []


@asynccontextmanager
async def running(command: str = "", *, patient: bool = False) -> AsyncIterator[None]:
    """Keep the connection pool open, under the name of a command of `icecream`.

    A short command is `patient`: its queries have no time limit, because no caller waits for it.
    """
    try:
        # Inside the try: an interrupted start leaves threads that would keep the process alive.
        await DB.start(f"icecream {command}".strip(), patient=patient)
        yield
    finally:
        await DB.stop()


async def transaction(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in one transaction, and retry it from the start when the database asks for that.

    `work` may run several times and must have no effect except on the database. Inside another
    transaction, `work` becomes a part of that transaction; then only the whole can be retried.

    Raises:
        Unsettled: the outcome of COMMIT is unknown. A COMMIT is never retried.
    """
    if DB.transaction_exists():
        return await work()

    async def once() -> T:
        async with DB.transaction():
            return await work()

    answer = await transactions.persistently(once)
    for tell in _told:
        with logs.contained(log, "Telling of a commit"):
            tell()
    return answer


async def snapshot(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, which only reads, on one snapshot of the database for all of its queries."""
    async with DB.snapshot():
        return await work()


def seconds_from_now(seconds: float) -> QueryString:
    """Return a time by the database's clock, to compare a column with or to write into one."""
    if isinstance(DB, Postgres):
        step = "CAST({} AS double precision) * interval '1 second'"
        return QueryString(f"now() + {step}", float(seconds)) if seconds else QueryString("now()")
    return QueryString("{}", datetime.now(UTC) + timedelta(seconds=seconds))


async def now() -> datetime:
    """Return the time by the database's clock."""
    if isinstance(DB, Postgres):
        rows: list[dict[str, datetime]] = await DB.run_querystring(
            QueryString("SELECT now() AS now")
        )
        return rows[0]["now"]
    return datetime.now(UTC)


def first_day(of: str, day: Column) -> QueryString:
    """Return the first day of the (ISO) week or month that contains `day`, or `day` itself."""
    if of == "day":
        return QueryString("{}", day)
    if isinstance(DB, Postgres):
        return QueryString(f"CAST(date_trunc('{of}', CAST({{}} AS timestamp)) AS date)", day)
    # The Sunday that ends the week, minus six days.
    steps = {"week": "'weekday 0', '-6 days'", "month": "'start of month'"}
    return QueryString(f"date({{}}, {steps[of]})", day)


async def has_table(table: type[Table]) -> bool:
    """Return whether the table exists in the current schema, in which ours are created."""
    if isinstance(DB, Postgres):
        return bool(await DB.run_ddl(TABLE.format(table._meta.tablename)))
    there: bool = await table.table_exists()
    return there


async def write() -> None:
    """Commit a transaction that changes nothing, to find out whether commits work.

    Raises:
        ReadOnly: the database accepts no writes.
        Unavailable: the database accepts no writes now.
    """
    if isinstance(DB, Postgres):
        await DB.write()
    else:
        await DB.run_ddl("PRAGMA user_version = 0")


@contextmanager
def told(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` after each transaction of this process, until the block ends.

    An error in `tell` is logged; the transaction stays committed.
    """
    _told.append(tell)
    try:
        yield
    finally:
        _told.remove(tell)


async def unlocked(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query, and skip rows that another transaction has locked.

    SQLite has one writer, so no other transaction can hold a lock.
    """
    if isinstance(DB, Postgres):
        query = query.lock_rows("UPDATE", skip_locked=True)
    rows: list[dict[str, Any]] = await query
    return rows


async def locked(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query, and wait for other locks; foreign keys to them stay possible."""
    if isinstance(DB, Postgres):
        query = query.lock_rows("NO KEY UPDATE")
    rows: list[dict[str, Any]] = await query
    return rows


async def kept(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query for reference: many may do so, unless one has them by `owned`."""
    if isinstance(DB, Postgres):
        query = query.lock_rows("KEY SHARE")
    rows: list[dict[str, Any]] = await query
    return rows


async def owned(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query exclusively: others cannot even insert foreign keys to them."""
    if isinstance(DB, Postgres):
        query = query.lock_rows("UPDATE")
    rows: list[dict[str, Any]] = await query
    return rows
