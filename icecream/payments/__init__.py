"""The money rule: commit the intent, call the provider, settle once. Unknown is not failed.

Every state change of a payment is one UPDATE, guarded by the states from which it is allowed. A
writer that matches no row came too late and stops. Locks are taken in one order: orders, jobs,
payments, flavors.
"""
