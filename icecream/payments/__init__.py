"""The money rule: commit the intent, call the provider, settle once. Unknown is not failed.

Every state change of a payment is one UPDATE, guarded by the states from which it is allowed. A
writer that matches no row came too late and stops. Locks are taken in one order: orders, jobs,
payments, flavors, totals.
"""

from icecream.payments import corrections, notices, parked
from icecream.payments.claims import Claim, Late, claim, postpone, standing
from icecream.payments.desk import Desk
from icecream.payments.requests import cancel, is_owed, pay, refund
from icecream.payments.settlement import Parked, Verdict, settle

__all__ = [
    "Claim",
    "Desk",
    "Late",
    "Parked",
    "Verdict",
    "cancel",
    "claim",
    "corrections",
    "is_owed",
    "notices",
    "parked",
    "pay",
    "postpone",
    "refund",
    "settle",
    "standing",
]
