"""What goes into the log: which request or payment a line is about, and troubles told once.

Modules write with the standard library's `logging`; `lines` turns each record into text or JSON.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

# The same trouble is written once in so many seconds, with how often it came meanwhile.
SECONDS_BETWEEN_LINES = 60.0
# An outage is over once something succeeds and nothing has failed for so many seconds.
QUIET_SECONDS = 2.0
NO_REQUEST = "-"
request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)
HIDDEN = "[hidden]"
# What must never be written, by its shape: a last guard, for texts that are not ours.
SHAPES = re.compile(
    r"""
    \beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?              # a token of ours
    | \b(?:sk|rk)_(?:test|live)_\w+ | \bwhsec_\w+   # keys of the provider
    | \bpm_\w+ | \b(?:card|src|tok|ba)_(?=\w*\d)\w{8,}  # what somebody pays with
    | \bpi_\w+_secret_\w+
    | (?<=://)[^\s/@]*:[^\s/@]+(?=@)                # a password in an address
    | (?<=\bBearer\s)[\w.~+/=-]{8,}
    | (?<=\bpassword[=:])[^\s&"',;]+
    """,
    re.VERBOSE | re.IGNORECASE,
)
_about: ContextVar[dict[str, object] | None] = ContextVar("about", default=None)


def timestamp() -> str:
    """The time of a line."""
    return datetime.now(UTC).isoformat(" ", "milliseconds")


def hide(text: str) -> str:
    """The text without tokens, keys, passwords and names of payment methods."""
    return SHAPES.sub(HIDDEN, text)


def about(**ids: object) -> None:
    """Name the order or payment of every line that the current task writes from now on."""
    _about.set((_about.get() or {}) | ids)


def context() -> dict[str, Any]:
    """What the lines of the current task are about."""
    name = request_id.get()
    return ({} if name == NO_REQUEST else {"request_id": name}) | (_about.get() or {})


class Outage:
    """Something we need does not answer: a line when that begins, one a minute, one at its end.

    If it comes and goes, it is still one line a minute, and one for each end.

    Args:
        what: does not answer, as a sentence begins with it.
        effect: what this means, as a sentence ends with it.
    """

    def __init__(self, log: logging.Logger, what: str, effect: str = "") -> None:
        self.log, self._what, self._effect = log, what, effect
        self._began: float | None = None
        self._failed_at, self._written_at = 0.0, -SECONDS_BETWEEN_LINES
        self._failures = 0

    @property
    def lasts(self) -> bool:
        """Whether something failed, and nothing succeeded since."""
        return self._began is not None

    def failed(self, error: Exception | str) -> None:
        """It did not answer just now."""
        now = self._failed_at = time.monotonic()
        if self._began is None:
            self._began, self._failures = now, 0
        self._failures += 1
        if now - self._written_at >= SECONDS_BETWEEN_LINES:
            self._written_at = now
            self._write(str(error) or repr(error), now - self._began)

    def _write(self, said: str, seconds: float) -> None:
        if self._failures == 1:
            self.log.warning("%s is away (%s)%s.", self._what, said, self._effect)
            return
        line = "%s has been away for %.0f s (%s), %d failures%s."
        self.log.warning(line, self._what, seconds, said, self._failures, self._effect)

    def succeeded(self) -> None:
        """It answered; this may be called often."""
        if self._began is None or (now := time.monotonic()) - self._failed_at < QUIET_SECONDS:
            return
        began, self._began = self._began, None
        if self._written_at >= began:
            line = "%s is back after %.0f s, %d failures."
            self.log.warning(line, self._what, now - began, self._failures)


DATABASE = Outage(logging.getLogger("icecream.database"), "The database")
# When a fault was last written with its traceback, by where it was raised; and how often it came
# since without a line.
_written: dict[str, float] = {}
_unwritten: dict[str, int] = {}


def fault(log: logging.Logger, what: str, error: BaseException, *, every: bool = False) -> None:
    """Write a bug of ours with its traceback; the same one again a minute later at the earliest.

    Args:
        every: write the others too, as one line each.
    """
    place, now = _place(error), time.monotonic()
    again = place in _written and now - _written[place] < SECONDS_BETWEEN_LINES
    if again and not every:
        _unwritten[place] = _unwritten.get(place, 0) + 1
        return
    more = f" ({count} times more in between)" if (count := _unwritten.pop(place, 0)) else ""
    if not again:
        _written[place] = now
    log.error("%s: %r%s", what, error, more, exc_info=None if again else error)


@contextmanager
def contained(log: logging.Logger, what: str) -> Iterator[None]:
    """Log an error of this block and go on: what follows a commit must not fail the caller.

    Args:
        what: is done here, as a line of the log begins with it.
    """
    try:
        yield
    except Exception as error:
        fault(log, f"{what} failed", error)


def _place(error: BaseException) -> str:
    """The kind of an error and the line that raised it; its text may differ each time."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__qualname__} {where}"
