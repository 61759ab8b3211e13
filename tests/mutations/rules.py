"""The mutations, by the rule that they break. Beside a survivor stands why it may live."""

from tests.mutations import Mutation

MUTATIONS = [
    Mutation(
        "idempotency: the fingerprint leaves out the path",
        "icecream/keys.py",
        '[method, path.rstrip("/"), body]',
        "[method, body]",
        "tests/test_keys.py",
    ),
    Mutation(
        "idempotency: keys are kept for 6 days",
        "icecream/keys.py",
        "timedelta(days=7)",
        "timedelta(days=6)",
        "tests/test_keys.py",
    ),
]
