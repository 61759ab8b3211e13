"""The database engine (SQLite or PostgreSQL), with task-local transactions and retries."""

import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
from msgspec import Struct
from piccolo.columns import Column
from piccolo.query import Select
from piccolo.querystring import QueryString
from piccolo.table import Table

from icecream import settings
from icecream.database import transactions
from icecream.database.bulk import (
    BoundStatement,
    ResultRows,
    Statement,
    ValueRows,
    read_together,
    run_together,
    write_together,
)
from icecream.database.conditions import is_any, is_none
from icecream.database.failures import (
    CommitOutcomeUnknown,
    DatabaseReadOnly,
    DatabaseUnavailable,
    LockTimeout,
    RetryTransaction,
    violates,
)
from icecream.database.joins import select_with_children
from icecream.database.postgres import Postgres
from icecream.database.sqlite import DatabaseInUse, SQLite
from icecream.database.statements import (
    delete_by,
    increment_values,
    insert,
    insert_ids,
    lock_matching,
    new_ids,
    select_by,
    select_max,
    select_unique,
    update_rows,
    update_values,
)
from icecream.database.transactions import QueryOutsideTransaction
from icecream.runtime import logs

__all__ = [
    "DB",
    "LATER_SQL",
    "NOW_SQL",
    "BoundStatement",
    "CommitOutcomeUnknown",
    "DatabaseInUse",
    "DatabaseReadOnly",
    "DatabaseUnavailable",
    "LockTimeout",
    "Postgres",
    "QueryOutsideTransaction",
    "ResultRows",
    "RetryTransaction",
    "SQLite",
    "Statement",
    "ValueRows",
    "check_writable",
    "columns_of",
    "delete_by",
    "for_no_key_update",
    "for_update",
    "for_update_skip_locked",
    "freeze",
    "has_table",
    "increment_values",
    "insert",
    "insert_ids",
    "is_any",
    "is_none",
    "lock_matching",
    "new_ids",
    "now",
    "on_commit",
    "open_pool",
    "optimistic_transaction",
    "read_together",
    "read_version",
    "run_together",
    "seconds_from_now",
    "select_by",
    "select_max",
    "select_unique",
    "select_with_children",
    "snapshot",
    "start_of_period",
    "transaction",
    "update_rows",
    "update_values",
    "violates",
    "write_together",
]
T = TypeVar("T")
log = logging.getLogger(__name__)

# The errors to catch where an outage is expected. The engines turn errors of their drivers into
# these. Any other driver error, and any other OSError, is a bug.
DATABASE_UNAVAILABLE = (DatabaseUnavailable,)
# The errors of a row that violates a unique, check or foreign key constraint.
CONSTRAINT_VIOLATIONS = (asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError)


def _create_engine() -> SQLite | Postgres:
    current = settings.load()
    if current.embedded:
        return SQLite(current.database_path)
    return Postgres(current.database_url, current.database_connections)


DB = _create_engine()
# The database's clock, in SQL. Due times are compared with it, because our machines' clocks differ.
NOW_SQL = (
    "now()"
    if isinstance(DB, Postgres)
    else "strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')"  # The format in which the engine writes.
)
# The time `{milliseconds}` from now by that clock, for a statement.
LATER_SQL = (
    "now() + {milliseconds} * interval '1 millisecond'"
    if isinstance(DB, Postgres)
    else "strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now', ({milliseconds} / 1000.0) || ' seconds')"
)
TABLE_EXISTS_SQL = (
    "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = '{}'"
)
_commit_callbacks: list[Callable[[], None]] = []


@asynccontextmanager
async def open_pool(command: str = "", *, no_time_limit: bool = False) -> AsyncIterator[None]:
    """Keep the connection pool open, under the name of a command of `icecream`.

    A short command sets `no_time_limit` for its queries, because no caller waits for it.
    """
    try:
        # Inside the try: an interrupted start leaves threads that would keep the process alive.
        await DB.start(f"icecream {command}".strip(), no_time_limit=no_time_limit)
        yield
    finally:
        await DB.stop()


async def transaction(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in one transaction, and retry it from the start when the database asks for that.

    `work` may run several times and must have no effect except on the database. Inside another
    transaction, `work` becomes a part of that transaction; then only the whole can be retried.

    Raises:
        CommitOutcomeUnknown: the outcome of COMMIT is unknown. A COMMIT is never retried.
    """
    if DB.transaction_exists():
        return await work()

    async def run_once() -> T:
        async with DB.transaction():
            return await work()

    result = await transactions.run_with_retries(run_once)
    _notify_of_commit()
    return result


async def optimistic_transaction(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, which first reads and then calls `write_together` once, as its last query.

    On PostgreSQL, the reads take no locks, and the write is a transaction of its own, which checks
    that what was read is still true. So there are no round trips for BEGIN and COMMIT, and locks
    are held only while the database writes. When something has changed, `work` is retried from the
    start. Everything else is as in `transaction`.

    Raises:
        CommitOutcomeUnknown: the outcome of the write is unknown.
    """
    if not isinstance(DB, Postgres) or DB.transaction_exists():
        return await transaction(work)
    result = await transactions.run_with_retries(work)
    _notify_of_commit()
    return result


def _notify_of_commit() -> None:
    for callback in _commit_callbacks:
        with logs.log_errors(log, "A callback after a commit"):
            callback()


async def snapshot(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, which only reads, on one snapshot of the database for all of its queries."""
    async with DB.snapshot():
        return await work()


def seconds_from_now(seconds: float) -> QueryString:
    """Return a time by the database's clock, to compare a column with or to write into one."""
    if isinstance(DB, Postgres):
        if not seconds:
            return QueryString("now()")
        interval = "CAST({} AS double precision) * interval '1 second'"
        return QueryString(f"now() + {interval}", float(seconds))
    return QueryString("{}", _sqlite_now() + timedelta(seconds=seconds))


def _sqlite_now() -> datetime:
    """Return the time in whole milliseconds, as `NOW_SQL` does, so that it is never after that."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


async def now() -> datetime:
    """Return the time by the database's clock."""
    if isinstance(DB, Postgres):
        rows: list[dict[str, datetime]] = await DB.run_querystring(
            QueryString("SELECT now() AS now")
        )
        return rows[0]["now"]
    return _sqlite_now()


async def read_version() -> str:
    """Return the kind and the version of the database."""
    if isinstance(DB, Postgres):
        return f"PostgreSQL {(await DB.run_ddl('SHOW server_version'))[0]['server_version']}"
    return f"SQLite {(await DB.run_ddl('SELECT sqlite_version() AS version'))[0]['version']}"


def start_of_period(period: str, day: Column) -> QueryString:
    """Return the first day of the (ISO) week or month that contains `day`, or `day` itself."""
    if period == "day":
        return QueryString("{}", day)
    if isinstance(DB, Postgres):
        return QueryString(f"CAST(date_trunc('{period}', CAST({{}} AS timestamp)) AS date)", day)
    # The Sunday that ends the week, minus six days.
    modifiers = {"week": "'weekday 0', '-6 days'", "month": "'start of month'"}
    return QueryString(f"date({{}}, {modifiers[period]})", day)


async def has_table(table: type[Table]) -> bool:
    """Return whether the table exists in the current schema, in which ours are created."""
    if isinstance(DB, Postgres):
        return bool(await DB.run_ddl(TABLE_EXISTS_SQL.format(table._meta.tablename)))
    exists: bool = await table.table_exists()
    return exists


async def check_writable() -> None:
    """Commit a transaction that changes nothing, to check that commits work.

    Raises:
        DatabaseReadOnly: the database accepts no writes.
        DatabaseUnavailable: the database accepts no writes now.
    """
    if isinstance(DB, Postgres):
        await DB.check_writable()
    else:
        await DB.run_ddl("PRAGMA user_version = 0")


@contextmanager
def on_commit(callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` after each transaction of this process, until the block ends.

    An error in `callback` is logged; the transaction stays committed.
    """
    _commit_callbacks.append(callback)
    try:
        yield
    finally:
        _commit_callbacks.remove(callback)


def columns_of(table: type[Table], row: type[Struct]) -> list[Column]:
    """Return the columns that the fields of a struct name."""
    return [table._meta.get_column_by_name(name) for name in row.__struct_fields__]


def freeze(query: Select[Any]) -> Callable[[], Awaitable[ResultRows]]:
    """Return a function that runs a query which never changes; its text is built only once.

    Building it takes Piccolo longer than reading a few rows. A frozen query decodes no JSON.
    """
    run: Callable[[], Awaitable[ResultRows]] = query.freeze().run
    return run


async def for_update_skip_locked(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query, and skip the rows that another transaction has locked.

    SQLite has one writer, so no other transaction can hold a lock.
    """
    if isinstance(DB, Postgres):
        query = query.lock_rows("UPDATE", skip_locked=True)
    rows: list[dict[str, Any]] = await query
    return rows


async def for_no_key_update(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query, and wait for other locks; others may still insert references."""
    if isinstance(DB, Postgres):
        query = query.lock_rows("NO KEY UPDATE")
    rows: list[dict[str, Any]] = await query
    return rows


async def for_update(query: Select[Any]) -> list[dict[str, Any]]:
    """Lock the rows of a query exclusively: others cannot even insert references to them."""
    if isinstance(DB, Postgres):
        query = query.lock_rows("UPDATE")
    rows: list[dict[str, Any]] = await query
    return rows
