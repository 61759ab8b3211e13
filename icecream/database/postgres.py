"""PostgreSQL through a pool of connections."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction
from piccolo.querystring import QueryString

from icecream import background
from icecream.database import failures
from icecream.database.failures import ReadOnly
from icecream.database.sessions import DURABLE, Session, Sessions
from icecream.database.transactions import CleanExit, OwnedByTask, persistently

# Seconds to wait for a free connection, and for an answer: a caller has left by then.
ACQUIRE_TIMEOUT, COMMAND_TIMEOUT = 5, 30
# Seconds until a query that was given up has ended; a connection that takes longer is dropped.
RELEASE_TIMEOUT = 1
# After a failover, connections to what is a standby now are replaced, at most so often.
EXPIRE_EVERY_SECONDS = 1.0
# A message in the write-ahead log that nobody reads; it is committed like any order, also on a
# synchronous standby. A standby, or a session that is read-only, would refuse it.
WRITE = """
    SELECT current_setting('transaction_read_only') AS read_only,
        CASE current_setting('transaction_read_only') WHEN 'off'
            THEN pg_logical_emit_message(true, 'icecream', '') END"""
# Seconds to say goodbye to a database that may have stopped answering.
CLOSE_TIMEOUT = 1
# Any number will do, as long as every migration runner takes the same.
MIGRATION_LOCK = 0x1CEC2EA3


async def _as_it_is(connection: Any) -> None:
    """Nobody changes a session's settings here, so putting them back would cost a trip for nothing.

    asyncpg itself still rolls back what was left open.
    """


def drop(connection: Any) -> None:
    """Close a connection without a word to the server, which may not listen any more."""
    with contextlib.suppress(asyncpg.InterfaceError):  # Its pool has it back already.
        connection.terminate()


async def _write(connection: Any) -> None:
    (row,) = await connection.fetch(WRITE)
    if row["read_only"] == "on":
        # What the database says to any other write.
        raise asyncpg.ReadOnlySQLTransactionError("the database is read-only")


class PostgresExit(CleanExit, PostgresTransaction):
    """Piccolo's transaction with a clean way out."""

    def prepare(self) -> None:
        self.transaction = self.connection.transaction()


class PostgresSnapshot(PostgresExit):
    """One moment, whatever is committed meanwhile."""

    def prepare(self) -> None:
        self.transaction = self.connection.transaction(isolation="repeatable_read", readonly=True)


class Postgres(PostgresEngine):
    """Piccolo's engine, with bounded waits."""

    def __init__(self, url: str, connections: int = 20) -> None:
        super().__init__(config={})
        self.sessions, self._connections = Sessions(url), connections
        self._expired_at = -EXPIRE_EVERY_SECONDS
        self._command_seconds: float | None = COMMAND_TIMEOUT
        self._watch: asyncio.Task[None] | None = None
        self.current_transaction = OwnedByTask()  # type: ignore[assignment]  # see OwnedByTask

    async def check_version(self) -> None:
        """Not at import, as Piccolo would: a database that is away is told by whoever needs it."""

    async def start(self, name: str = "icecream", *, patient: bool = False) -> None:
        # A migration or the doctor reads every order there is.
        self._command_seconds = None if patient else COMMAND_TIMEOUT
        self.sessions.name(name)
        with failures.PostgresErrors():
            await self.sessions.find_out_whether_shared()
            self.pool = await asyncpg.create_pool(
                min_size=1,
                max_size=self._connections,
                connect=lambda *_, **__: self.sessions.open(self._command_seconds),
                connection_class=Session,
                reset=_as_it_is,
            )
        if not patient:
            self._watch = background.start("watch of the connections", self.sessions.watch)

    async def get_new_connection(self) -> Session:
        return await self.sessions.open(self._command_seconds)

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self.pool is not None:
            pool, self.pool = self.pool, None
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def ask(self, connection: Any, work: Awaitable[Any]) -> Any:
        """Await what a connection was asked for; errors come out as what they mean."""
        try:
            return await work
        except failures.DRIVER_ERRORS as error:
            meaning = failures.of_postgres(error)
            if meaning is None:
                raise
            if failures.breaks_connection(error):
                drop(connection)
            if isinstance(meaning, ReadOnly):
                await self._expire()
            raise meaning from error

    async def take(self) -> Any:
        with failures.PostgresErrors():
            if self.pool is None:
                return await self.get_new_connection()
            return await self.pool.acquire(timeout=ACQUIRE_TIMEOUT)

    async def take_alone(self) -> Session:
        """A connection beside the pool."""
        with failures.PostgresErrors():
            return await self.get_new_connection()

    async def give_back(self, connection: Any) -> None:
        # What is wrong with it was told to the caller already: then it is dropped, and replaced.
        with contextlib.suppress(*failures.DRIVER_ERRORS):
            if self.pool is None:
                await connection.close()
            else:
                await self.pool.release(connection, timeout=RELEASE_TIMEOUT)

    async def run_querystring(self, querystring: QueryString, in_pool: bool = True) -> Any:
        return await self._run(*querystring.compile_string(engine_type=self.engine_type))

    async def run_ddl(self, ddl: str, in_pool: bool = True) -> Any:
        return await self._run(ddl, ())

    async def _run(self, query: str, args: Sequence[Any]) -> Any:
        if current := self.current_transaction.get():
            return await self.ask(current.connection, current.connection.fetch(query, *args))
        # Alone, it is a transaction of its own.
        return await persistently(lambda: self._run_once(query, args))

    async def _run_once(self, query: str, args: Sequence[Any]) -> Any:
        return await self._alone(lambda connection: connection.fetch(query, *args))

    async def _alone(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        connection = await self.take()
        try:
            return await self.ask(connection, work(connection))
        finally:
            await self.give_back(connection)

    async def write(self) -> None:
        """Commit something that changes nothing."""
        await self._alone(_write)

    async def _expire(self) -> None:
        """Replace all connections of the pool before they are used again."""
        now = time.monotonic()
        if self.pool is not None and now - self._expired_at > EXPIRE_EVERY_SECONDS:
            self._expired_at = now
            await self.pool.expire_connections()

    def warnings(self) -> list[str]:
        """What an operator should know about this database."""
        level = self.sessions.synchronous_commit
        if level in DURABLE:
            return []
        return [
            f"synchronous_commit is {level}: orders that were confirmed may be lost in a crash of "
            "the database. Set it to on, for our role or in the server's configuration."
        ]

    def transaction(self, allow_nested: bool = True) -> PostgresExit:
        return PostgresExit(engine=self, allow_nested=allow_nested)

    def snapshot(self) -> PostgresSnapshot:
        return PostgresSnapshot(engine=self)

    @asynccontextmanager
    async def migration_lock(self) -> AsyncIterator[None]:
        """One migration runner at a time; the lock goes with its connection, even after a crash."""
        connection = await self.take_alone()
        try:
            # In a transaction, because a pooler may give its session to others after it.
            async with connection.transaction():
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
                yield
        finally:
            drop(connection)
