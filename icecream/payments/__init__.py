"""The money rule: commit the intent, call the provider, settle once. Unknown is not failed.

Every state change of a payment is one UPDATE, guarded by the states from which it is allowed. A
writer that matches no row came too late and stops. Locks are taken in one order: orders, jobs,
payments, flavors.
"""

# The payments that a worker carries out at a time, by default. Each of them only waits for the
# provider. A lease takes as many at once, and a larger one costs less per payment.
MAX_PAYMENTS_IN_FLIGHT = 100
