"""Limits for groups of payments: trouble with some payments does not delay others."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from icecream import states
from icecream.payments.leases import DueJob, Lease

# The largest share of all slots for each group of payments. The rest is left for other payments.
MAX_CUSTOMER_SHARE = 0.8
# For a customer after a call without an answer: the next calls may hang too.
MAX_UNANSWERED_CUSTOMER_SHARE = 0.1
# For charges, and for refunds. It is larger than a customer's share, so that one customer cannot
# use it up.
MAX_KIND_SHARE = 0.9
# For retried payments: many of them get no answer again.
MAX_RETRY_SHARE = 0.5
_RETRIES = "retries"


class ConcurrencyLimits:
    """The limits for groups of payments, and the slots that each group uses in this process."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        # By customer, by kind, and for retried payments.
        self._in_use: Counter[int | str] = Counter()
        self._unanswered: set[int] = set()
        # The groups that were full when a due payment was skipped, or may have been skipped.
        self._skipped: set[int | str] = set()

    def acquire(self, lease: Lease) -> None:
        """Count the slot of a payment as used."""
        self._in_use.update(_groups(lease.customer, lease.kind, again=lease.tries > 1))

    def release(self, lease: Lease) -> None:
        """Count the slot of a payment as free."""
        self._in_use -= Counter(_groups(lease.customer, lease.kind, again=lease.tries > 1))

    def record_call(self, customer: int, *, answered: bool) -> None:
        """Record whether the provider answered a call for this customer."""
        if answered:
            self._unanswered.discard(customer)
        else:
            self._unanswered.add(customer)

    def select(self, due: Sequence[DueJob]) -> list[DueJob]:
        """Return those of the due jobs that no limit excludes, in their order."""
        in_use, selected = self._in_use.copy(), list[DueJob]()
        for job in due:
            groups = _groups(job.customer, job.kind, again=job.tries > 0)
            if full := [group for group in groups if in_use[group] >= self._limit(group)]:
                self._skipped.update(full)
            else:
                in_use.update(groups)
                selected.append(job)
        return selected

    def mark_skipped(self, *kinds: str) -> None:
        """Note that due payments of these kinds and of all full groups may have been skipped."""
        self._skipped.update(kinds, filter(self._is_full, self._in_use))

    @property
    def has_capacity_again(self) -> bool:
        """Whether there may be a slot for a payment that was skipped."""
        return not all(map(self._is_full, self._skipped))

    def take_skipped(self) -> bool:
        """Return `has_capacity_again`, and forget the groups with free slots.

        The caller searches for their payments now.
        """
        again = self.has_capacity_again
        self._skipped = set(filter(self._is_full, self._skipped))
        return again

    def with_capacity(self, payments: Sequence[int], customers: Mapping[int, int]) -> list[int]:
        """Return the payments, without those of customers at their limit."""
        full = set(self.full_customers)
        left = [payment for payment in payments if customers.get(payment) not in full]
        if len(left) < len(payments):
            self._skipped |= full
        return left

    @property
    def kinds(self) -> list[str]:
        """The kinds below their limit."""
        return [kind for kind in states.PAYMENT_KINDS if not self._is_full(kind)]

    @property
    def full_customers(self) -> list[int]:
        """The customers at their limit."""
        return [group for group in self._in_use if isinstance(group, int) and self._is_full(group)]

    @property
    def retries_are_full(self) -> bool:
        """Whether retried payments are at their limit."""
        return self._is_full(_RETRIES)

    @property
    def any_is_full(self) -> bool:
        """Whether a group is at its limit, so that payments may have to wait."""
        return any(map(self._is_full, self._in_use))

    def _is_full(self, group: int | str) -> bool:
        return self._in_use[group] >= self._limit(group)

    def _limit(self, group: int | str) -> int:
        if isinstance(group, int):
            share = MAX_CUSTOMER_SHARE
            if group in self._unanswered:
                share = MAX_UNANSWERED_CUSTOMER_SHARE
        else:
            share = MAX_RETRY_SHARE if group == _RETRIES else MAX_KIND_SHARE
        return math.ceil(self._slots * share)


def _groups(customer: int | None, kind: str, *, again: bool) -> list[int | str]:
    """Return the groups of a payment; a job that was inserted manually has no customer."""
    groups: list[int | str] = [kind] if customer is None else [customer, kind]
    return [*groups, _RETRIES] if again else groups
