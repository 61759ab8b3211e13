"""Places where a test may crash, stop or disturb the process; without a test, they do nothing."""

from collections.abc import Callable

# All places, to detect misspelled names and untested places.
FAILPOINTS = (
    "orders.before_commit",
    "orders.committed",
    "orders.notifying",
    "feed.publishing",
    "feed.published",
    "totals.applying",
    "totals.applied",
    "payments.leasing",
    "payments.leased",
    "payments.before_call",
    "payments.answered",
    "payments.settling",
    "payments.settled",
    "webhooks.receiving",
    "webhooks.postponed",
    "webhooks.settled",
    "deliveries.queued",
    "deliveries.leased",
    "deliveries.sent",
    "deliveries.recorded",
)
_armed: dict[str, Callable[[], None]] = {}


def arm_failpoint(name: str, action: Callable[[], None]) -> None:
    """Call `action` each time the process reaches this place."""
    if name not in FAILPOINTS:
        raise KeyError(name)
    _armed[name] = action


def reach_failpoint(name: str) -> None:
    """Mark that the process has reached this place."""
    if _armed and name in _armed:
        _armed[name]()
