"""Shares of the places: the trouble of some payments does not delay those of others."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from icecream.payments.claims import Claim
from icecream.tables import KINDS

# Of all places, at most so much is held by the payments of one customer, by those of a customer
# whose last call was not answered, by charges or by refunds, and by payments that are tried again.
# The share of a kind is larger than a customer's, so that one customer cannot use it up.
CUSTOMER, TROUBLED_CUSTOMER, KIND, RETRIES = 0.8, 0.1, 0.9, 0.5
_RETRIES = "retries"
Row = dict[str, Any]


class Shares:
    """Counts the places that are held in this process."""

    def __init__(self, places: int) -> None:
        self._places = places
        # By customer, by kind, and by payments that are tried again.
        self._held: Counter[int | str] = Counter()
        self._troubled: set[int] = set()
        # Those that were full when something due was passed over, or may have been.
        self._passed_over: set[int | str] = set()

    def take(self, claim: Claim) -> None:
        """A payment has a place."""
        self._held.update(_groups(claim.customer, claim.kind, again=claim.tries > 1))

    def give_back(self, claim: Claim) -> None:
        """It has it no more."""
        self._held -= Counter(_groups(claim.customer, claim.kind, again=claim.tries > 1))

    def note(self, customer: int, *, answered: bool) -> None:
        """The provider answered a call for this customer, or did not."""
        if answered:
            self._troubled.discard(customer)
        else:
            self._troubled.add(customer)

    def pick(self, due: Sequence[Row]) -> list[Row]:
        """Those of the due jobs for which there is room, in their order."""
        held, picked = self._held.copy(), list[Row]()
        for row in due:
            groups = _groups(row["customer"], row["kind"], again=row["tries"] > 0)
            if full := [group for group in groups if held[group] >= self._most(group)]:
                self._passed_over.update(full)
            else:
                held.update(groups)
                picked.append(row)
        return picked

    def pass_over(self, *kinds: str) -> None:
        """What is due of these kinds, and what there is no room for, may not be looked for now."""
        self._passed_over.update(kinds, filter(self._is_full, self._held))

    @property
    def has_room_again(self) -> bool:
        """Whether there may be room for something that was passed over."""
        return not all(map(self._is_full, self._passed_over))

    def resume(self) -> bool:
        """As `has_room_again`; what there is room for is looked for now, so it is forgotten."""
        again = self.has_room_again
        self._passed_over = set(filter(self._is_full, self._passed_over))
        return again

    def with_room(self, payments: Sequence[int], customers: Mapping[int, int]) -> list[int]:
        """Those of the payments whose customer's share is not full, as far as it is known."""
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
        """The customers for whom there is none."""
        return [one for one in self._held if isinstance(one, int) and self._is_full(one)]

    @property
    def only_fresh(self) -> bool:
        """Whether there is none for what is tried again."""
        return self._is_full(_RETRIES)

    @property
    def any_is_full(self) -> bool:
        """Whether somebody may have to wait for room."""
        return any(map(self._is_full, self._held))

    def _is_full(self, group: int | str) -> bool:
        return self._held[group] >= self._most(group)

    def _most(self, group: int | str) -> int:
        if isinstance(group, int):
            share = TROUBLED_CUSTOMER if group in self._troubled else CUSTOMER
        else:
            share = RETRIES if group == _RETRIES else KIND
        return math.ceil(self._places * share)


def _groups(customer: int | None, kind: str, *, again: bool) -> list[int | str]:
    """What a payment counts for; a job that was made by hand does not say whose it is."""
    groups: list[int | str] = [kind] if customer is None else [customer, kind]
    return [*groups, _RETRIES] if again else groups
