"""Shares of the places: trouble with some payments does not delay others."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from icecream.payments.leases import Lease
from icecream.tables import KINDS

# The largest share of all places for each group: payments of one customer, payments of a customer
# whose last call was not answered, charges or refunds, and retried payments. The share of a kind is
# larger than a customer's, so that one customer cannot use it up.
MAX_CUSTOMER_SHARE, MAX_UNANSWERED_CUSTOMER_SHARE, MAX_KIND_SHARE, MAX_RETRY_SHARE = (
    0.8,
    0.1,
    0.9,
    0.5,
)
_RETRIES = "retries"
JobRow = dict[str, Any]


class ConcurrencyLimits:
    """A counter of the places that are held in this process."""

    def __init__(self, places: int) -> None:
        self._places = places
        # By customer, by kind, and for retried payments.
        self._held: Counter[int | str] = Counter()
        self._troubled: set[int] = set()
        # The groups that were full when a due payment was passed over, or may have been.
        self._passed_over: set[int | str] = set()

    def take(self, claim: Lease) -> None:
        """Count the place that a payment takes."""
        self._held.update(_groups(claim.customer, claim.kind, again=claim.tries > 1))

    def give_back(self, claim: Lease) -> None:
        """Count the place of a payment as free."""
        self._held -= Counter(_groups(claim.customer, claim.kind, again=claim.tries > 1))

    def note(self, customer: int, *, answered: bool) -> None:
        """Record whether the provider answered a call for this customer."""
        if answered:
            self._troubled.discard(customer)
        else:
            self._troubled.add(customer)

    def pick(self, due: Sequence[JobRow]) -> list[JobRow]:
        """Return those of the due jobs for which there is room, in their order."""
        held, picked = self._held.copy(), list[JobRow]()
        for row in due:
            groups = _groups(row["customer"], row["kind"], again=row["tries"] > 0)
            if full := [group for group in groups if held[group] >= self._most(group)]:
                self._passed_over.update(full)
            else:
                held.update(groups)
                picked.append(row)
        return picked

    def pass_over(self, *kinds: str) -> None:
        """Mark these kinds and all full groups: some of their due payments may be left."""
        self._passed_over.update(kinds, filter(self._is_full, self._held))

    @property
    def has_room_again(self) -> bool:
        """Whether there may be room for a payment that was passed over."""
        return not all(map(self._is_full, self._passed_over))

    def resume(self) -> bool:
        """Return `has_room_again`, and forget the groups with room: the caller searches now."""
        again = self.has_room_again
        self._passed_over = set(filter(self._is_full, self._passed_over))
        return again

    def with_room(self, payments: Sequence[int], customers: Mapping[int, int]) -> list[int]:
        """Return the payments without those of customers whose share is known to be full."""
        full = set(self.full_customers)
        left = [payment for payment in payments if customers.get(payment) not in full]
        if len(left) < len(payments):
            self._passed_over |= full
        return left

    @property
    def kinds(self) -> list[str]:
        """The kinds for which there is room."""
        return [kind for kind in KINDS if not self._is_full(kind)]

    @property
    def full_customers(self) -> list[int]:
        """The customers for whom there is no room."""
        return [one for one in self._held if isinstance(one, int) and self._is_full(one)]

    @property
    def only_fresh(self) -> bool:
        """Whether there is no room for retried payments."""
        return self._is_full(_RETRIES)

    @property
    def any_is_full(self) -> bool:
        """Whether some payment may have to wait for room."""
        return any(map(self._is_full, self._held))

    def _is_full(self, group: int | str) -> bool:
        return self._held[group] >= self._most(group)

    def _most(self, group: int | str) -> int:
        if isinstance(group, int):
            share = MAX_UNANSWERED_CUSTOMER_SHARE if group in self._troubled else MAX_CUSTOMER_SHARE
        else:
            share = MAX_RETRY_SHARE if group == _RETRIES else MAX_KIND_SHARE
        return math.ceil(self._places * share)


def _groups(customer: int | None, kind: str, *, again: bool) -> list[int | str]:
    """Return the groups of a payment; a job that was inserted manually has no customer."""
    groups: list[int | str] = [kind] if customer is None else [customer, kind]
    return [*groups, _RETRIES] if again else groups
