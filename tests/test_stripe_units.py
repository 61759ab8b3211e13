"""Test the conversion of amounts to Stripe's units and back."""

import pytest

from icecream import stripe_units

pytestmark = pytest.mark.only("sqlite")


@pytest.mark.parametrize(
    ("currency", "minor", "at_stripe", "step"),
    [
        ("EUR", 1040, 1040, 1),
        ("JPY", 1040, 1040, 1),
        ("KWD", 1250, 1250, 10),
        ("ISK", 1040, 104_000, 1),
        ("UGX", 1040, 104_000, 1),
        ("MGA", 10_400, 104, 100),
    ],
)
def test_an_amount_is_what_stripe_means_by_it(
    currency: str, minor: int, at_stripe: int, step: int
) -> None:
    assert stripe_units.to_stripe(minor, currency) == at_stripe
    assert stripe_units.from_stripe(at_stripe, currency) == minor
    assert stripe_units.smallest_step(currency) == step
