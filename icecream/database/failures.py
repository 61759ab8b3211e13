"""Classification of both drivers' errors: the database is unavailable, or there is a bug."""

import sqlite3
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar

import asyncpg


class DatabaseUnavailable(Exception):
    """The database cannot do this now: it is down, full, locked, read-only or too slow."""


class DatabaseReadOnly(DatabaseUnavailable):
    """The database accepts no writes."""


class LockTimeout(DatabaseUnavailable):
    """A lock was not available within the time that the server or the transaction allows."""


class RetryTransaction(DatabaseUnavailable):
    """This transaction conflicts with another one, and has to be retried from its start."""


class CommitOutcomeUnknown(DatabaseUnavailable):
    """COMMIT was sent, and its outcome is unknown."""


# PostgreSQL requires a retry of the transaction after a serialization failure or a deadlock.
# asyncpg requires it after a migration changed a table that a prepared statement reads.
RETRYABLE_ERRORS = (
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
# The database does not exist; a transaction took longer than the server allows.
UNAVAILABLE_STATES = ("3D000", "25P03", "25P04")
# After these the connection is unusable: it is closed or closing, or its server is read-only.
BROKEN_CONNECTION_STATES = ("08", "57P", "25P03", "25P04", "25006")
# Parts of asyncpg's messages about a connection or pool that is gone. InterfaceError also reports
# mistakes of the caller, such as a missing argument.
CONNECTION_GONE_MESSAGES = (
    "connection is closed",
    "pool is clos",
    "is cancelling",
    "released back",
)
SQLITE_UNAVAILABLE_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


def classify_postgres_error(error: Exception) -> DatabaseUnavailable | None:
    """Return our exception for an asyncpg error; None if it is a bug, or about the data."""
    message = str(error) or "no answer in time"
    if isinstance(error, RETRYABLE_ERRORS):
        return RetryTransaction(message)
    if isinstance(error, asyncpg.LockNotAvailableError):
        return LockTimeout(message)
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return DatabaseReadOnly(message)
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        unavailable = state.startswith(UNAVAILABLE_CLASSES) or state in UNAVAILABLE_STATES
        return DatabaseUnavailable(message) if unavailable else None
    if isinstance(error, asyncpg.InterfaceError):
        is_gone = any(part in message for part in CONNECTION_GONE_MESSAGES)
        return DatabaseUnavailable(message) if is_gone else None
    # asyncpg raises InternalClientError when the server ended a connection during its work, or when
    # no server has the requested `target_session_attrs`.
    unavailable = isinstance(error, OSError | TimeoutError | asyncpg.InternalClientError)
    return DatabaseUnavailable(message) if unavailable else None


def breaks_connection(error: Exception) -> bool:
    """Return whether the connection that raised this error must not be used again."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(BROKEN_CONNECTION_STATES)
    return True


def classify_sqlite_error(error: Exception) -> DatabaseUnavailable | None:
    """Return our exception for an SQLite error; None if it is a bug, or about the data."""
    if not isinstance(error, sqlite3.OperationalError):
        return None
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        return DatabaseReadOnly(str(error))
    return DatabaseUnavailable(str(error)) if code in SQLITE_UNAVAILABLE_CODES else None


class _ErrorTranslation:
    """A block that turns driver errors about an unavailable database into our exceptions."""

    classify: ClassVar[Callable[[Exception], DatabaseUnavailable | None]]

    def __enter__(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and (translated := type(self).classify(error)):
            raise translated from error


class PostgresErrorTranslation(_ErrorTranslation):
    """The block for errors of asyncpg."""

    classify = classify_postgres_error


class SQLiteErrorTranslation(_ErrorTranslation):
    """The block for errors of SQLite."""

    classify = classify_sqlite_error


def violates(error: Exception, index: str, column: str) -> bool:
    """Return whether an error is about this unique index: PostgreSQL names it, SQLite its column.

    Args:
        column: with its table, such as `flavor.sku`.
    """
    named = getattr(error, "constraint_name", None)
    return named == index or str(error) == f"UNIQUE constraint failed: {column}"
