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
_queues: "WeakSet[BatchQueue[Any, Any]]" = WeakSet()


class _PendingCall(NamedTuple, Generic[Call, Answer]):
    call: Call
    weight: int
    future: asyncio.Future[Answer]


Batch = list[_PendingCall[Call, Answer]]


class BatchQueue(Generic[Call, Answer]):
    """A queue of calls: all calls that wait at the same moment go into one batch.

    While a batch is served, the next one forms. There is no timer: in an idle process a batch is
    one call.

    Args:
        work: answers a batch with one outcome per call, in their order. It is all or nothing. When
            it raises an exception other than `database.DATABASE_UNAVAILABLE`, it is repeated with
            half of the calls, down to one call, so that a call that cannot be answered fails alone.
            So nothing may follow its COMMIT. When it was canceled, its effect is unknown, and it is
            not repeated.
        name: the name of the calls in the metrics.
        max_weight: the maximum total weight of the calls in a batch.
        max_waiting: the maximum number of calls that wait for the next batches.
        weight: returns the weight of one call; a call above `max_weight` gets its own batch.
        after_batch: called with the outcomes after the work; if it fails, the callers still get
            their answers.
    """

    def __init__(
        self,
        work: Work[Call, Answer],
        *,
        name: str,
        max_weight: int,
        max_waiting: int,
        weight: Callable[[Call], int] = lambda call: 1,
        after_batch: Callable[[Sequence[Answer | Exception]], None] = lambda outcomes: None,
    ) -> None:
        self._work, self._name, self._after_batch = work, name, after_batch
        self._max_weight, self._max_waiting, self._weight = max_weight, max_waiting, weight
        self._waiting: deque[_PendingCall[Call, Answer]] = deque()
        self._serving: Batch[Call, Answer] = []
        self._started_at: float | None = None
        self._runner: asyncio.Task[None] | None = None
        self._closed = False
        _queues.add(self)

    async def submit(self, call: Call) -> Answer:
        """Queue the call, and wait for its answer.

        Raises:
            errors.Unavailable: the queue is full or closed; the call has no effect.
            database.CommitOutcomeUnknown: the work was stopped, and its effect is unknown.
        """
        if self._closed or len(self._waiting) >= self._max_waiting:
            raise errors.Unavailable("Too many requests at once; try again in a second.")
        loop = asyncio.get_running_loop()
        pending = _PendingCall[Call, Answer](call, self._weight(call), loop.create_future())
        self._waiting.append(pending)
        if self._runner is None:
            # Use an empty context: the task must not depend on the first caller.
            self._runner = loop.create_task(self._run(), context=Context())
        return await pending.future

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
            self._fail_unanswered()

    @property
    def seconds(self) -> float:
        """The time that the current batch has taken; 0 if there is none."""
        return 0.0 if self._started_at is None else time.monotonic() - self._started_at

    @property
    def stuck_message(self) -> str | None:
        """A message for the operator while a batch takes too long."""
        if self._started_at is None or (seconds := self.seconds) < STUCK_SECONDS:
            return None
        return f"a batch of {self._name} has taken {seconds:.0f} seconds"

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather_calls()
                self._serving = self._next_batch()
                await self._serve(self._serving)
        finally:
            # After any kind of end, the next call starts another runner.
            self._runner = self._started_at = None
            self._fail_unanswered()

    def _fail_unanswered(self) -> None:
        """Fail the calls that still wait; only a stopped runner leaves any."""
        _fail_calls(
            self._serving, database.CommitOutcomeUnknown("The work was stopped before its end.")
        )
        self._serving = []
        _fail_calls(self._waiting, errors.Unavailable("The service is stopping."))
        self._waiting.clear()

    async def _gather_calls(self) -> None:
        """Let pending calls join, as long as each turn of the event loop brings more."""
        before = 0
        while before < len(self._waiting) < self._max_weight:
            before = len(self._waiting)
            await asyncio.sleep(0)

    def _next_batch(self) -> Batch[Call, Answer]:
        batch: Batch[Call, Answer] = []
        free_weight = self._max_weight
        while self._waiting:
            pending = self._waiting[0]
            # A call that is canceled before the batch forms is not served. Later, it is served.
            if not pending.future.done():
                free_weight -= pending.weight
                if batch and free_weight < 0:
                    break
                batch.append(pending)
            self._waiting.popleft()
        return batch

    async def _serve(self, batch: Batch[Call, Answer]) -> None:
        if not batch:
            return
        self._started_at = time.monotonic()
        outcomes = await self._run_work(batch)
        if isinstance(outcomes, asyncio.CancelledError):
            outcomes = database.CommitOutcomeUnknown("The work was canceled.")
        if not isinstance(outcomes, BaseException):
            self._deliver(batch, outcomes)
        elif len(batch) == 1 or isinstance(outcomes, database.DATABASE_UNAVAILABLE):
            _fail_calls(batch, outcomes)
        else:
            half = len(batch) // 2
            await self._serve(batch[:half])
            await self._serve(batch[half:])
        self._started_at = None

    async def _run_work(
        self, batch: Batch[Call, Answer]
    ) -> Sequence[Answer | Exception] | BaseException:
        # Run the work in its own task, so that its cancellation does not cancel the runner.
        work = self._work([pending.call for pending in batch])
        (outcomes,) = await asyncio.gather(work, return_exceptions=True)
        return outcomes

    def _deliver(self, batch: Batch[Call, Answer], outcomes: Sequence[Answer | Exception]) -> None:
        """Give each caller its outcome; the work is done, and is not repeated."""
        if len(outcomes) != len(batch):
            error = RuntimeError(f"{len(outcomes)} outcomes for {len(batch)} {self._name}")
            log.error("%s", error)
            _fail_calls(batch, error)
            return
        with logs.log_errors(log, f"Counting a batch of {self._name}"):
            assert self._started_at is not None
            instrumentation.count_batch(self._name, len(batch), time.monotonic() - self._started_at)
        with logs.log_errors(log, f"The callback after a batch of {self._name}"):
            self._after_batch(outcomes)
        for pending, outcome in zip(batch, outcomes, strict=True):
            if pending.future.done():
                continue
            if isinstance(outcome, BaseException):
                pending.future.set_exception(outcome)
            else:
                pending.future.set_result(outcome)


def _fail_calls(batch: Iterable[_PendingCall[Any, Any]], error: BaseException) -> None:
    for pending in batch:
        if not pending.future.done():
            pending.future.set_exception(error)


def stuck_batches() -> list[str]:
    """Return a message for each queue of this process whose batch takes too long."""
    return [message for queue in _queues if (message := queue.stuck_message)]
