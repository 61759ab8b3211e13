"""All mutations, by the rule that they break.

A comment next to a mutation that survives says why this is acceptable.
"""

from tests.mutations import accounts, batches, orders, others, payments, refunds, webhooks

MUTATIONS = [
    *batches.MUTATIONS,
    *orders.MUTATIONS,
    *payments.MUTATIONS,
    *refunds.MUTATIONS,
    *others.MUTATIONS,
    *accounts.MUTATIONS,
    *webhooks.MUTATIONS,
]
