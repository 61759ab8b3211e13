"""The states and their allowed transitions: one table for guards, constraints and diagrams."""

from collections.abc import Mapping
from typing import NamedTuple

Transitions = Mapping[str, tuple[str, ...]]

PAYMENT_KINDS = ("charge", "refund")
# Why staff refund goods.
REFUND_REASONS = ("melted", "missing", "damaged", "wrong-item", "other")

ORDER: Transitions = {
    "pending": ("paid", "failed", "canceled"),
    "failed": ("pending",),
    "paid": ("refunding",),
    "refunding": ("refunded", "canceled", "paid"),
    # A refund failed after it had succeeded.
    "refunded": ("refunding",),
    "canceled": (),
}
PAYMENT: Transitions = {
    "new": ("sent", "void"),
    "sent": ("sent", "succeeded", "declined", "unknown", "parked"),
    "unknown": ("sent", "succeeded", "declined", "parked"),
    "parked": ("unknown", "succeeded", "declined"),
    # Only a refund: some fail at the bank, days later.
    "succeeded": ("parked",),
    "declined": (),
    "void": (),
}
# Where the goods of an order are. Each step forward can be taken back by one step, because people
# press the wrong button; both are in the order's history.
FULFILMENT: Transitions = {
    "unfulfilled": ("packed",),
    "packed": ("delivered", "unfulfilled"),
    "delivered": ("returned", "packed"),
    "returned": ("delivered",),
}
# The types of events in the history of an order, and in the feed: a new status, a new state of
# fulfilment, and what else happens.
EVENTS = (
    "placed",
    "paid",
    "failed",
    "canceled",
    "pending",
    "refunding",
    "refunded",
    "unfulfilled",
    "packed",
    "delivered",
    "returned",
    "partly-refunded",
    "cancel-requested",
    "refund-requested",
    "refund-ordered",
    "refund-booked",
    "refund-declined",
    "refund-failed",
    "parked",
    "retried",
    "reconciled",
)
# The final states, although the provider may still reverse a refund.
FINAL_STATES = ("refunded", "canceled", "succeeded", "declined", "void")

# In these statuses an order was charged, and the amount not refunded is ours.
CHARGED_STATUSES = ("paid", "refunding", "refunded")
# In these statuses an order has reserved stock.
LIVE_STATUSES = ("pending", "paid", "refunding", "refunded")
# Goods leave only for money that is ours: an order in another status is neither packed nor
# delivered. A step back, and a return, is possible in any status.
DELIVERABLE_STATUSES = ("paid",)
STEPS_FOR_MONEY = (("unfulfilled", "packed"), ("packed", "delivered"))
# Only then may an order be canceled: its goods have not left their place in the store.
CANCELABLE_FULFILMENT = "unfulfilled"


class Action(NamedTuple):
    """An action of a user: the states in which it is allowed, and its goal.

    `goal` is the state after everything that follows from the action has succeeded. There may be
    states before it: a failed order that is paid again becomes `pending` first, and then `paid`.
    """

    sources: tuple[str, ...]
    goal: str


# Actions on an order.
ACTIONS = {
    "cancel": Action(("pending", "paid", "refunding"), "canceled"),
    "pay": Action(("failed",), "paid"),
    "refund": Action(("paid",), "refunded"),
}
# Decisions about a payment that only operators can make.
DECISIONS = {
    "retry": Action(("parked",), "unknown"),
    "release": Action(("parked",), "declined"),
    "refund": Action(("parked",), "succeeded"),
    "book": Action(("parked",), "succeeded"),
}


def sources_of(arrows: Transitions, state: str) -> tuple[str, ...]:
    """Return the states from which `state` may be entered, for a guarded update."""
    return tuple(name for name, following in arrows.items() if state in following)


def check_transition(arrows: Transitions, source: str, state: str) -> None:
    """Raise a KeyError unless the table allows this change: no other change may be written."""
    if state not in arrows[source]:
        raise KeyError(f"{source} -> {state}")


def open_states(arrows: Transitions) -> tuple[str, ...]:
    """Return the states that are not final."""
    return tuple(name for name in arrows if name not in FINAL_STATES)


def mermaid_diagram(arrows: Transitions) -> str:
    """Return the diagram for the documentation."""
    first = next(iter(arrows))
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    for name, following in arrows.items():
        ends = ("[*]",) if name in FINAL_STATES else ()
        lines += [f"    {name} --> {state}" for state in (*following, *ends)]
    return "\n".join(lines)
