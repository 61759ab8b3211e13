"""SQLite for a server: one writer, several readers, every commit on the disk."""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosqlite
from piccolo.engine.sqlite import SQLiteEngine, SQLiteTransaction, TransactionType, dict_factory

from icecream.database.failures import DatabaseUnavailable, SQLiteErrorTranslation
from icecream.database.transactions import SafeTransaction, TaskLocalTransaction
from icecream.runtime import background

# WAL lets readers and the writer work at the same time. FULL syncs the log at each commit, so that
# an acknowledged commit survives a power cut (NORMAL would not ensure that). The timeout covers the
# short commands that run next to the server.
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 10000",
    "PRAGMA foreign_keys = ON",
    # A commit copies the log into the database only if the background task has not done so.
    "PRAGMA wal_autocheckpoint = 10000",
)
READER_CONNECTIONS = 2
CHECKPOINT_INTERVAL_SECONDS = 0.2
# After so many pages (16 MB) the writer pauses once, so that the log is completely copied. Then the
# next commit begins at the start of the log, so that the log does not grow further.
MAX_LOG_PAGES = 4000


def _format_time(value: datetime) -> str:
    """Return a time as it is stored: as text with microseconds always, and in UTC if it has a zone.

    SQLite compares times as text. Piccolo writes no microseconds at a whole second, so that the
    same time in the two formats would not be equal.
    """
    value = value if value.tzinfo is None else value.astimezone(UTC)
    return value.isoformat(" ", "microseconds")


sqlite3.register_adapter(datetime, _format_time)


class DatabaseInUse(Exception):
    """Another process serves this database file."""


class SafeSQLiteTransaction(SafeTransaction, SQLiteTransaction):
    """Piccolo's transaction with a reliable exit, on the only writing connection."""


class SQLiteSnapshot(SafeSQLiteTransaction):
    """A snapshot on a reading connection; it blocks no writer."""

    engine: "SQLite"

    async def acquire(self) -> aiosqlite.Connection:
        return await self.engine.acquire_reader()

    async def release(self, connection: aiosqlite.Connection) -> None:
        await self.engine.release_reader(connection)


class SQLite(SQLiteEngine):
    """Piccolo's engine with connections that stay open.

    Writers of one process queue for one connection, so they never find the database locked.
    Before `start` (in Piccolo's own commands) each query opens a connection, as in Piccolo.
    """

    errors = SQLiteErrorTranslation()

    def __init__(self, path: Path) -> None:
        # Two threads use it, but never at the same time: see `_run_in_existing_connection`.
        super().__init__(path=str(path), check_same_thread=False)
        self.current_transaction = TaskLocalTransaction()  # type: ignore[assignment]  # see TaskLocalTransaction
        self._writer: aiosqlite.Connection | None = None
        self._writer_lock = asyncio.Lock()
        self._readers: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._checkpoints: asyncio.Task[None] | None = None

    async def run(self, connection: aiosqlite.Connection, work: Awaitable[Any]) -> Any:
        """Await the work of a connection, and translate driver errors into our exceptions."""
        with self.errors:
            return await work

    async def get_connection(self) -> aiosqlite.Connection:
        with self.errors:
            return await self._get_connection()

    async def _get_connection(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(**self.connection_kwargs)
        try:
            connection.row_factory = dict_factory  # type: ignore[assignment]  # Piccolo wants dicts
            for pragma in PRAGMAS:
                await connection.execute_fetchall(pragma)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def start(self, name: str = "icecream", *, no_time_limit: bool = False) -> None:
        # SQLite queries never have a time limit, and its connections have no names.
        self.create_file()
        self._writer_lock, self._readers = asyncio.Lock(), asyncio.LifoQueue()
        self._writer = await self.get_connection()
        for _ in range(READER_CONNECTIONS):
            reader = await self.get_connection()
            self._readers.put_nowait(reader)
            await reader.execute_fetchall("PRAGMA query_only = ON")
        self._checkpoints = background.start_task("copying of the log", self._run_checkpoints)

    async def _run_checkpoints(self) -> None:
        """Copy the log into the database at intervals, while commits continue.

        A checkpoint syncs the database file, which takes longer than a commit.
        """
        connection = await self.get_connection()
        try:
            while True:
                await asyncio.sleep(CHECKPOINT_INTERVAL_SECONDS)
                if await self._checkpoint(connection) > MAX_LOG_PAGES:
                    async with self._writer_lock:
                        await self._checkpoint(connection)
        finally:
            await connection.close()

    async def _checkpoint(self, connection: aiosqlite.Connection) -> int:
        """Copy what is in the log now, and return the number of its pages."""
        with self.errors:
            (row,) = await connection.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
        pages: int = row["log"]
        return pages

    def create_file(self) -> None:
        """Create the file and its folder, readable only by the owner.

        They hold password hashes and a secret key.
        """
        path = Path(self.path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite copies this mode to its -wal and -shm files; errors of os.open say more.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise DatabaseUnavailable(str(error)) from error

    def warnings(self) -> list[str]:
        """Return problems of this database that an operator should know about."""
        return []

    async def stop(self) -> None:
        # A connection is a thread: an open one would keep the process from ending.
        if self._checkpoints is not None:
            await background.cancel_tasks({self._checkpoints})
            self._checkpoints = None
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        while not self._readers.empty():
            await self._readers.get_nowait().close()

    async def acquire(self) -> aiosqlite.Connection:
        if self._writer is None:
            return await self.get_connection()
        await self._writer_lock.acquire()
        try:
            if self._writer.in_transaction:
                # A task was canceled in a way that also prevented its rollback.
                with contextlib.suppress(sqlite3.OperationalError):
                    await self._writer.rollback()
        except BaseException:
            self._writer_lock.release()
            raise
        return self._writer

    async def release(self, connection: aiosqlite.Connection) -> None:
        if connection is self._writer:
            self._writer_lock.release()
        else:
            await connection.close()

    async def acquire_reader(self) -> aiosqlite.Connection:
        if self._writer is None:
            return await self.get_connection()
        return await self._readers.get()

    async def release_reader(self, connection: aiosqlite.Connection) -> None:
        if self._writer is None:
            await connection.close()
        else:
            self._readers.put_nowait(connection)

    async def _run_in_new_connection(
        self, query: str, args: list[Any] | None = None, *_: Any, **__: Any
    ) -> Any:
        if self._writer is not None and query.lstrip()[:6].upper() == "SELECT":
            reader = await self.acquire_reader()
            try:
                with self.errors:
                    return await reader.execute_fetchall(query, args or [])
            finally:
                await self.release_reader(reader)
        connection = await self.acquire()
        try:
            with self.errors:
                return await connection.execute_fetchall(query, args or [])
        finally:
            await self.release(connection)

    async def _run_in_existing_connection(
        self, connection: Any, query: str, args: list[Any] | None = None, *_: Any, **__: Any
    ) -> Any:
        with self.errors:
            if isinstance(self.current_transaction.get(), SQLiteSnapshot):
                return await connection.execute_fetchall(query, args or [])
            # Runs in this thread, not in the connection's: a transaction holds the write lock since
            # BEGIN, so there is nothing to wait for. Switching to the other thread and back costs
            # ten times more.
            return connection._conn.execute(query, args or []).fetchall()

    def transaction(
        self,
        transaction_type: TransactionType = TransactionType.immediate,
        allow_nested: bool = True,
    ) -> SafeSQLiteTransaction:
        return SafeSQLiteTransaction(
            engine=self, transaction_type=transaction_type, allow_nested=allow_nested
        )

    def snapshot(self) -> SQLiteSnapshot:
        return SQLiteSnapshot(engine=self, transaction_type=TransactionType.deferred)

    @asynccontextmanager
    async def migration_lock(self) -> AsyncIterator[None]:
        """Let one migration runner work at a time.

        The lock ends with its process, even after a crash.
        """
        with _lock_file(self._sibling_path("migrating"), fcntl.LOCK_EX):
            yield

    @contextmanager
    def lock_for_serving(self) -> Iterator[None]:
        """Hold the lock of the one process that serves this file.

        Raises:
            DatabaseInUse: another process serves it.
        """
        self.create_file()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(
                    _lock_file(self._sibling_path("serving"), fcntl.LOCK_EX | fcntl.LOCK_NB)
                )
            except BlockingIOError:
                raise DatabaseInUse(f"Another process already serves {self.path}.") from None
            yield

    def _sibling_path(self, word: str) -> Path:
        return Path(self.path).with_suffix(f".{word}")


@contextmanager
def _lock_file(path: Path, operation: int) -> Iterator[None]:
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise DatabaseUnavailable(str(error)) from error
    try:
        fcntl.flock(handle, operation)
        yield
    finally:
        os.close(handle)
