"""Test which driver errors mean that the database is unavailable, and which are bugs."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from icecream.database import Again, ReadOnly, Unavailable, failures


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (asyncpg.SerializationError("x"), Again),
        (asyncpg.DeadlockDetectedError("x"), Again),
        (asyncpg.InvalidCachedStatementError("a migration"), Again),
        (asyncpg.ReadOnlySQLTransactionError("x"), ReadOnly),
        (asyncpg.ConnectionDoesNotExistError("x"), Unavailable),
        (asyncpg.AdminShutdownError("x"), Unavailable),
        (asyncpg.CannotConnectNowError("starting up"), Unavailable),
        (asyncpg.TooManyConnectionsError("x"), Unavailable),
        (asyncpg.DiskFullError("x"), Unavailable),
        (asyncpg.PostgresIOError("x"), Unavailable),
        (asyncpg.QueryCanceledError("statement timeout"), Unavailable),
        (asyncpg.LockNotAvailableError("lock timeout"), Unavailable),
        (asyncpg.ProtocolViolationError("PgBouncer's word for all"), Unavailable),
        (asyncpg.InvalidPasswordError("x"), Unavailable),
        (asyncpg.InvalidCatalogNameError("no such database"), Unavailable),
        (asyncpg.InternalClientError("cannot switch to state 1"), Unavailable),
        (asyncpg.InterfaceError("cannot perform operation: connection is closed"), Unavailable),
        (ConnectionResetError(), Unavailable),
        (TimeoutError(), Unavailable),
        (asyncpg.InterfaceError("the server expects 1 argument for this query"), None),
        (asyncpg.DataError("invalid input for query argument"), None),
        (asyncpg.UndefinedColumnError("x"), None),
        (asyncpg.InsufficientPrivilegeError("x"), None),
        (asyncpg.UniqueViolationError("x"), None),
    ],
    ids=repr,
)
def test_what_asyncpg_raises(error: Exception, meaning: type[Unavailable] | None) -> None:
    found = failures.of_postgres(error)
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
        (another_writes, Unavailable),
        (read_only, ReadOnly),
        (full, Unavailable),
        (no_folder, Unavailable),
        (wrong_column, sqlite3.OperationalError),
        (no_table, sqlite3.OperationalError),
    ],
)
def test_what_sqlite_raises(
    tmp_path: Path, happens: Callable[[Path], None], meaning: type[Exception]
) -> None:
    with pytest.raises(meaning) as raised, failures.SQLiteErrors():
        happens(tmp_path / "shop.sqlite")
    assert raised.type is meaning
