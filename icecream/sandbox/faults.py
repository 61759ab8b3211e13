"""The faults of the sandbox, and how they are chosen."""

import random

KINDS = (
    "decline",
    "refuse",
    "reset-before",
    "reset-after",
    "500-before",
    "500-after",
    "timeout-before",
    "timeout-after",
    "slow",
    "late",
    "429",
    "in-use",
    "wrong-amount",
    "duplicate-webhooks",
    "processing",
    "requires-action",
    "refund-fails",
)
# The last two digits of an amount that select a fault: 01 declines, and so on.
BY_AMOUNT = dict(enumerate(KINDS, start=1))


class Faults:
    """Draws a fault for each request; a repeated request draws again.

    Args:
        rates: the share of requests with each kind of fault, 0 to 1.
        by_amount: whether the amount's last two digits select the fault. That applies only to the
            first request of a key, so that a retry succeeds.
        seed: the same requests in the same order draw the same faults.
    """

    def __init__(self, rates: dict[str, float], *, by_amount: bool = False, seed: int = 0) -> None:
        if unknown := rates.keys() - set(KINDS):
            raise ValueError(f"there is no fault {', '.join(unknown)}: {', '.join(KINDS)}")
        if sum(rates.values()) > 1 or min(rates.values(), default=0) < 0:
            raise ValueError("the rates of the faults are shares, and together at most 1")
        self._rates, self._by_amount, self._random = rates, by_amount, random.Random(seed)

    def draw(self, amount: str, *, first: bool) -> str | None:
        if self._by_amount and first and amount.isdecimal():
            fault = BY_AMOUNT.get(int(amount) % 100)
            if fault is not None:
                return fault
        chance = self._random.random()
        for kind, rate in self._rates.items():
            chance -= rate
            if chance < 0:
                return kind
        return None
