"""Calls that arrive together are answered together."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet

from icecream import counters, database, errors, logs

Call = TypeVar("Call")
Answer = TypeVar("Answer")
Work = Callable[[list[Call]], Awaitable[Sequence[Answer | Exception]]]

log = logging.getLogger(__name__)
# A batch that takes longer than this many seconds is reported: nobody is served meanwhile. It is
# longer than the database may take for one statement.
STUCK_SECONDS = 40.0
_all: "WeakSet[Batches[Any, Any]]" = WeakSet()


class _Asked(NamedTuple, Generic[Call, Answer]):
    call: Call
    weight: int
    answer: asyncio.Future[Answer]


Batch = list[_Asked[Call, Answer]]


class Batches(Generic[Call, Answer]):
    """Whoever waits at the same moment goes into one batch, and the next one forms meanwhile.

    There is no timer: in an idle process a batch is one call.

    Args:
        work: answers a batch, an outcome per call, in their order. All or nothing: when it raises
            an exception other than `database.AWAY`, it is done again with half of the calls, down
            to one, so that a call that cannot be answered fails alone. So nothing may follow its
            COMMIT. When it was cancelled, nobody knows how far it got, and it is not done again.
        of: what they are called where they are counted.
        most: what the calls of a batch may weigh together.
        room: calls that may wait for the next batches.
        weight: of one call; one that is too heavy makes a batch of its own.
        done: called with the outcomes after the work; if it fails, the callers are answered all
            the same.
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
        """Wait in line, and for the answer.

        Raises:
            errors.Unavailable: the line is full, or closed; the call had and will have no effect.
            database.Unsettled: the work was stopped; nobody knows whether it had an effect.
        """
        if self._closed or len(self._waiting) >= self._room:
            raise errors.Unavailable("Too much at once; try again in a second.")
        loop = asyncio.get_running_loop()
        asked = _Asked[Call, Answer](call, self._weight(call), loop.create_future())
        self._waiting.append(asked)
        if self._runner is None:
            # In nobody's context: whoever happened to be first may leave, the others stay.
            self._runner = loop.create_task(self._run(), context=Context())
        return await asked.answer

    async def close(self) -> None:
        """Take no more calls, and answer those that were taken.

        When this is cancelled, they are told that there will be no answer.
        """
        self._closed = True
        if (runner := self._runner) is None:
            return
        try:
            await asyncio.wait({runner})
        finally:
            # At once: the work may take its time to notice.
            runner.cancel()
            self._give_up()

    @property
    def seconds(self) -> float:
        """How long the batch that is under way has taken; 0 if there is none."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    @property
    def stuck(self) -> str | None:
        """What to tell an operator while nobody is served."""
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
            # Whatever ended it: the next call starts another.
            self._runner = self._began = None
            self._give_up()

    def _give_up(self) -> None:
        """Answer everybody who still waits; nobody does unless this was stopped."""
        _fail(self._serving, database.Unsettled("The work was stopped before its end."))
        self._serving = []
        _fail(self._waiting, errors.Unavailable("The service is stopping."))
        self._waiting.clear()

    async def _gathered(self) -> None:
        """Let those in who are at the door: as long as each turn of the event loop brings more."""
        before = 0
        while before < len(self._waiting) < self._most:
            before = len(self._waiting)
            await asyncio.sleep(0)

    def _next(self) -> Batch[Call, Answer]:
        batch: Batch[Call, Answer] = []
        room = self._most
        while self._waiting:
            asked = self._waiting[0]
            # Who left before its turn is not served; who leaves later was.
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
        # In a task of its own, so that its cancellation is not that of the runner.
        work = self._work([asked.call for asked in batch])
        (outcomes,) = await asyncio.gather(work, return_exceptions=True)
        return outcomes

    def _answer(self, batch: Batch[Call, Answer], outcomes: Sequence[Answer | Exception]) -> None:
        """Tell each caller what came of it; the work is done, and is not done again."""
        if len(outcomes) != len(batch):
            error = RuntimeError(f"{len(outcomes)} outcomes for {len(batch)} {self._of}")
            log.error("%s", error)
            _fail(batch, error)
            return
        with logs.contained(log, f"Counting a batch of {self._of}"):
            assert self._began is not None
            counters.written(self._of, len(batch), time.monotonic() - self._began)
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
    """Where in this process nobody is served any more."""
    return [said for one in _all if (said := one.stuck)]
