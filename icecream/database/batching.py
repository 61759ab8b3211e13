"""Batches: calls that arrive together are answered together."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
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
# Smaller batches do not overlap, because each one costs several round trips and a COMMIT.
MIN_OVERLAPPING_CALLS = 16
# How much of a former load counts in the next batch.
LOAD_DECAY = 0.95
_queues: "WeakSet[BatchQueue[Any, Any]]" = WeakSet()


class _PendingCall(NamedTuple, Generic[Call, Answer]):
    call: Call
    weight: int
    future: asyncio.Future[Answer]


Batch = list[_PendingCall[Call, Answer]]


@dataclass(eq=False)
class _RunningBatch(Generic[Call, Answer]):
    """A batch that is gathered or served, and the time since which it is served."""

    calls: Batch[Call, Answer] = field(default_factory=list)
    started_at: float | None = None


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
        overlaps: under load, serve two batches at a time, each with half of the calls. While the
            database works on one of them, this process answers the other and receives new calls.
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
        overlaps: bool = False,
    ) -> None:
        self._work, self._name, self._after_batch = work, name, after_batch
        self._max_weight, self._max_waiting, self._weight = max_weight, max_waiting, weight
        self._overlaps = overlaps
        self._waiting: deque[_PendingCall[Call, Answer]] = deque()
        self._running: dict[asyncio.Task[None], _RunningBatch[Call, Answer]] = {}
        self._gathering = False
        # The number of calls that recently waited or were served at the same time.
        self._load = 0.0
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
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_PendingCall(call, self._weight(call), future))
        self._start_batch_if_due()
        return await future

    async def close(self) -> None:
        """Accept no more calls, and answer those that were accepted.

        If this is canceled, the remaining calls fail.
        """
        self._closed = True
        try:
            while self._running:
                await asyncio.wait(self._running)
        finally:
            for task, batch in self._running.items():
                # Do not wait: the work may take some time to react to the cancellation.
                task.cancel()
                _fail_stopped(batch.calls)
            self._fail_waiting()

    @property
    def is_busy(self) -> bool:
        """Whether calls wait, or two batches are served."""
        return bool(self._waiting) or len(self._running) > 1

    @property
    def seconds(self) -> float:
        """The time that the current batch has taken, the slower one of two; 0 if there is none."""
        started = [batch.started_at for batch in self._running.values() if batch.started_at]
        return time.monotonic() - min(started) if started else 0.0

    @property
    def stuck_message(self) -> str | None:
        """A message for the operator while a batch takes too long."""
        seconds = self.seconds
        if not seconds or seconds < STUCK_SECONDS:
            return None
        return f"a batch of {self._name} has taken {seconds:.0f} seconds"

    def _start_batch_if_due(self) -> None:
        """Start a batch if calls wait and none is running, or a second one under load."""
        if self._gathering or not self._waiting:
            return
        if self._running and (len(self._running) > 1 or not self._is_overlap_due()):
            return
        self._gathering = True
        batch = _RunningBatch[Call, Answer]()
        # Use an empty context: the task must not depend on the first caller.
        task = asyncio.get_running_loop().create_task(self._run(batch), context=Context())
        self._running[task] = batch

    @property
    def _overlap_size(self) -> int:
        """The number of calls of a batch, while two are served at a time."""
        return max(MIN_OVERLAPPING_CALLS, math.ceil(self._load / 2))

    def _is_overlap_due(self) -> bool:
        return self._overlaps and len(self._waiting) >= self._overlap_size

    async def _run(self, batch: _RunningBatch[Call, Answer]) -> None:
        """Gather one batch and serve it."""
        task = asyncio.current_task()
        assert task is not None
        try:
            try:
                await self._gather_calls()
                batch.calls = self._next_batch()
            finally:
                self._gathering = False
            self._start_batch_if_due()
            await self._serve(batch, batch.calls)
        except BaseException:
            self._fail_waiting()
            raise
        finally:
            del self._running[task]
            _fail_stopped(batch.calls)
            self._start_batch_if_due()

    def _fail_waiting(self) -> None:
        _fail_calls(self._waiting, errors.Unavailable("The service is stopping."))
        self._waiting.clear()

    async def _gather_calls(self) -> None:
        """Let pending calls join, as long as each turn of the event loop brings more."""
        before = 0
        while before < len(self._waiting) < self._max_weight and not self._is_overlap_due():
            before = len(self._waiting)
            await asyncio.sleep(0)

    def _next_batch(self) -> Batch[Call, Answer]:
        load = len(self._waiting) + sum(len(one.calls) for one in self._running.values())
        self._load = max(load, self._load * LOAD_DECAY)
        max_calls = self._overlap_size if self._overlaps else len(self._waiting)
        batch: Batch[Call, Answer] = []
        free_weight = self._max_weight
        while self._waiting and len(batch) < max_calls:
            pending = self._waiting[0]
            # A call that is canceled before the batch forms is not served. Later, it is served.
            if not pending.future.done():
                free_weight -= pending.weight
                if batch and free_weight < 0:
                    break
                batch.append(pending)
            self._waiting.popleft()
        return batch

    async def _serve(
        self, running: _RunningBatch[Call, Answer], batch: Batch[Call, Answer]
    ) -> None:
        if not batch:
            return
        running.started_at = time.monotonic()
        outcomes = await self._run_work(batch)
        if isinstance(outcomes, asyncio.CancelledError):
            outcomes = database.CommitOutcomeUnknown("The work was canceled.")
        if not isinstance(outcomes, BaseException):
            self._deliver(batch, outcomes, time.monotonic() - running.started_at)
        elif len(batch) == 1 or isinstance(outcomes, database.DATABASE_UNAVAILABLE):
            _fail_calls(batch, outcomes)
        else:
            half = len(batch) // 2
            await self._serve(running, batch[:half])
            await self._serve(running, batch[half:])

    async def _run_work(
        self, batch: Batch[Call, Answer]
    ) -> Sequence[Answer | Exception] | BaseException:
        # Run the work in its own task, so that its cancellation does not cancel the runner.
        work = self._work([pending.call for pending in batch])
        (outcomes,) = await asyncio.gather(work, return_exceptions=True)
        return outcomes

    def _deliver(
        self, batch: Batch[Call, Answer], outcomes: Sequence[Answer | Exception], seconds: float
    ) -> None:
        """Give each caller its outcome; the work is done, and is not repeated."""
        if len(outcomes) != len(batch):
            error = RuntimeError(f"{len(outcomes)} outcomes for {len(batch)} {self._name}")
            log.error("%s", error)
            _fail_calls(batch, error)
            return
        with logs.log_errors(log, f"Counting a batch of {self._name}"):
            instrumentation.count_batch(self._name, len(batch), seconds)
        for pending, outcome in zip(batch, outcomes, strict=True):
            if pending.future.done():
                continue
            if isinstance(outcome, BaseException):
                pending.future.set_exception(outcome)
            else:
                pending.future.set_result(outcome)
        # After the answers, so that the callers continue before any task that the callback starts.
        with logs.log_errors(log, f"The callback after a batch of {self._name}"):
            self._after_batch(outcomes)


def _fail_calls(batch: Iterable[_PendingCall[Any, Any]], error: BaseException) -> None:
    for pending in batch:
        if not pending.future.done():
            pending.future.set_exception(error)


def _fail_stopped(batch: Iterable[_PendingCall[Any, Any]]) -> None:
    """Fail the calls of a batch that have no answer; only a stopped batch has any."""
    _fail_calls(batch, database.CommitOutcomeUnknown("The work was stopped before its end."))


def stuck_batches() -> list[str]:
    """Return a message for each queue of this process whose batch takes too long."""
    return [message for queue in _queues if (message := queue.stuck_message)]
