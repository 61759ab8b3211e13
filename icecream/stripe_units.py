"""Stripe's units of money, where they differ from the minor units of ISO 4217.

Source: Stripe's documentation of currencies, the sections on zero-decimal currencies, three-decimal
currencies and special cases.
"""

from icecream import money

# Decimal places at Stripe, where they differ from ISO 4217.
STRIPE_DECIMAL_PLACES = {"ISK": 2, "UGX": 2, "MGA": 0}


def _extra_places(currency: str) -> int:
    """Return how many more decimal places Stripe has than ISO 4217."""
    ours = money.decimal_places(currency) or 0
    return STRIPE_DECIMAL_PLACES.get(currency, ours) - ours


def smallest_step(currency: str) -> int:
    """Return the smallest step of amounts that Stripe charges, in our minor units."""
    if money.decimal_places(currency) == 3:
        return 10
    return int(10 ** max(0, -_extra_places(currency)))


def to_stripe(minor: int, currency: str) -> int:
    """Return our amount in Stripe's units."""
    shift = _extra_places(currency)
    return int(minor * 10**shift) if shift >= 0 else minor // int(10**-shift)


def from_stripe(amount: int, currency: str) -> int:
    """Return Stripe's amount in our minor units; fractions of a unit are cut off."""
    shift = _extra_places(currency)
    return amount // int(10**shift) if shift >= 0 else int(amount * 10**-shift)
