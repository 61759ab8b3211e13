"""A circuit breaker: a provider that does not answer is left alone for a while."""

import time

# So many calls in a row without a definite answer stop the claiming; then one payment at a time
# tries whether it answers again. Seconds of the first pause, each next one twice as long, and of
# the longest.
FAILURES, FIRST, LONGEST = 10, 2.0, 60.0


class Breaker:
    """Counts what the provider makes of our calls; it never fails a payment."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    def note(self, *, answered: bool) -> None:
        """The provider answered a call, or did not."""
        if answered:
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= FAILURES:
            times = min(self._failures - FAILURES, 10)
            self._until = time.monotonic() + min(LONGEST, FIRST * 2**times)

    def places(self, wanted: int) -> int:
        """How many of these payments may be claimed now."""
        if self._failures < FAILURES:
            return wanted
        return min(wanted, 1) if time.monotonic() >= self._until else 0
