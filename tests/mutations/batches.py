"""Mutations of batches and shared reads: each caller gets an answer, and none is too old."""

from tests.mutations import at

MUTATIONS = [
    *at(
        "icecream/database/bulk.py",
        "tests/database/test_bulk.py",
        (
            "bulk: a line feed becomes a letter",
            "    if _NAMED_CHARACTER.search(text):",
            "    if False:",
        ),
        ("bulk: a backslash is lost", 'value.replace("\\\\", r"\\\\")', "value"),
        database="postgres",
    ),
    *at(
        "icecream/database/batching.py",
        "tests/database/test_batching.py",
        ("batches: too few outcomes are delivered", "if len(outcomes) != len(batch):", "if False:"),
        (
            "batches: a failing callback after the commit fails the callers",
            'with logs.log_errors(log, f"The callback after a batch of {self._name}"):',
            "if True:",
        ),
        (
            "batches: failing metrics fail the callers",
            'with logs.log_errors(log, f"Counting a batch of {self._name}"):',
            "if True:",
        ),
        (
            "batches: a batch is repeated while the database is unavailable",
            "elif len(batch) == 1 or isinstance(outcomes, database.DATABASE_UNAVAILABLE):",
            "elif len(batch) == 1:",
        ),
        (
            "batches: canceled work is repeated",
            'outcomes = database.CommitOutcomeUnknown("The work was canceled.")',
            'outcomes = RuntimeError("The work was canceled.")',
        ),
        (
            "batches: a stop leaves callers without an answer",
            "                _fail_stopped(batch.calls)\n            self._fail_waiting()",
            "                pass",
        ),
        (
            "batches: the end of a batch leaves callers without an answer",
            "            _fail_stopped(batch.calls)\n            self._start_batch_if_due()",
            "            self._start_batch_if_due()",
        ),
        (
            "batches: a batch that ended prevents the next one",
            "            del self._running[task]\n",
            "",
        ),
        (
            "batches: a third batch overlaps",
            "len(self._running) > 1 or not self._is_overlap_due()",
            "not self._is_overlap_due()",
        ),
        (
            "batches: batches overlap where that is not wanted",
            "return self._overlaps and len(self._waiting)",
            "return len(self._waiting)",
        ),
        (
            "batches: closing does not wait for running batches",
            "while self._running:",
            "while False:",
        ),
    ),
    *at(
        "icecream/database/shared_reads.py",
        "tests/database/test_shared_reads.py",
        (
            "shared reads: a caller gets the answer of a read that began before",
            "_answer(serving, answer)",
            "_answer(serving + waiting.take(), answer)",
        ),
        ("shared reads: a read is part of a request", ", context=Context())", ")"),
        (
            "shared reads: a stop leaves callers without an answer",
            '_answer(left, errors.Unavailable("The service is stopping."))',
            "pass",
        ),
        (
            "shared reads: a caller who left breaks the others",
            "if caller.done():\n            continue",
            "if False:\n            continue",
        ),
        (
            "shared reads: a canceled read stops the next one",
            "(answer,) = await asyncio.gather(self._read(key), return_exceptions=True)",
            "answer = await self._read(key)",
        ),
        (
            "shared reads: any number of callers wait",
            "if self._count >= self._max_waiting:",
            "if False:",
        ),
    ),
    *at(
        "icecream/database/__init__.py",
        "tests/orders/test_placing.py",
        (
            "transactions: a failing callback after the commit fails the caller",
            'with logs.log_errors(log, "A callback after a commit"):',
            "if True:",
        ),
    ),
    *at(
        "tasks/notify.py",
        "tests/tasks/test_worker.py",
        (
            "orders: a failing notification after the commit fails the caller",
            'with logs.log_errors(log, "The notification of the workers"):',
            "if True:",
        ),
    ),
]
