"""Stripe's units of money, where they are not the minor units of ISO 4217.

Source: Stripe's documentation of currencies, its parts on zero-decimal and three-decimal currencies
and on special cases.
"""

from icecream import money

# Decimal places at Stripe, where ISO 4217 has others.
PLACES = {"ISK": 2, "UGX": 2, "MGA": 0}


def _shift(currency: str) -> int:
    """Decimal places that Stripe has more than we."""
    ours = money.digits(currency) or 0
    return PLACES.get(currency, ours) - ours


def step(currency: str) -> int:
    """Stripe charges only multiples of this many of our minor units."""
    if money.digits(currency) == 3:
        return 10
    return int(10 ** max(0, -_shift(currency)))


def to_stripe(minor: int, currency: str) -> int:
    """Our amount as Stripe counts it."""
    shift = _shift(currency)
    return int(minor * 10**shift) if shift >= 0 else minor // int(10**-shift)


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's amount in our minor units; what is less than one of them is cut off."""
    shift = _shift(currency)
    return amount // int(10**shift) if shift >= 0 else int(amount * 10**-shift)
