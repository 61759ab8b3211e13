"""Calls that arrive together are answered together."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from icecream import counters, database, errors

Call = TypeVar("Call")
Answer = TypeVar("Answer")
Work = Callable[[list[Call]], Awaitable[Sequence[Answer | Exception]]]


class Batches(Generic[Call, Answer]):
    """Whoever waits at the same moment goes into one batch, and the next one forms meanwhile.

    There is no timer: in an idle process a batch is one call.

    Args:
        work: answers a batch, an outcome per call, in their order. All or nothing: when it raises
            an exception other than `database.AWAY`, it is done again with half of the calls, down
            to one, so that a call that cannot be answered fails alone. When it was cancelled,
            nobody knows how far it got, and it is not done again.
        of: what they are called where they are counted.
        most: what the calls of a batch may weigh together.
        room: calls that may wait for the next batches.
        weight: of one call; one that is too heavy makes a batch of its own.
    """

    def __init__(
        self,
        work: Work[Call, Answer],
        *,
        of: str,
        most: int,
        room: int,
        weight: Callable[[Call], int] = lambda call: 1,
    ) -> None:
        self._work, self._of = work, of
        self._most, self._room, self._weight = most, room, weight
        self._waiting: deque[tuple[Call, asyncio.Future[Answer]]] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    async def ask(self, call: Call) -> Answer:
        """Wait in line, and for the answer.

        Raises:
            errors.Unavailable: the line is full, or closed; the call had and will have no effect.
        """
        if self._closed or len(self._waiting) >= self._room:
            raise errors.Unavailable("Too much at once; try again in a second.")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((call, answer))
        if self._runner is None:
            # In nobody's context: whoever happened to be first may leave, the others stay.
            self._runner = loop.create_task(self._run(), context=Context())
        return await answer

    async def close(self) -> None:
        """Take no more calls, and answer those that were taken."""
        self._closed = True
        if self._runner is not None:
            await self._runner

    async def _run(self) -> None:
        while self._waiting:
            await self._gathered()
            await self._answer(self._next())
        self._runner = None

    async def _gathered(self) -> None:
        """Let those in who are at the door: as long as each turn of the event loop brings more."""
        before = 0
        while before < len(self._waiting) < self._most:
            before = len(self._waiting)
            await asyncio.sleep(0)

    def _next(self) -> list[tuple[Call, asyncio.Future[Answer]]]:
        batch: list[tuple[Call, asyncio.Future[Answer]]] = []
        room = self._most
        while self._waiting:
            call, answer = self._waiting[0]
            # Who left before its turn is not served; who leaves later was.
            if not answer.done():
                room -= self._weight(call)
                if batch and room < 0:
                    break
                batch.append((call, answer))
            self._waiting.popleft()
        return batch

    async def _answer(self, batch: list[tuple[Call, asyncio.Future[Answer]]]) -> None:
        if not batch:
            return
        began = time.perf_counter()
        outcomes: Sequence[Answer | BaseException] | BaseException
        (outcomes,) = await asyncio.gather(
            self._work([call for call, _ in batch]), return_exceptions=True
        )
        if isinstance(outcomes, BaseException):
            again = isinstance(outcomes, Exception) and not isinstance(outcomes, database.AWAY)
            if again and len(batch) > 1:
                half = len(batch) // 2
                await self._answer(batch[:half])
                await self._answer(batch[half:])
                return
            outcomes = [outcomes] * len(batch)
        else:
            counters.written(self._of, len(batch), time.perf_counter() - began)
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            if answer.done():
                continue
            if isinstance(outcome, BaseException):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
