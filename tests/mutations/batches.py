"""Mutations of batched calls: no call is carried out twice, and every caller gets an answer."""

from tests.mutations import at

MUTATIONS = [
    *at(
        "icecream/database/batching.py",
        "tests/database/test_batching.py",
        ("batches: too few outcomes are dealt out", "if len(outcomes) != len(batch):", "if False:"),
        (
            "batches: what follows the commit may fail the callers",
            'with logs.contained(log, f"What follows a batch of {self._of}"):',
            "if True:",
        ),
        (
            "batches: counting may fail the callers",
            'with logs.contained(log, f"Counting a batch of {self._of}"):',
            "if True:",
        ),
        (
            "batches: a database that is away is asked again",
            "elif len(batch) == 1 or isinstance(outcomes, database.AWAY):",
            "elif len(batch) == 1:",
        ),
        (
            "batches: work that was cancelled is done again",
            'outcomes = database.Unsettled("The work was cancelled.")',
            'outcomes = RuntimeError("The work was cancelled.")',
        ),
        (
            "batches: a stop leaves callers waiting",
            "runner.cancel()\n            self._give_up()",
            "pass",
        ),
        (
            "batches: a runner that ended leaves callers waiting",
            "self._runner = self._began = None\n            self._give_up()",
            "self._runner = self._began = None",
        ),
        (
            "batches: no other runner follows one that ended",
            "self._runner = self._began = None",
            "self._began = None",
        ),
    ),
    *at(
        "icecream/database/__init__.py",
        "tests/orders/test_placing.py",
        (
            "transactions: a callback after the commit may fail the caller",
            'with logs.contained(log, "Telling of a commit"):',
            "if True:",
        ),
    ),
    *at(
        "icecream/orders/placing.py",
        "tests/orders/test_placing.py",
        (
            "intake: ringing after the commit may fail the caller",
            'with logs.contained(log, "The notification of the workers about new payments"):',
            "if True:",
        ),
    ),
]
