"""Mutations of batched calls: no call is carried out twice, and each caller gets an answer."""

from tests.mutations import at

MUTATIONS = [
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
            "runner.cancel()\n            self._fail_unanswered()",
            "pass",
        ),
        (
            "batches: the end of the runner leaves callers without an answer",
            "self._runner = self._started_at = None\n            self._fail_unanswered()",
            "self._runner = self._started_at = None",
        ),
        (
            "batches: a runner that ended is not replaced",
            "self._runner = self._started_at = None",
            "self._started_at = None",
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
        "icecream/orders/placing.py",
        "tests/orders/test_placing.py",
        (
            "orders: a failing notification after the commit fails the caller",
            'with logs.log_errors(log, "The notification of the workers about new payments"):',
            "if True:",
        ),
    ),
]
