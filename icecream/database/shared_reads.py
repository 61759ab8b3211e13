"""Shared reads: callers that want the same data at the same moment share one query."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from typing import Generic, TypeVar

from icecream import errors

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")
# Further callers are refused with 503. So many callers wait only if the database hangs.
MAX_WAITING = 2000


class _Waiting(Generic[Answer]):
    """The callers who wait for the next read of a key, and the task that reads."""

    def __init__(self) -> None:
        self.callers: list[asyncio.Future[Answer]] = []
        self.runner: asyncio.Task[None] | None = None

    def take(self) -> list[asyncio.Future[Answer]]:
        """Return the callers who still wait; later callers wait for a later read."""
        callers, self.callers = self.callers, []
        return [caller for caller in callers if not caller.done()]


class SharedReads(Generic[Key, Answer]):
    """Reads data for all callers who wait at the same moment, once per key ("single flight").

    An answer is never older than its request: a caller who arrives while a read runs waits for the
    next one. There is no timer, and no answer is kept. In an idle process a read has one caller.

    Args:
        read: returns the answer for a key. All callers of a read get the same object, so none of
            them may change it. An error goes to all of them too. The read runs outside of the
            callers' transactions and requests, and continues if they are canceled.
        max_waiting: the maximum number of callers.
    """

    def __init__(
        self, read: Callable[[Key], Awaitable[Answer]], *, max_waiting: int = MAX_WAITING
    ) -> None:
        self._read, self._max_waiting = read, max_waiting
        self._waiting: dict[Key, _Waiting[Answer]] = {}
        self._count = 0

    async def read(self, key: Key) -> Answer:
        """Return the answer of a read that begins after this call.

        Raises:
            errors.Unavailable: too many callers wait.
        """
        if self._count >= self._max_waiting:
            raise errors.Unavailable("Too many requests at once; try again in a second.")
        loop = asyncio.get_running_loop()
        caller: asyncio.Future[Answer] = loop.create_future()
        if (waiting := self._waiting.get(key)) is None:
            waiting = self._waiting[key] = _Waiting[Answer]()
            # Use an empty context: the task must not depend on the first caller.
            waiting.runner = loop.create_task(self._run(key, waiting), context=Context())
        waiting.callers.append(caller)
        self._count += 1
        try:
            return await caller
        finally:
            self._count -= 1

    async def _run(self, key: Key, waiting: _Waiting[Answer]) -> None:
        """Read again until no caller waits."""
        serving: list[asyncio.Future[Answer]] = []
        try:
            while waiting.callers:
                await _gather_callers(waiting)
                if serving := waiting.take():
                    # Read in another task, so that its cancellation does not cancel this one.
                    (answer,) = await asyncio.gather(self._read(key), return_exceptions=True)
                    _answer(serving, answer)
        finally:
            # After any kind of end, the next caller starts another task.
            del self._waiting[key]
            if left := [caller for caller in serving + waiting.take() if not caller.done()]:
                _answer(left, errors.Unavailable("The service is stopping."))


async def _gather_callers(waiting: _Waiting[Answer]) -> None:
    """Let callers join, as long as each turn of the event loop brings more."""
    before = 0
    while before < len(waiting.callers):
        before = len(waiting.callers)
        await asyncio.sleep(0)


def _answer(callers: list[asyncio.Future[Answer]], answer: Answer | BaseException) -> None:
    for caller in callers:
        if caller.done():
            continue
        if isinstance(answer, asyncio.CancelledError):
            caller.set_exception(errors.Unavailable("The read was canceled."))
        elif isinstance(answer, BaseException):
            caller.set_exception(answer)
        else:
            caller.set_result(answer)
