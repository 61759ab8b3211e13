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
from icecream.database.failures import (
    CommitOutcomeUnknown,
    DatabaseReadOnly,
    DatabaseUnavailable,
)
from icecream.database.sessions import (
    DURABLE_COMMIT_LEVELS,
    PLANNER_SETTINGS,
    Connector,
    MonitoredConnection,
)
from icecream.database.transactions import SafeTransaction, TaskLocalTransaction, run_with_retries
from icecream.runtime import background

# After these times the client has probably gone: to wait for a free connection, and for an answer.
ACQUIRE_TIMEOUT_SECONDS = 5
COMMAND_TIMEOUT_SECONDS = 30
# The time until a canceled query has ended; a connection that takes longer is dropped.
RELEASE_TIMEOUT_SECONDS = 1
# Between two replacements of the pool's connections, after a failover has made
# their server a standby.
MIN_EXPIRE_INTERVAL_SECONDS = 1.0
# Writes a message to the write-ahead log. No program reads it, but it is committed like an order,
# also on a synchronous standby. A standby or a read-only session refuses it.
TEST_WRITE_SQL = """
    SELECT current_setting('transaction_read_only') AS read_only,
        CASE current_setting('transaction_read_only') WHEN 'off'
            THEN pg_logical_emit_message(true, 'icecream', '') END"""
# The time to close connections to a database that may have stopped answering.
CLOSE_TIMEOUT_SECONDS = 1
# Any number works, as long as every migration runner uses the same one.
MIGRATION_LOCK_ID = 0x1CEC2EA3


async def _skip_reset(connection: Any) -> None:
    """Skip the reset of a session: no code here changes its settings, and it costs a round trip.

    asyncpg itself still rolls back an open transaction.
    """


def _is_unused(connection: Any) -> bool:
    """Return whether a connection of a pool is between two queries, outside of a transaction."""
    session = getattr(connection, "_con", None)
    return session is not None and not (
        session.is_in_transaction() or session._protocol._is_cancelling()
    )


def terminate_connection(connection: Any) -> None:
    """Close a connection without notifying the server, which may no longer answer."""
    with contextlib.suppress(asyncpg.InterfaceError):  # It was returned to its pool already.
        connection.terminate()


async def _run_test_write(connection: Any) -> None:
    (row,) = await connection.fetch(TEST_WRITE_SQL)
    if row["read_only"] == "on":
        # The error that the database raises for any other write.
        raise asyncpg.ReadOnlySQLTransactionError("the database is read-only")


class SafePostgresTransaction(SafeTransaction, PostgresTransaction):
    """Piccolo's transaction with a reliable exit.

    It calls asyncpg's transaction as a context manager. With `start()`, asyncpg would log an error
    when BEGIN is canceled and the connection is released.
    """

    def prepare(self) -> None:
        self.transaction = self.connection.transaction()

    async def begin(self) -> None:
        await self.transaction.__aenter__()

    async def undo_begin(self) -> None:
        """Leave the rollback to asyncpg: it rolls back when the connection is released."""

    async def commit(self) -> None:
        await self.transaction.__aexit__(None, None, None)
        self._committed = True

    async def rollback(self) -> None:
        await self.transaction.__aexit__(Exception, None, None)
        self._rolled_back = True


class PostgresSnapshot(SafePostgresTransaction):
    """A snapshot: later commits of other transactions are not visible."""

    def prepare(self) -> None:
        self.transaction = self.connection.transaction(isolation="repeatable_read", readonly=True)


class Postgres(PostgresEngine):
    """Piccolo's engine, with limits on all waiting times."""

    def __init__(self, url: str, connections: int = 20) -> None:
        super().__init__(config={})
        self.connector, self._max_connections = Connector(url), connections
        self._expired_at = -MIN_EXPIRE_INTERVAL_SECONDS
        self._command_seconds: float | None = COMMAND_TIMEOUT_SECONDS
        self._check: asyncio.Task[None] | None = None
        self.current_transaction = TaskLocalTransaction()  # type: ignore[assignment]  # see TaskLocalTransaction

    async def check_version(self) -> None:
        """Skip Piccolo's check at import; an outage is reported where the database is needed."""

    async def start(self, name: str = "icecream", *, no_time_limit: bool = False) -> None:
        # A migration or the doctor may read every order.
        self._command_seconds = None if no_time_limit else COMMAND_TIMEOUT_SECONDS
        self.connector.set_application_name(name)
        with failures.PostgresErrorTranslation():
            await self.connector.detect_pooler()
            self.pool = await asyncpg.create_pool(
                min_size=1,
                max_size=self._max_connections,
                connect=lambda *_, **__: self.connector.open(self._command_seconds),
                connection_class=MonitoredConnection,
                reset=_skip_reset,
            )
        if not no_time_limit:
            self._check = background.start_task(
                "check of the connections", self.connector.close_dead_connections
            )

    async def get_new_connection(self) -> MonitoredConnection:
        return await self.connector.open(self._command_seconds)

    async def stop(self) -> None:
        if self._check is not None:
            self._check.cancel()
        if self.pool is not None:
            pool, self.pool = self.pool, None
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def run(self, connection: Any, work: Awaitable[Any]) -> Any:
        """Await the work of a connection, and translate driver errors into our exceptions."""
        try:
            return await work
        except failures.DRIVER_ERRORS as error:
            translated = failures.classify_postgres_error(error)
            if translated is None:
                raise
            if failures.breaks_connection(error):
                terminate_connection(connection)
            if isinstance(translated, DatabaseReadOnly):
                await self._expire_connections()
            raise translated from error

    async def acquire(self) -> Any:
        with failures.PostgresErrorTranslation():
            if self.pool is None:
                return await self.get_new_connection()
            return await self.pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)

    async def connect_outside_pool(self) -> MonitoredConnection:
        """Return a connection outside of the pool."""
        with failures.PostgresErrorTranslation():
            return await self.get_new_connection()

    async def release(self, connection: Any) -> None:
        # The caller has already received the error; then the connection is dropped and replaced.
        with contextlib.suppress(*failures.DRIVER_ERRORS):
            if self.pool is None:
                await connection.close()
            elif _is_unused(connection):
                # `Pool.release` starts a task, which a cancellation does not reach. Its caller,
                # with the result of a query, waits for three more turns of the event loop.
                await connection._holder.release(RELEASE_TIMEOUT_SECONDS)
            else:
                await self.pool.release(connection, timeout=RELEASE_TIMEOUT_SECONDS)

    async def run_querystring(self, querystring: QueryString, in_pool: bool = True) -> Any:
        return await self._run(*querystring.compile_string(engine_type=self.engine_type))

    async def run_ddl(self, ddl: str, in_pool: bool = True) -> Any:
        return await self._run(ddl, ())

    async def _run(self, query: str, args: Sequence[Any]) -> Any:
        if current := self.current_transaction.get():
            return await self.run(current.connection, current.connection.fetch(query, *args))
        # Outside of a transaction, a single query is its own transaction.
        return await run_with_retries(lambda: self._run_once(query, args))

    async def _run_once(self, query: str, args: Sequence[Any]) -> Any:
        return await self._run_on_connection(lambda connection: connection.fetch(query, *args))

    async def commit_query(self, query: str, args: Sequence[Any]) -> Any:
        """Run a query that writes; outside of a transaction, it is one of its own, without retries.

        Raises:
            CommitOutcomeUnknown: the connection ended while the query ran outside of a transaction.
        """
        if self.transaction_exists():
            return await self._run(query, args)
        connection = await self.acquire()
        try:
            return await self.run(connection, connection.fetch(query, *args))
        except DatabaseUnavailable as error:
            # After an error that leaves the connection usable, nothing was written.
            cause = error.__cause__
            assert isinstance(cause, Exception), "the driver's error"
            if isinstance(error, DatabaseReadOnly) or not failures.breaks_connection(cause):
                raise
            raise CommitOutcomeUnknown(f"The query may have been committed: {error}") from error
        finally:
            await self.release(connection)

    async def _run_on_connection(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        connection = await self.acquire()
        try:
            return await self.run(connection, work(connection))
        finally:
            await self.release(connection)

    async def check_writable(self) -> None:
        """Commit a transaction that changes nothing."""
        await self._run_on_connection(_run_test_write)

    async def _expire_connections(self) -> None:
        """Replace all connections of the pool before they are used again."""
        now = time.monotonic()
        if self.pool is not None and now - self._expired_at > MIN_EXPIRE_INTERVAL_SECONDS:
            self._expired_at = now
            await self.pool.expire_connections()

    def warnings(self) -> list[str]:
        """Return problems of this database that an operator should know about."""
        warnings, level = list[str](), self.connector.synchronous_commit
        if level not in DURABLE_COMMIT_LEVELS:
            warnings.append(
                f"synchronous_commit is {level}: orders that were confirmed may be lost in a crash "
                "of the database. Set it to on, for our role or in the server's configuration."
            )
        if not self.connector.uses_indexes:
            values = ", ".join(f"{name} = {value}" for name, value in PLANNER_SETTINGS.items())
            warnings.append(
                "The pooler shares its sessions, so the planner has its default settings: queries "
                f"may become slow. Set these for our role with ALTER ROLE ... SET: {values}."
            )
        return warnings

    def transaction(self, allow_nested: bool = True) -> SafePostgresTransaction:
        return SafePostgresTransaction(engine=self, allow_nested=allow_nested)

    def snapshot(self) -> PostgresSnapshot:
        return PostgresSnapshot(engine=self)

    @asynccontextmanager
    async def migration_lock(self) -> AsyncIterator[None]:
        """Let one migration runner work at a time.

        The lock ends with its connection, even after a crash.
        """
        connection = await self.connect_outside_pool()
        try:
            # In a transaction, because a pooler may give the session to others afterwards.
            async with connection.transaction():
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK_ID)
                yield
        finally:
            terminate_connection(connection)
