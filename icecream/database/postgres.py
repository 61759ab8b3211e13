"""PostgreSQL through a pool of connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction
from piccolo.querystring import QueryString

from icecream.database import failures
from icecream.database.transactions import CleanExit, OwnedByTask, persistently

# Connections a process may hold: more than a few only queue inside the database instead of here.
POOL_SIZE = 20
# Seconds to wait for a free connection, and for an answer: a caller has left by then.
ACQUIRE_TIMEOUT, COMMAND_TIMEOUT, CONNECT_TIMEOUT = 5, 30, 5
# Milliseconds after which the database throws out who stands still in a transaction, as a frozen
# machine does: what it holds (an order, the feed) is wanted by others.
STANDING_STILL = 10_000
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

    def __init__(self, url: str) -> None:
        # Whatever the server's own settings are, a commit that was acknowledged is on the disk, and
        # a time turned into text is in UTC.
        always = {
            "synchronous_commit": "on",
            "timezone": "UTC",
            "idle_in_transaction_session_timeout": str(STANDING_STILL),
        }
        super().__init__(config={"dsn": url, "timeout": CONNECT_TIMEOUT, "server_settings": always})
        self.current_transaction = OwnedByTask()  # type: ignore[assignment]  # see OwnedByTask

    async def check_version(self) -> None:
        """Not at import, as Piccolo would: a database that is away is told by whoever needs it."""

    async def start(self, *, patient: bool = False) -> None:
        # A migration or the doctor reads every order there is.
        timeout = None if patient else COMMAND_TIMEOUT
        await self.start_connection_pool(
            min_size=1, max_size=POOL_SIZE, command_timeout=timeout, reset=_as_it_is
        )

    async def stop(self) -> None:
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
            raise meaning from error

    async def take(self) -> Any:
        try:
            if self.pool is None:
                return await self.get_new_connection()
            return await self.pool.acquire(timeout=ACQUIRE_TIMEOUT)
        except failures.DRIVER_ERRORS as error:
            if meaning := failures.of_postgres(error):
                raise meaning from error
            raise

    async def give_back(self, connection: Any) -> None:
        # What is wrong with it was told to the caller already: then it is dropped, and replaced.
        with contextlib.suppress(*failures.DRIVER_ERRORS):
            if self.pool is None:
                await connection.close()
            else:
                await self.pool.release(connection)

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
        connection = await self.take()
        try:
            return await self.ask(connection, connection.fetch(query, *args))
        finally:
            await self.give_back(connection)

    def transaction(self, allow_nested: bool = True) -> PostgresExit:
        return PostgresExit(engine=self, allow_nested=allow_nested)

    def snapshot(self) -> PostgresSnapshot:
        return PostgresSnapshot(engine=self)

    @asynccontextmanager
    async def migration_lock(self) -> AsyncIterator[None]:
        """One migration runner at a time; the lock goes with its connection, even after a crash."""
        connection: asyncpg.Connection = await self.get_new_connection()
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
            yield
        finally:
            await connection.close()
