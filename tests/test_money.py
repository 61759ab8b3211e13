"""Test how amounts of money are shown to people."""

import pytest

from icecream import money

pytestmark = pytest.mark.only("sqlite")


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (1040, "EUR", "10.40 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-1090, "EUR", "-10.90 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (1040, "JPY", "1,040 JPY"),
        (1255, "KWD", "1.255 KWD"),
        (10**15, "EUR", "10,000,000,000,000.00 EUR"),
    ],
)
def test_an_amount_has_the_decimal_places_of_its_currency(
    amount: int, currency: str, said: str
) -> None:
    assert money.format_amount(amount, currency) == said


@pytest.mark.parametrize(
    ("currency", "places"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("EUX", None), ("XAU", None)]
)
def test_a_currency_is_one_of_iso_4217(currency: str, places: int | None) -> None:
    assert money.decimal_places(currency) == places
