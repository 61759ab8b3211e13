"""Which state may follow which: one table shared by guards, constraints and diagrams."""

from collections.abc import Mapping
from typing import NamedTuple

Arrows = Mapping[str, tuple[str, ...]]

ORDER: Arrows = {
    "pending": ("paid", "failed", "canceled"),
    "failed": ("pending",),
    "paid": ("refunding",),
    "refunding": ("refunded", "canceled", "paid"),
    # A refund failed after it had succeeded.
    "refunded": ("refunding",),
    "canceled": (),
}
PAYMENT: Arrows = {
    "new": ("sent", "void"),
    "sent": ("sent", "succeeded", "declined", "unknown", "parked"),
    "unknown": ("sent", "succeeded", "declined", "parked"),
    "parked": ("unknown", "succeeded", "declined"),
    # Only a refund: banks send some back, days later.
    "succeeded": ("parked",),
    "declined": (),
    "void": (),
}
# Nobody waits for these to change, though the provider may take a refund back.
ENDED = ("refunded", "canceled", "succeeded", "declined", "void")

# In these an order was charged, and what was not given back is ours.
CHARGED = ("paid", "refunding", "refunded")
# In these an order holds the stock that it took.
LIVE = ("pending", "paid", "refunding", "refunded")


class Action(NamedTuple):
    """What people may do: in which states, and which it gets in the end."""

    sources: tuple[str, ...]
    target: str


# With an order.
ACTIONS = {
    "cancel": Action(("pending", "paid", "refunding"), "canceled"),
    "pay": Action(("failed",), "paid"),
    "refund": Action(("paid",), "refunded"),
}
# What operators may decide about a payment that nobody else can.
DECISIONS = {
    "retry": Action(("parked",), "unknown"),
    "release": Action(("parked",), "declined"),
    "refund": Action(("parked",), "succeeded"),
    "book": Action(("parked",), "succeeded"),
}


def before(arrows: Arrows, state: str) -> tuple[str, ...]:
    """The states from which `state` may be entered: what a guarded update asks for."""
    return tuple(name for name, following in arrows.items() if state in following)


def check(arrows: Arrows, source: str, state: str) -> None:
    """Raise a KeyError unless the table has this arrow: nothing else may be written."""
    if state not in arrows[source]:
        raise KeyError(f"{source} -> {state}")


def unfinished(arrows: Arrows) -> tuple[str, ...]:
    """The states that something is to follow."""
    return tuple(name for name in arrows if name not in ENDED)


def mermaid(arrows: Arrows) -> str:
    """The diagram that the documentation shows."""
    first = next(iter(arrows))
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    for name, following in arrows.items():
        ends = ("[*]",) if name in ENDED else ()
        lines += [f"    {name} --> {state}" for state in (*following, *ends)]
    return "\n".join(lines)
