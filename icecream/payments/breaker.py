"""A circuit breaker: a provider that does not answer is left alone for a while."""

from time import monotonic

# It opens after so many calls in a row without an answer, for payments of so many customers: what
# befalls the payments of one customer says nothing about those of others.
FAILURES, CUSTOMERS = 10, 3
# The first pause; each next one is twice as long, up to the longest.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 10.0


class Breaker:
    """Watches the calls of one kind, charges or refunds; it never fails a payment.

    Once it is open, one payment at a time tries whether the provider answers again.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._failures = self._trials = 0
        # Whose calls were not answered: the next trial is somebody else's.
        self.failed: set[int] = set()
        self._trying = False
        self._until = 0.0

    def note(self, customer: int, *, answered: bool) -> None:
        """The provider answered a call for this customer, or did not. A refusal is an answer."""
        if answered:
            self._reset()
            return
        was_open = self.is_open
        self._failures += 1
        self.failed.add(customer)
        # Calls that began before it opened may still fail; only a trial makes the pause longer.
        if self.is_open and (self._trying or not was_open):
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._trials)
            self._until = monotonic() + pause
            self._trials, self._trying = min(self._trials + 1, 10), False

    @property
    def is_open(self) -> bool:
        """Whether only trials are made."""
        return self._failures >= FAILURES and len(self.failed) >= CUSTOMERS

    @property
    def may_try(self) -> bool:
        """Whether it is open, and the pause is over."""
        return self.is_open and monotonic() >= self._until

    def tried(self) -> None:
        """A trial began; another one follows if nothing is heard of it."""
        self._trying, self._until = True, monotonic() + LONGEST_PAUSE_SECONDS
