"""Batches: calls that arrive together are answered together."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet

from icecream import database, errors
from icecream.runtime import instrumentation, logs

Call = TypeVar("Call")
Answer = TypeVar("Answer")
Work = Callable[[list[Call]], Awaitable[Sequence[Answer | Exception]]]

log = logging.getLogger(__name__)
# A batch that takes longer than this many seconds is reported, because other calls wait for it. The
# limit is longer than the database's limit for one statement.
STUCK_SECONDS = 40.0
_all: "WeakSet[Batches[Any, Any]]" = WeakSet()


class _Asked(NamedTuple, Generic[Call, Answer]):
    call: Call
    weight: int
    answer: asyncio.Future[Answer]


Batch = list[_Asked[Call, Answer]]


class Batches(Generic[Call, Answer]):
    """A queue of calls: all calls that wait at the same moment go into one batch.

    While a batch is served, the next one forms. There is no timer: in an idle process a batch is
    one call.

    Args:
        work: answers a batch with one outcome per call, in their order. It is all or nothing. When
            it raises an exception other than `database.AWAY`, it is repeated with half of the
            calls, down to one call, so that a call that cannot be answered fails alone. So nothing
            may follow its COMMIT. When it was canceled, its effect is unknown, and it is not
            repeated.
        of: the name of the calls in the counters.
        most: the maximum total weight of the calls in a batch.
        room: the maximum number of calls that wait for the next batches.
        weight: returns the weight of one call; a call above `most` gets its own batch.
        done: called with the outcomes after the work; if it fails, the callers still get their
            answers.
    """

    def __init__(
        self,
        work: Work[Call, Answer],
        *,
        of: str,
        most: int,
        room: int,
        weight: Callable[[Call], int] = lambda call: 1,
        done: Callable[[Sequence[Answer | Exception]], None] = lambda outcomes: None,
    ) -> None:
        self._work, self._of, self._done = work, of, done
        self._most, self._room, self._weight = most, room, weight
        self._waiting: deque[_Asked[Call, Answer]] = deque()
        self._serving: Batch[Call, Answer] = []
        self._began: float | None = None
        self._runner: asyncio.Task[None] | None = None
        self._closed = False
        _all.add(self)

    async def ask(self, call: Call) -> Answer:
        """Queue the call, and wait for its answer.

        Raises:
            errors.Unavailable: the queue is full or closed; the call has no effect.
            database.Unsettled: the work was stopped, and its effect is unknown.
        """
        if self._closed or len(self._waiting) >= self._room:
            raise errors.Unavailable("Too much at once; try again in a second.")
        loop = asyncio.get_running_loop()
        asked = _Asked[Call, Answer](call, self._weight(call), loop.create_future())
        self._waiting.append(asked)
        if self._runner is None:
            # Use an empty context: the task must not depend on the first caller, who may leave.
            self._runner = loop.create_task(self._run(), context=Context())
        return await asked.answer

    async def close(self) -> None:
        """Accept no more calls, and answer those that were accepted.

        If this is canceled, the remaining calls fail.
        """
        self._closed = True
        if (runner := self._runner) is None:
            return
        try:
            await asyncio.wait({runner})
        finally:
            # Do not wait: the work may take some time to react to the cancellation.
            runner.cancel()
            self._give_up()

    @property
    def seconds(self) -> float:
        """How long the current batch has taken; 0 if there is none."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    @property
    def stuck(self) -> str | None:
        """A message for the operator while a batch takes too long."""
        if self._began is None or (seconds := self.seconds) < STUCK_SECONDS:
            return None
        return f"a batch of {self._of} has taken {seconds:.0f} seconds"

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gathered()
                self._serving = self._next()
                await self._serve(self._serving)
        finally:
            # After any kind of end, the next call starts another runner.
            self._runner = self._began = None
            self._give_up()

    def _give_up(self) -> None:
        """Fail the calls that still wait; there are none unless the runner was stopped."""
        _fail(self._serving, database.Unsettled("The work was stopped before its end."))
        self._serving = []
        _fail(self._waiting, errors.Unavailable("The service is stopping."))
        self._waiting.clear()

    async def _gathered(self) -> None:
        """Let pending calls join, as long as each turn of the event loop brings more."""
        before = 0
        while before < len(self._waiting) < self._most:
            before = len(self._waiting)
            await asyncio.sleep(0)

    def _next(self) -> Batch[Call, Answer]:
        batch: Batch[Call, Answer] = []
        room = self._most
        while self._waiting:
            asked = self._waiting[0]
            # A caller who left before the batch forms is not served. A caller who leaves later was
            # served.
            if not asked.answer.done():
                room -= asked.weight
                if batch and room < 0:
                    break
                batch.append(asked)
            self._waiting.popleft()
        return batch

    async def _serve(self, batch: Batch[Call, Answer]) -> None:
        if not batch:
            return
        self._began = time.monotonic()
        outcomes = await self._outcomes(batch)
        if isinstance(outcomes, asyncio.CancelledError):
            outcomes = database.Unsettled("The work was cancelled.")
        if not isinstance(outcomes, BaseException):
            self._answer(batch, outcomes)
        elif len(batch) == 1 or isinstance(outcomes, database.AWAY):
            _fail(batch, outcomes)
        else:
            half = len(batch) // 2
            await self._serve(batch[:half])
            await self._serve(batch[half:])
        self._began = None

    async def _outcomes(
        self, batch: Batch[Call, Answer]
    ) -> Sequence[Answer | Exception] | BaseException:
        # Run the work in its own task, so that its cancellation does not cancel the runner.
        work = self._work([asked.call for asked in batch])
        (outcomes,) = await asyncio.gather(work, return_exceptions=True)
        return outcomes

    def _answer(self, batch: Batch[Call, Answer], outcomes: Sequence[Answer | Exception]) -> None:
        """Give each caller its outcome; the work is done, and is not repeated."""
        if len(outcomes) != len(batch):
            error = RuntimeError(f"{len(outcomes)} outcomes for {len(batch)} {self._of}")
            log.error("%s", error)
            _fail(batch, error)
            return
        with logs.contained(log, f"Counting a batch of {self._of}"):
            assert self._began is not None
            instrumentation.written(self._of, len(batch), time.monotonic() - self._began)
        with logs.contained(log, f"What follows a batch of {self._of}"):
            self._done(outcomes)
        for asked, outcome in zip(batch, outcomes, strict=True):
            if asked.answer.done():
                continue
            if isinstance(outcome, BaseException):
                asked.answer.set_exception(outcome)
            else:
                asked.answer.set_result(outcome)


def _fail(batch: Iterable[_Asked[Any, Any]], error: BaseException) -> None:
    for asked in batch:
        if not asked.answer.done():
            asked.answer.set_exception(error)


def stuck() -> list[str]:
    """Return a message for each queue of this process whose batch takes too long."""
    return [said for one in _all if (said := one.stuck)]
