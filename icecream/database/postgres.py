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

from icecream.database import failures
from icecream.database.failures import ReadOnly
from icecream.database.sessions import DURABLE, Session, Sessions
from icecream.database.transactions import CleanExit, OwnedByTask, persistently
from icecream.runtime import background

# Seconds to wait for a free connection, and for an answer; after that, the client is gone.
ACQUIRE_TIMEOUT, COMMAND_TIMEOUT = 5, 30
# Seconds until a canceled query has ended; a connection that takes longer is dropped.
RELEASE_TIMEOUT = 1
# Minimum seconds between two replacements of the pool's connections, after a failover has made
# their server a standby.
EXPIRE_EVERY_SECONDS = 1.0
# Writes a message to the write-ahead log. No program reads it, but it is committed like an order,
# also on a synchronous standby. A standby or a read-only session refuses it.
WRITE = """
    SELECT current_setting('transaction_read_only') AS read_only,
        CASE current_setting('transaction_read_only') WHEN 'off'
            THEN pg_logical_emit_message(true, 'icecream', '') END"""
# Seconds to close connections to a database that may have stopped answering.
CLOSE_TIMEOUT = 1
# Any number works, as long as every migration runner uses the same one.
MIGRATION_LOCK = 0x1CEC2EA3


async def _as_it_is(connection: Any) -> None:
    """Skip the reset of a session: no code here changes its settings, and it costs a round trip.

    asyncpg itself still rolls back an open transaction.
    """


def drop(connection: Any) -> None:
    """Close a connection without notifying the server, which may no longer answer."""
    with contextlib.suppress(asyncpg.InterfaceError):  # It was returned to its pool already.
        connection.terminate()


async def _write(connection: Any) -> None:
    (row,) = await connection.fetch(WRITE)
    if row["read_only"] == "on":
        # The error that the database raises for any other write.
        raise asyncpg.ReadOnlySQLTransactionError("the database is read-only")


class PostgresExit(CleanExit, PostgresTransaction):
    """Piccolo's transaction with a reliable exit."""

    def prepare(self) -> None:
        self.transaction = self.connection.transaction()


class PostgresSnapshot(PostgresExit):
    """A snapshot: later commits of other transactions are not visible."""

    def prepare(self) -> None:
        self.transaction = self.connection.transaction(isolation="repeatable_read", readonly=True)


class Postgres(PostgresEngine):
    """Piccolo's engine, with limits on all waiting times."""

    def __init__(self, url: str, connections: int = 20) -> None:
        super().__init__(config={})
        self.sessions, self._connections = Sessions(url), connections
        self._expired_at = -EXPIRE_EVERY_SECONDS
        self._command_seconds: float | None = COMMAND_TIMEOUT
        self._watch: asyncio.Task[None] | None = None
        self.current_transaction = OwnedByTask()  # type: ignore[assignment]  # see OwnedByTask

    async def check_version(self) -> None:
        """Skip Piccolo's check at import; an outage is reported where the database is needed."""

    async def start(self, name: str = "icecream", *, patient: bool = False) -> None:
        # A migration or the doctor may read every order.
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
        """Await the work of a connection, and translate driver errors into our exceptions."""
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
        """Return a connection outside of the pool."""
        with failures.PostgresErrors():
            return await self.get_new_connection()

    async def give_back(self, connection: Any) -> None:
        # The caller has already received the error; then the connection is dropped and replaced.
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
        # Outside of a transaction, a single query is its own transaction.
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
        """Commit a transaction that changes nothing."""
        await self._alone(_write)

    async def _expire(self) -> None:
        """Replace all connections of the pool before they are used again."""
        now = time.monotonic()
        if self.pool is not None and now - self._expired_at > EXPIRE_EVERY_SECONDS:
            self._expired_at = now
            await self.pool.expire_connections()

    def warnings(self) -> list[str]:
        """Return problems of this database that an operator should know about."""
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
        """Let one migration runner work at a time.

        The lock ends with its connection, even after a crash.
        """
        connection = await self.take_alone()
        try:
            # In a transaction, because a pooler may give the session to others afterwards.
            async with connection.transaction():
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
                yield
        finally:
            drop(connection)
