"""Advice for the operator on each of the doctor's findings."""

from icecream.integrity import doctor

_REPAIR = "Run `icecream doctor --repair --yes`"
_RECONCILE = "Run `icecream reconcile` to see what the provider moved"
_REPORT = "Stop the service, keep a copy of the database and report it"
_HISTORY = f"The published history was changed by hand. {_REPORT}; do not edit it."
_TOTALS = f"{_REPAIR}: it counts the orders once more."
_COMPARE_SUMS = (
    f"{_RECONCILE}, compare it with the order's payments and history, and correct the row."
)

ADVICE = {
    "a pending order has an open charge": (
        f"{_RECONCILE} for this order. If nothing was charged, cancel the order."
    ),
    "an open payment has its job": f"{_REPAIR}: it makes the job, and a worker carries it out.",
    "a job has its open payment": f"{_REPAIR}: it deletes the job.",
    "a notice that was not applied has its job, until it is given up": (
        f"{_RECONCILE}, and with `--yes` adopt it: the provider told us of this payment."
    ),
    "an open charge belongs to a pending order": (
        f"{_RECONCILE}. Set the payment's state to `parked`, then retry or release it by what you found."
    ),
    "a payment that was sent is answered within a day": (
        "Read its `last_error` and the worker's log, mend what they name, and restart the worker. "
        "The payment is then tried with the same key."
    ),
    "an order that is being refunded has an open refund": (
        f"{_RECONCILE}. If the refund is not there, set the order to `paid`, repair the totals, and "
        "refund it."
    ),
    "an open refund belongs to an order that was paid": (
        f"{_RECONCILE}. If nothing was charged for this order, set the refund's state to `declined`."
    ),
    "what was given back is the sum of the refunds": _COMPARE_SUMS,
    "no more is given back than was charged": (
        f"{_RECONCILE}. A refund that is open and too large is declined there: release it if it is "
        "parked, then refund what is left. One that succeeded has lost you the difference."
    ),
    "an order that was charged another amount is given back whole": (
        "Refund the order (admin or API, without an amount): all that the provider still has of "
        "it goes back."
    ),
    "an order that was refunded or canceled has no money left": (
        f"{_RECONCILE}. Give the rest back at the provider; then `icecream reconcile --yes` books it."
    ),
    "an order is charged once when it was paid, and never otherwise": (
        f"{_RECONCILE}. Refund each charge beside the first at the provider."
    ),
    "a charge is for the order's total": _COMPARE_SUMS,
    "an order's total is the sum of its lines": (
        "Compare the order's lines, charge and history, and correct the row that is wrong."
    ),
    "a history has no gaps": _HISTORY,
    "positions of events have no holes": _HISTORY,
    "the feed knows how many events have a position": _HISTORY,
    "the events of an order have their positions in order": _HISTORY,
    "an event has a position or is to get one": _HISTORY,
    "counted stock is what came in less what live orders took": (
        f"{_REPAIR}: it sets the stock to what the movements and orders say. Then count what is "
        "there, and receive the difference."
    ),
    "what was given back of an order is the sum of its lines'": (
        "Compare the order's lines with its refunds, and correct the lines' `refunded`."
    ),
    "the next id of each table is a new one": (
        f"{_REPAIR}: it moves the sequences of these tables past their last row. A restore left "
        "them behind, and inserts fail until then."
    ),
} | dict.fromkeys(doctor.TOTALS, _TOTALS)
