"""The faults of the sandbox, and how they are chosen."""

import random

FAULTS = (
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
FAULT_BY_DIGITS = dict(enumerate(FAULTS, start=1))


class Faults:
    """Chooses a fault for each request; a repeated request gets a new choice.

    Args:
        rates: the share of requests with each fault, from 0 to 1.
        by_amount: whether the last two digits of the amount select the fault. Only the first
            request of a key gets this fault, so a retry succeeds.
        seed: the same requests in the same order get the same faults.
    """

    def __init__(self, rates: dict[str, float], *, by_amount: bool = False, seed: int = 0) -> None:
        if unknown := rates.keys() - set(FAULTS):
            raise ValueError(
                f"unknown fault {', '.join(unknown)}; known faults: {', '.join(FAULTS)}"
            )
        if sum(rates.values()) > 1 or min(rates.values(), default=0) < 0:
            raise ValueError("each fault rate must be between 0 and 1, and their sum at most 1")
        self._rates, self._by_amount, self._random = rates, by_amount, random.Random(seed)

    def choose(self, amount: str, *, first: bool) -> str | None:
        if self._by_amount and first and amount.isdecimal():
            fault = FAULT_BY_DIGITS.get(int(amount[-2:]))
            if fault is not None:
                return fault
        chance = self._random.random()
        for fault, rate in self._rates.items():
            chance -= rate
            if chance < 0:
                return fault
        return None
