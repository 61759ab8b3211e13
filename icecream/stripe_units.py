"""Stripe's units of money, where they differ from the minor units of ISO 4217.

Source: Stripe's documentation of currencies, the sections on zero-decimal currencies, three-decimal
currencies and special cases.
"""

from icecream import money

# Decimal places at Stripe, where they differ from ISO 4217.
PLACES = {"ISK": 2, "UGX": 2, "MGA": 0}


def _shift(currency: str) -> int:
    """Return how many more decimal places Stripe has than ISO 4217."""
    ours = money.digits(currency) or 0
    return PLACES.get(currency, ours) - ours


def step(currency: str) -> int:
    """Return the smallest step of amounts that Stripe charges, in our minor units."""
    if money.digits(currency) == 3:
        return 10
    return int(10 ** max(0, -_shift(currency)))


def to_stripe(minor: int, currency: str) -> int:
    """Return our amount in Stripe's units."""
    shift = _shift(currency)
    return int(minor * 10**shift) if shift >= 0 else minor // int(10**-shift)


def from_stripe(amount: int, currency: str) -> int:
    """Return Stripe's amount in our minor units; fractions of a unit are cut off."""
    shift = _shift(currency)
    return amount // int(10**shift) if shift >= 0 else int(amount * 10**-shift)
