"""Advice for the operator on each of the doctor's findings."""

from icecream.integrity import doctor

_REPAIR = "Run `icecream doctor --repair --yes`"
_RECONCILE = "Run `icecream reconcile` to see what the provider moved"
_REPORT = "Stop the service, keep a copy of the database and report it"
_HISTORY = f"The published history was changed by hand. {_REPORT}; do not edit it."
_TOTALS = f"{_REPAIR}: it counts the orders again."
_COMPARE_SUMS = (
    f"{_RECONCILE}, compare it with the order's payments and history, and correct the row."
)

ADVICE = {
    "a pending order has an open charge": (
        f"{_RECONCILE} for this order. If nothing was charged, cancel the order."
    ),
    "an open payment has a job": f"{_REPAIR}: it creates the job, and a worker carries it out.",
    "a job has an open payment": f"{_REPAIR}: it deletes the job.",
    "a webhook event that was not applied has a job until it expires": (
        f"{_RECONCILE}, and with `--yes` to adopt it: the event is about this payment."
    ),
    "an open charge belongs to a pending order": (
        f"{_RECONCILE}. Set the payment's state to `parked`. If the provider moved money, retry "
        "the payment, otherwise release it."
    ),
    "a sent payment gets an answer within a day": (
        "Read its `last_error` and the worker's log, fix the cause, and restart the worker. "
        "The payment is then retried with the same key."
    ),
    "a refunding order has an open refund": (
        f"{_RECONCILE}. If the refund is missing there, set the order to `paid`, repair the "
        "totals, and refund the order."
    ),
    "an open refund belongs to an order that was paid": (
        f"{_RECONCILE}. If nothing was charged for this order, set the refund's state to "
        "`declined`."
    ),
    "the refunded amount of an order is the sum of its refunds": _COMPARE_SUMS,
    "an order is not refunded more than it was charged": (
        f"{_RECONCILE}. The provider declines an open refund that is too large: release it if it "
        "is parked, then refund the amount that is left. If the refund succeeded, the difference "
        "is lost."
    ),
    "an order that was charged another amount is refunded completely": (
        "Refund the order (in the admin or over the API, without an amount): this refunds all that "
        "the provider still holds."
    ),
    "a refunded or canceled order has no money left": (
        f"{_RECONCILE}. Refund the rest at the provider; then `icecream reconcile --yes` books it."
    ),
    "a paid order was charged once, and no other order was charged": (
        f"{_RECONCILE}. Refund all charges except the first one at the provider."
    ),
    "a charge is for the order's total": _COMPARE_SUMS,
    "an order's total is the sum of its lines": (
        "Compare the order's lines, charge and history, and correct the row that is wrong."
    ),
    "an order is packed, delivered or returned only after its payment": (
        f"{_RECONCILE}. If the order was not paid, find its goods: if they are still here, set its "
        "`fulfilment` to `unfulfilled`. If they were delivered, ask the customer to pay."
    ),
    "the fulfilment of an order is the last step in its history": (
        "Find the goods of the order, set its `fulfilment` to the last step in its history, and "
        "then move it to where the goods are."
    ),
    "each step of a fulfilment names who made it": _HISTORY,
    "no more of a line is refunded, or put back, than was ordered": (
        "Compare the order's refunds with its lines, and correct the rows of `refund_line`. If "
        "too much was put back, receive the difference as a loss."
    ),
    "an order whose goods were put back is not canceled too": (
        "Its stock was returned twice. Count the real stock, and receive the difference."
    ),
    "a history has no gaps": _HISTORY,
    "the positions of events have no gaps": _HISTORY,
    "webhooks are not queued beyond the feed": (
        "Set `position` in `webhook_progress` to the `last` of `feed`, and replay the time since "
        "then for each webhook endpoint."
    ),
    "a webhook delivery is pending exactly if it is due at some time": (
        "Set its `state` to `failed` and its `due_at` to null, and replay it."
    ),
    "the feed has the right number of events with a position": _HISTORY,
    "the positions of an order's events are in order": _HISTORY,
    "an event has a position or waits for one": _HISTORY,
    "counted stock equals receipts minus reservations": (
        f"{_REPAIR}: it computes the stock from receipts and orders. Then count the real stock, "
        "and receive the difference."
    ),
    "the refunded amount of an order is the sum over its lines": (
        "Compare the order's lines with its refunds, and correct the lines' `refunded`."
    ),
    "the next id of each table is unused": (
        f"{_REPAIR}: it moves the sequences of these tables past their last row. A restored backup "
        "left them behind, and inserts fail until then."
    ),
} | dict.fromkeys(doctor.TOTALS, _TOTALS)
