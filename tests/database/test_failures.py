"""Test which driver errors mean that the database is unavailable, and which are bugs."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from icecream.database import (
    DatabaseReadOnly,
    DatabaseUnavailable,
    LockTimeout,
    RetryTransaction,
    failures,
)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (asyncpg.SerializationError("x"), RetryTransaction),
        (asyncpg.DeadlockDetectedError("x"), RetryTransaction),
        (asyncpg.InvalidCachedStatementError("a migration"), RetryTransaction),
        (asyncpg.ReadOnlySQLTransactionError("x"), DatabaseReadOnly),
        (asyncpg.ConnectionDoesNotExistError("x"), DatabaseUnavailable),
        (asyncpg.AdminShutdownError("x"), DatabaseUnavailable),
        (asyncpg.CannotConnectNowError("starting up"), DatabaseUnavailable),
        (asyncpg.TooManyConnectionsError("x"), DatabaseUnavailable),
        (asyncpg.DiskFullError("x"), DatabaseUnavailable),
        (asyncpg.PostgresIOError("x"), DatabaseUnavailable),
        (asyncpg.QueryCanceledError("statement timeout"), DatabaseUnavailable),
        (asyncpg.LockNotAvailableError("lock timeout"), LockTimeout),
        (asyncpg.ProtocolViolationError("PgBouncer's word for all"), DatabaseUnavailable),
        (asyncpg.InvalidPasswordError("x"), DatabaseUnavailable),
        (asyncpg.InvalidCatalogNameError("no such database"), DatabaseUnavailable),
        (asyncpg.InternalClientError("cannot switch to state 1"), DatabaseUnavailable),
        (
            asyncpg.InterfaceError("cannot perform operation: connection is closed"),
            DatabaseUnavailable,
        ),
        (ConnectionResetError(), DatabaseUnavailable),
        (TimeoutError(), DatabaseUnavailable),
        (asyncpg.InterfaceError("the server expects 1 argument for this query"), None),
        (asyncpg.DataError("invalid input for query argument"), None),
        (asyncpg.UndefinedColumnError("x"), None),
        (asyncpg.InsufficientPrivilegeError("x"), None),
        (asyncpg.UniqueViolationError("x"), None),
    ],
    ids=repr,
)
def test_errors_of_asyncpg_are_classified(
    error: Exception, meaning: type[DatabaseUnavailable] | None
) -> None:
    found = failures.classify_postgres_error(error)
    assert (type(found) if found else None) is meaning


def another_writes(path: Path) -> None:
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path, timeout=0)) as other:
        one.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")


def read_only(path: Path) -> None:
    with closing(sqlite3.connect(path)) as one:
        one.execute("PRAGMA query_only = 1")
        one.execute("CREATE TABLE new (n)")


def full(path: Path) -> None:
    with closing(sqlite3.connect(path)) as one:
        one.execute("PRAGMA max_page_count = 1")
        one.execute("CREATE TABLE new AS SELECT randomblob(100000)")


def no_folder(path: Path) -> None:
    sqlite3.connect(path.parent / "nowhere" / "shop.sqlite")


def wrong_column(path: Path) -> None:
    with closing(sqlite3.connect(path)) as one:
        one.execute("SELECT no_such_column FROM sqlite_master")


def no_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as one:
        one.execute("SELECT 1 FROM no_such_table")


@pytest.mark.parametrize(
    ("happens", "meaning"),
    [
        (another_writes, DatabaseUnavailable),
        (read_only, DatabaseReadOnly),
        (full, DatabaseUnavailable),
        (no_folder, DatabaseUnavailable),
        (wrong_column, sqlite3.OperationalError),
        (no_table, sqlite3.OperationalError),
    ],
)
def test_errors_of_sqlite_are_classified(
    tmp_path: Path, happens: Callable[[Path], None], meaning: type[Exception]
) -> None:
    with pytest.raises(meaning) as raised, failures.SQLiteErrorTranslation():
        happens(tmp_path / "shop.sqlite")
    assert raised.type is meaning
