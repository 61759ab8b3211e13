"""The money rule: commit the intent, ask the provider, settle once; unknown is not failed.

Every change of a payment is one UPDATE guarded by the states it may come from; who finds no row
came late, and stops. Locks are taken in one order: jobs, flavors, payments, orders, totals.
"""

from icecream.payments.claims import Claim, Late, claim, postpone
from icecream.payments.desk import Desk
from icecream.payments.settlement import Verdict, cancel, settle

__all__ = ["Claim", "Desk", "Late", "Verdict", "cancel", "claim", "postpone", "settle"]
