"""The log: the request or payment of each line, and limits for repeated errors.

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

# The same error is written once in this many seconds, with the number of its repetitions.
SECONDS_BETWEEN_LINES = 60.0
# An outage ends with a success, if nothing has failed for this many seconds.
QUIET_SECONDS = 2.0
NO_REQUEST = "-"
request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)
HIDDEN = "[hidden]"
# The patterns of secrets that must never be logged: a last protection, for texts of other sources.
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
    """Return the current time in the format of the log."""
    return datetime.now(UTC).isoformat(" ", "milliseconds")


def hide(text: str) -> str:
    """Replace tokens, keys, passwords and payment methods in a text."""
    return SHAPES.sub(HIDDEN, text)


def about(**ids: object) -> None:
    """Add these ids, of an order or payment, to all later log lines of the current task."""
    _about.set((_about.get() or {}) | ids)


def context() -> dict[str, Any]:
    """Return the ids for the log lines of the current task."""
    name = request_id.get()
    return ({} if name == NO_REQUEST else {"request_id": name}) | (_about.get() or {})


class Outage:
    """An outage of something we need: one line at the start, one per minute, one at the end.

    If the outage stops and starts repeatedly, there is still one line per minute, and one per end.

    Args:
        what: the thing that is away, as the subject of the sentence.
        effect: the consequence, as the end of the sentence.
    """

    def __init__(self, log: logging.Logger, what: str, effect: str = "") -> None:
        self.log, self._what, self._effect = log, what, effect
        self._began: float | None = None
        self._failed_at, self._written_at = 0.0, -SECONDS_BETWEEN_LINES
        self._failures = 0

    @property
    def lasts(self) -> bool:
        """Whether there was a failure, and no success after it."""
        return self._began is not None

    def failed(self, error: Exception | str) -> None:
        """Record a failure."""
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
        """Record a success; this may be called often."""
        if self._began is None or (now := time.monotonic()) - self._failed_at < QUIET_SECONDS:
            return
        began, self._began = self._began, None
        if self._written_at >= began:
            line = "%s is back after %.0f s, %d failures."
            self.log.warning(line, self._what, now - began, self._failures)


DATABASE = Outage(logging.getLogger("icecream.database"), "The database")
# By the place where a fault was raised: when its traceback was last written, and how many
# repetitions were not written since then.
_written: dict[str, float] = {}
_unwritten: dict[str, int] = {}


def fault(log: logging.Logger, what: str, error: BaseException, *, every: bool = False) -> None:
    """Log a bug with its traceback; the same bug at most once a minute.

    Args:
        every: log the repetitions too, as one line each.
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
    """Log an error of this block and continue: errors after a commit must not reach the caller.

    Args:
        what: the work of the block, as the subject of the log line.
    """
    try:
        yield
    except Exception as error:
        fault(log, f"{what} failed", error)


def _place(error: BaseException) -> str:
    """Return the type of an error and the line that raised it, because its text may vary."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__qualname__} {where}"
