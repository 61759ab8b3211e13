"""All mutations, by the rule that they break. Beside a survivor stands why it may live."""

from tests.mutations import batches, orders, others, payments, refunds

MUTATIONS = [
    *batches.MUTATIONS,
    *orders.MUTATIONS,
    *payments.MUTATIONS,
    *refunds.MUTATIONS,
    *others.MUTATIONS,
]
