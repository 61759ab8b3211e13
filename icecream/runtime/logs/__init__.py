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
REPEAT_INTERVAL_SECONDS = 60.0
# An outage ends with a success, if there was no failure for this many seconds.
RECOVERY_SECONDS = 2.0
NO_REQUEST = "-"
request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)
REDACTED = "[hidden]"
# The patterns of secrets that must never be logged: a last protection, for texts from others.
SECRET_PATTERNS = re.compile(
    r"""
    \beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?              # our tokens
    | \bice_[0-9a-f]{12}_\w+                       # API keys
    | \b(?:sk|rk)_(?:test|live)_\w+ | \bwhsec_\w+   # keys of the provider
    | \bpm_\w+ | \b(?:card|src|tok|ba)_(?=\w*\d)\w{8,}  # a payment method
    | \bpi_\w+_secret_\w+
    | (?<=://)[^\s/@]*:[^\s/@]+(?=@)                # a password in an address
    | (?<=\bBearer\s)[\w.~+/=-]{8,}
    | (?<=\bpassword[=:])[^\s&"',;]+
    """,
    re.VERBOSE | re.IGNORECASE,
)
_context_ids: ContextVar[dict[str, object] | None] = ContextVar("about", default=None)


def timestamp() -> str:
    """Return the current time in the format of the log."""
    return datetime.now(UTC).isoformat(" ", "milliseconds")


def redact(text: str) -> str:
    """Replace tokens, keys, passwords and payment methods in a text."""
    return SECRET_PATTERNS.sub(REDACTED, text)


def add_to_context(**ids: object) -> None:
    """Add these ids, of an order or payment, to all later log lines of the current task."""
    _context_ids.set((_context_ids.get() or {}) | ids)


def current_context() -> dict[str, Any]:
    """Return the ids for the log lines of the current task."""
    name = request_id.get()
    return ({} if name == NO_REQUEST else {"request_id": name}) | (_context_ids.get() or {})


class Outage:
    """An outage of a dependency: one line at the start, one per minute, one at the end.

    If the outage stops and starts repeatedly, there is still one line per minute, and one per end.

    Args:
        name: the thing that is unavailable, as the subject of the sentence.
        effect: the consequence, as the end of the sentence.
    """

    def __init__(self, log: logging.Logger, name: str, effect: str = "") -> None:
        self.log, self._name, self._effect = log, name, effect
        self._started_at: float | None = None
        self._failed_at = 0.0
        self._written_at = -REPEAT_INTERVAL_SECONDS
        self._failures = 0

    @property
    def is_active(self) -> bool:
        """Whether there was a failure, and no success after it."""
        return self._started_at is not None

    def record_failure(self, error: Exception | str) -> None:
        """Record a failure."""
        now = self._failed_at = time.monotonic()
        if self._started_at is None:
            self._started_at, self._failures = now, 0
        self._failures += 1
        if now - self._written_at >= REPEAT_INTERVAL_SECONDS:
            self._written_at = now
            self._write(str(error) or repr(error), now - self._started_at)

    def _write(self, error: str, seconds: float) -> None:
        if self._failures == 1:
            self.log.warning("%s is unavailable (%s)%s.", self._name, error, self._effect)
            return
        line = "%s has been unavailable for %.0f s (%s), %d failures%s."
        self.log.warning(line, self._name, seconds, error, self._failures, self._effect)

    def record_success(self) -> None:
        """Record a success; this may be called often."""
        if (
            self._started_at is None
            or (now := time.monotonic()) - self._failed_at < RECOVERY_SECONDS
        ):
            return
        started_at, self._started_at = self._started_at, None
        if self._written_at >= started_at:
            line = "%s is available again after %.0f s, %d failures."
            self.log.warning(line, self._name, now - started_at, self._failures)


DATABASE_OUTAGE = Outage(logging.getLogger("icecream.database"), "The database")
# By the place where a bug was raised: the time when its traceback was last written, and the number
# of repetitions that were not written since then.
_written: dict[str, float] = {}
_unwritten: dict[str, int] = {}


def log_bug(
    log: logging.Logger, message: str, error: BaseException, *, log_repetitions: bool = False
) -> None:
    """Log a bug with its traceback; the same bug at most once a minute.

    Args:
        log_repetitions: log the repetitions too, as one line each.
    """
    origin, now = _origin(error), time.monotonic()
    is_repeated = origin in _written and now - _written[origin] < REPEAT_INTERVAL_SECONDS
    if is_repeated and not log_repetitions:
        _unwritten[origin] = _unwritten.get(origin, 0) + 1
        return
    count = _unwritten.pop(origin, 0)
    repetitions = f" ({count} repetitions were not logged)" if count else ""
    if not is_repeated:
        _written[origin] = now
    log.error("%s: %r%s", message, error, repetitions, exc_info=None if is_repeated else error)


@contextmanager
def log_errors(log: logging.Logger, name: str) -> Iterator[None]:
    """Log an error of this block and continue: errors after a commit must not reach the caller.

    Args:
        name: the work of the block, as the subject of the log line.
    """
    try:
        yield
    except Exception as error:
        log_bug(log, f"{name} failed", error)


def _origin(error: BaseException) -> str:
    """Return the type of an error and the line that raised it, because its text may vary."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__qualname__} {where}"
