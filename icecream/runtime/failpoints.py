"""Places where a test may crash, stop or disturb the process; without a test, they do nothing."""

from collections.abc import Callable

# The list of all places, to detect misspelled names and untested places.
NAMES = (
    "intake.before_commit",
    "intake.committed",
    "intake.ringing",
    "feed.publishing",
    "feed.published",
    "payments.claiming",
    "payments.claimed",
    "payments.before_call",
    "payments.answered",
    "payments.settling",
    "payments.settled",
    "notices.receiving",
    "notices.claimed",
    "notices.settled",
)
_armed: dict[str, Callable[[], None]] = {}


def arm(name: str, what: Callable[[], None]) -> None:
    """Call `what` each time the process reaches this place."""
    if name not in NAMES:
        raise KeyError(name)
    _armed[name] = what


def reach(name: str) -> None:
    """Mark that the process has reached this place."""
    if _armed and name in _armed:
        _armed[name]()
