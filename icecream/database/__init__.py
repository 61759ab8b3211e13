"""The engine for SQLite or PostgreSQL; transactions that cannot leak, and are tried again."""

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

from icecream import logs, settings
from icecream.database import transactions
from icecream.database.failures import Again, ReadOnly, Unavailable, Unsettled
from icecream.database.postgres import Postgres
from icecream.database.rows import (
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
from icecream.database.sqlite import InUse, SQLite
from icecream.database.transactions import StrayQuery

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

# The one thing to catch where an outage is expected: the engines turn what their drivers raise
# into it. Any other error of a driver, and any other OSError, is a bug.
AWAY = (Unavailable,)
# The database refused a row: a unique, check or foreign key constraint.
REFUSED = (asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError)


def _engine() -> SQLite | Postgres:
    current = settings.load()
    if current.embedded:
        return SQLite(current.database_path)
    return Postgres(current.database_url, current.database_connections)


DB = _engine()
# The database's clock, in SQL: what is due is due by it, however the clocks of our machines differ.
NOW = (
    "now()"
    if isinstance(DB, Postgres)
    else "strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')"  # As the engine writes a time.
)
TABLE = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = '{}'"
_told: list[Callable[[], None]] = []


@asynccontextmanager
async def running(command: str = "", *, patient: bool = False) -> AsyncIterator[None]:
    """Hold the pool of connections open, in the name of a command of `icecream`.

    A short command is `patient`, as nobody waits for it.
    """
    try:
        # Within: an open that is interrupted leaves threads, which would keep the process alive.
        await DB.start(f"icecream {command}".strip(), patient=patient)
        yield
    finally:
        await DB.stop()


async def transaction(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` in one transaction, from the start again when the database says so.

    `work` may run several times and must have no effect but on the database. Within another
    transaction it is a part of that one, which alone can be done again.

    Raises:
        Unsettled: nobody knows what came of its COMMIT, which is never tried again.
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
    """Do `work`, which only reads, and sees one moment however many queries it makes."""
    async with DB.snapshot():
        return await work()


def seconds_from_now(seconds: float) -> QueryString:
    """A moment by the database's clock, to compare a column with or to write into one."""
    if isinstance(DB, Postgres):
        step = "CAST({} AS double precision) * interval '1 second'"
        return QueryString(f"now() + {step}", float(seconds)) if seconds else QueryString("now()")
    return QueryString("{}", datetime.now(UTC) + timedelta(seconds=seconds))


async def now() -> datetime:
    """What the database's clock says."""
    if isinstance(DB, Postgres):
        rows: list[dict[str, datetime]] = await DB.run_querystring(
            QueryString("SELECT now() AS now")
        )
        return rows[0]["now"]
    return datetime.now(UTC)


def first_day(of: str, day: Column) -> QueryString:
    """The first day of the (ISO) week or month in which a day is, or the day itself."""
    if of == "day":
        return QueryString("{}", day)
    if isinstance(DB, Postgres):
        return QueryString(f"CAST(date_trunc('{of}', CAST({{}} AS timestamp)) AS date)", day)
    # The Sunday that ends the week, less six days.
    steps = {"week": "'weekday 0', '-6 days'", "month": "'start of month'"}
    return QueryString(f"date({{}}, {steps[of]})", day)


async def has_table(table: type[Table]) -> bool:
    """Whether it is there, in the schema where ours are made and looked for first."""
    if isinstance(DB, Postgres):
        return bool(await DB.run_ddl(TABLE.format(table._meta.tablename)))
    there: bool = await table.table_exists()
    return there


async def write() -> None:
    """Commit something that changes nothing, which fails when other commits would fail.

    Raises:
        ReadOnly: this database takes no writes.
        Unavailable: or not now.
    """
    if isinstance(DB, Postgres):
        await DB.write()
    else:
        await DB.run_ddl("PRAGMA user_version = 0")


@contextmanager
def told(tell: Callable[[], None]) -> Iterator[None]:
    """Have this called after each transaction of this process, until the block ends.

    If it fails, that is logged; the transaction is committed all the same.
    """
    _told.append(tell)
    try:
        yield
    finally:
        _told.remove(tell)


async def unlocked(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query, passing over those that another transaction holds.

    SQLite has one writer, so there is never another transaction to pass over.
    """
    if isinstance(DB, Postgres):
        query = query.lock_rows("UPDATE", skip_locked=True)
    rows: list[dict[str, Any]] = await query
    return rows


async def locked(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query, waiting for whoever holds them; others may still refer to them."""
    if isinstance(DB, Postgres):
        query = query.lock_rows("NO KEY UPDATE")
    rows: list[dict[str, Any]] = await query
    return rows


async def kept(query: Select[Any]) -> list[dict[str, Any]]:
    """Refer to the rows of a query: many transactions may do so, while none has them for itself."""
    if isinstance(DB, Postgres):
        query = query.lock_rows("KEY SHARE")
    rows: list[dict[str, Any]] = await query
    return rows


async def owned(query: Select[Any]) -> list[dict[str, Any]]:
    """Have the rows of a query to oneself: meanwhile nobody may even refer to them."""
    if isinstance(DB, Postgres):
        query = query.lock_rows("UPDATE")
    rows: list[dict[str, Any]] = await query
    return rows
