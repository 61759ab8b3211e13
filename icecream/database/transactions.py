"""Two additions to Piccolo's transactions, for both engines: an owner, and a reliable exit."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

from icecream.database.failures import CommitOutcomeUnknown, RetryTransaction

T = TypeVar("T")

# Where every transaction is serializable, only one of a hundred transactions on the same row
# commits at a time. So there are many attempts, with pauses of up to half a second.
MAX_ATTEMPTS = 25
MAX_PAUSE_SECONDS = 0.5


class QueryOutsideTransaction(RuntimeError):
    """A query in another task than the one that owns the open transaction."""

    def __init__(self) -> None:
        super().__init__(
            "A transaction is open in the task that started this one, and this query would not be "
            "part of it. Await it in that task itself (asyncio.timeout instead of wait_for, one "
            "query after the other instead of gather); or, if it is independent, start the task "
            "after the transaction or with context=contextvars.Context()."
        )


async def run_with_retries(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, and retry it when it raises `RetryTransaction`; it had no effect then."""
    for attempt in range(MAX_ATTEMPTS - 1):
        try:
            return await work()
        except RetryTransaction:
            await asyncio.sleep(random.uniform(0, min(MAX_PAUSE_SECONDS, 0.005 * 2**attempt)))
    return await work()


class TaskLocalTransaction:
    """Replaces the ContextVar in which an engine keeps the current transaction.

    A ContextVar is copied into every task that is started while it is set. Such a task would write
    into a transaction of another task, or into one that has ended. Here a transaction belongs only
    to the task that began it. It is a mistake to start a task inside a transaction and to query
    there while the transaction is open: on PostgreSQL the query would be outside of the
    transaction, and on SQLite it would wait forever.
    """

    def __init__(self) -> None:
        self._current: WeakKeyDictionary[asyncio.Task[Any], Any] = WeakKeyDictionary()
        # The transaction in which this task was started, or which it has begun itself.
        self._enclosing: ContextVar[Any] = ContextVar("enclosing", default=None)

    def get(self) -> Any:
        task = asyncio.current_task()
        if task is None:
            return None
        current = self._current.get(task)
        if current is None and self._is_inside_another():
            raise QueryOutsideTransaction
        return current

    def _is_inside_another(self) -> bool:
        enclosing = self._enclosing.get()
        return enclosing is not None and enclosing in self._current.values()

    def set(self, transaction: Any) -> "asyncio.Task[Any]":
        task = asyncio.current_task()
        assert task is not None, "a transaction needs a running task"
        self._current[task] = transaction
        self._enclosing.set(transaction)
        return task

    def reset(self, task: "asyncio.Task[Any]") -> None:
        self._current.pop(task, None)
        self._enclosing.set(None)


class SafeTransaction:
    """Releases the connection after any result of BEGIN, COMMIT or ROLLBACK.

    Piccolo keeps the connection on errors. This class is mixed into Piccolo's transaction classes,
    and calls their `begin`, `commit` and `rollback`. The engine provides `acquire`, `run` and
    `release` for a connection.
    """

    engine: Any
    connection: Any
    context: Any
    _parent: Any
    _committed: bool
    _rolled_back: bool
    begin: Any
    commit: Any
    rollback: Any

    async def __aenter__(self) -> Any:
        if self._parent is not None:
            return self._parent
        self.connection = await self.acquire()
        self.prepare()
        try:
            await self.engine.run(self.connection, self.begin())
        except BaseException:
            await self.undo_begin()
            await self.release(self.connection)
            raise
        self.context = self.engine.current_transaction.set(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        if self._parent is not None:
            return False
        self.engine.current_transaction.reset(self.context)
        try:
            if not (self._committed or self._rolled_back):
                await (self._try_commit() if error is None else self._try_rollback())
        finally:
            await self.release(self.connection)
        return False

    async def acquire(self) -> Any:
        """Return a connection for exclusive use."""
        return await self.engine.acquire()

    async def release(self, connection: Any) -> None:
        """Release the connection for others."""
        await self.engine.release(connection)

    def prepare(self) -> None:
        """Prepare the connection for `begin`; SQLite needs nothing."""

    async def undo_begin(self) -> None:
        """End the transaction that a failed `begin` may have opened."""
        await self._try_rollback()

    async def _try_commit(self) -> None:
        try:
            await self.engine.run(self.connection, self.commit())
        except BaseException as error:
            await self._try_rollback()
            if not isinstance(error, Exception) or isinstance(error, RetryTransaction):
                raise
            raise CommitOutcomeUnknown(f"COMMIT may have failed: {error}") from error

    async def _try_rollback(self) -> None:
        # Only the first error is reported. A connection that cannot roll back is unusable, and is
        # dropped when it is released.
        with contextlib.suppress(Exception):
            await self.engine.run(self.connection, self.rollback())
