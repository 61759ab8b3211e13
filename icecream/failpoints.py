"""Places where a test may crash, stop or disturb the process; otherwise nothing happens there."""

from collections.abc import Callable

# Every place, so that none is misspelt and none is left untested.
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
    """Have this happen whenever that place is reached."""
    if name not in NAMES:
        raise KeyError(name)
    _armed[name] = what


def reach(name: str) -> None:
    """The process is at this place."""
    if _armed and name in _armed:
        _armed[name]()
