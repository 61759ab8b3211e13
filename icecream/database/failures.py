"""The meaning of both drivers' errors: the database is unavailable, or there is a bug."""

import sqlite3
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar

import asyncpg


class Unavailable(Exception):
    """The database cannot do this now: it is away, full, locked, read-only or too slow."""


class ReadOnly(Unavailable):
    """The database accepts no writes."""


class Again(Unavailable):
    """Another transaction was faster: this one has to be retried from its start."""


class Unsettled(Unavailable):
    """COMMIT was sent, and its outcome is unknown."""


# PostgreSQL requires a retry of the transaction after a serialization failure or a deadlock.
# asyncpg requires it after a migration changed a table that a prepared statement reads.
AGAIN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)
# All errors that asyncpg may raise; TimeoutError and OSError come from its sockets.
DRIVER_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# SQLSTATE classes: connection, authorization, resources, operator intervention, system error.
UNAVAILABLE_CLASSES = ("08", "28", "53", "57", "58")
# The database does not exist; a lock or a transaction took longer than the server allows.
UNAVAILABLE_STATES = ("3D000", "55P03", "25P03", "25P04")
# After these the connection is unusable: it is closed or closing, or its server is read-only.
BROKEN_STATES = ("08", "57P", "25P03", "25P04", "25006")
# Parts of asyncpg's messages about a connection or pool that is gone. InterfaceError also reports
# mistakes of the caller, such as a missing argument.
GONE = ("connection is closed", "pool is clos", "is cancelling", "released back")
SQLITE_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


def of_postgres(error: Exception) -> Unavailable | None:
    """Return the meaning of an asyncpg error; None if it is a bug, or about the data."""
    said = str(error) or "no answer in time"
    if isinstance(error, AGAIN):
        return Again(said)
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return ReadOnly(said)
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        away = state.startswith(UNAVAILABLE_CLASSES) or state in UNAVAILABLE_STATES
        return Unavailable(said) if away else None
    if isinstance(error, asyncpg.InterfaceError):
        return Unavailable(said) if any(words in said for words in GONE) else None
    # asyncpg raises InternalClientError when the server ended a connection during its work, or when
    # no server has the requested `target_session_attrs`.
    away = isinstance(error, OSError | TimeoutError | asyncpg.InternalClientError)
    return Unavailable(said) if away else None


def breaks_connection(error: Exception) -> bool:
    """Return whether the connection that raised this error must not be used again."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(BROKEN_STATES)
    return True


def of_sqlite(error: Exception) -> Unavailable | None:
    """Return the meaning of an SQLite error; None if it is a bug, or about the data."""
    if not isinstance(error, sqlite3.OperationalError):
        return None
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        return ReadOnly(str(error))
    return Unavailable(str(error)) if code in SQLITE_UNAVAILABLE else None


class _Meanings:
    """A block that raises driver errors with the meaning "unavailable" as `Unavailable`."""

    meaning: ClassVar[Callable[[Exception], Unavailable | None]]

    def __enter__(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and (meaning := type(self).meaning(error)):
            raise meaning from error


class PostgresErrors(_Meanings):
    """The block for errors of asyncpg."""

    meaning = of_postgres


class SQLiteErrors(_Meanings):
    """The block for errors of SQLite."""

    meaning = of_sqlite
