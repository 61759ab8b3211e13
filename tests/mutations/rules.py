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
    Mutation(
        "refunds: the sum stays when a refund fails after it had succeeded",
        "icecream/payments/corrections.py",
        'min(await _given_back(row["order"]), order["total"]) - order["refunded"]',
        "0",
        "tests/test_corrections.py",
    ),
    Mutation(
        "refunds: a later notice ends the review of a failed refund",
        "icecream/payments/corrections.py",
        '== ("parked", MOVED_BACK)',
        '== ("parked", "never")',
        "tests/test_corrections.py",
    ),
    Mutation(
        "reconciliation: a refund found at the provider is booked twice",
        "icecream/payments/corrections.py",
        "if await Payment.exists().where(Payment.provider_ref == record.reference):",
        "if False:",
        "tests/test_corrections.py",
    ),
    Mutation(
        "reconciliation: a charge is matched by its order's number",
        "icecream/payments/differences.py",
        "return Finding(what, why, None, None, record)",
        "return Finding(what, why, record.order, None, record)",
        "tests/test_reconciliation.py",
    ),
]
