"""Ids of new orders, with those of their payments; under load they are taken ahead."""

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from icecream import database
from icecream.payments import attempts
from icecream.tables import Order

# Ids that are older are not used, so that a newer order has a larger id, except within this time.
MAX_AGE_SECONDS = 0.2
# After orders could not be written with what this process knew, it reads first for this time.
PAUSE_SECONDS = 1.0
_ORDER_IDS = database.new_ids(Order)


class OrderIds(NamedTuple):
    """The ids for one order."""

    order: int
    payment: int


def id_queries(count: int) -> list[database.BoundStatement]:
    """Return the queries for the ids of so many orders."""
    return [
        (_ORDER_IDS, [(count,)]),
        (attempts.PAYMENT_IDS, [(count,)]),
    ]


def to_ids(results: Sequence[database.ResultRows]) -> list[OrderIds]:
    """Return the ids in the results of `id_queries`."""
    orders, payments = ([row["id"] for row in rows] for rows in results)
    return [OrderIds(*ids) for ids in zip(orders, payments, strict=True)]


class IdSupply:
    """Ids that this process has taken ahead, with an earlier write."""

    def __init__(self) -> None:
        self._ids: deque[tuple[float, OrderIds]] = deque()
        self._paused_until = 0.0

    def take(self, count: int) -> list[OrderIds] | None:
        """Return so many ids, or None if there are fewer."""
        oldest = time.monotonic() - MAX_AGE_SECONDS
        while self._ids and self._ids[0][0] < oldest:
            self._ids.popleft()
        if len(self._ids) < count:
            return None
        return [self._ids.popleft()[1] for _ in range(count)]

    def count_to_take(self, count: int) -> int:
        """Return how many ids to take with a write, for two more batches of `count` orders."""
        is_paused = time.monotonic() < self._paused_until
        return 0 if is_paused else max(0, 2 * count - len(self._ids))

    def add(self, ids: Sequence[OrderIds], *, taken_at: float) -> None:
        """Add ids that were taken at this time (`time.monotonic`) or later."""
        self._ids.extend((taken_at, one) for one in ids)

    def pause(self) -> None:
        """Drop all ids, and take none for a while: something has changed unexpectedly."""
        self._ids.clear()
        self._paused_until = time.monotonic() + PAUSE_SECONDS
