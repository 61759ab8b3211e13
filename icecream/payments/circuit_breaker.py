"""A circuit breaker: it pauses the calls to a provider that does not answer."""

from time import monotonic

# The breaker opens after this many unanswered calls in a row.
FAILURES_TO_OPEN = 10
# They must belong to payments of this many customers: failures for a single customer say nothing
# about the payments of others.
CUSTOMERS_TO_OPEN = 3
# Each pause is twice as long as the one before it, up to the maximum.
FIRST_PAUSE_SECONDS = 2.0
MAX_PAUSE_SECONDS = 10.0


class CircuitBreaker:
    """A circuit breaker for the calls of one kind, charges or refunds; it never fails a payment.

    While it is open, one payment at a time tests whether the provider answers again.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._failures = self._trials = 0
        # The customers whose calls were not answered. The next trial uses another customer's
        # payment.
        self.failed_customers: set[int] = set()
        self._trial_is_running = False
        self._until = 0.0

    def record_call(self, customer: int, *, answered: bool) -> None:
        """Record whether the provider answered a call for this customer; a refusal is an answer."""
        if answered:
            self._reset()
            return
        was_open = self.is_open
        self._failures += 1
        self.failed_customers.add(customer)
        # Calls that began before the breaker opened may still fail. Only a failed trial makes the
        # pause longer.
        if self.is_open and (self._trial_is_running or not was_open):
            pause = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._trials)
            self._until = monotonic() + pause
            self._trials, self._trial_is_running = min(self._trials + 1, 10), False

    @property
    def is_open(self) -> bool:
        """Whether only trial calls are allowed."""
        return (
            self._failures >= FAILURES_TO_OPEN and len(self.failed_customers) >= CUSTOMERS_TO_OPEN
        )

    @property
    def allows_trial(self) -> bool:
        """Whether the breaker is open and its pause is over."""
        return self.is_open and monotonic() >= self._until

    def record_trial(self) -> None:
        """Record that a trial began; if its result never arrives, another trial follows."""
        self._trial_is_running, self._until = True, monotonic() + MAX_PAUSE_SECONDS
