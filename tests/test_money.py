"""Test how amounts of money are shown to people."""

import pytest
from babel import numbers
from hypothesis import given
from hypothesis import strategies as st

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
    ("locale", "said"),
    [
        ("en", "-1,234,567.50"),
        ("de", "-1.234.567,50"),
        ("fr", "-1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567,50"),
        ("de_CH", "-1'234'567.50"),
        ("en_IN", "-12,34,567.50"),
    ],
)
def test_an_amount_is_written_as_in_its_locale(locale: str, said: str) -> None:
    assert money.format_number(-123_456_750, "EUR", locale) == said


@pytest.mark.parametrize(
    ("text", "currency", "locale", "minor"),
    [
        ("2.60", "EUR", "en", 260),
        (" 2.6 ", "EUR", "en", 260),
        ("5", "EUR", "en", 500),
        ("1,234.50", "EUR", "en", 123_450),
        ("2,60", "EUR", "de", 260),
        ("2.60", "EUR", "de", 260),
        ("1.234,50", "EUR", "de", 123_450),
        ("1 234,50", "EUR", "fr", 123_450),
        ("1'234'567.50", "CHF", "de_CH", 123_456_750),
        ("12,34,567.50", "INR", "en_IN", 123_456_750),
        ("260", "JPY", "en", 260),
        ("1,234", "JPY", "en", 1234),
        ("1.234", "JPY", "de", 1234),
        ("1.234", "KWD", "en", 1234),
        ("1,234", "KWD", "de", 1234),
    ],
)
def test_an_amount_is_read_as_people_write_it(
    text: str, currency: str, locale: str, minor: int
) -> None:
    assert money.parse_amount(text, currency, locale) == minor


@pytest.mark.parametrize(
    ("text", "currency", "locale", "example"),
    [
        # It may be 1.234 or 1234.00.
        ("1,234", "EUR", "en", "2.60"),
        ("1.234", "EUR", "de", "2,60"),
        ("1,234", "EUR", "de", "2,60"),
        ("1.234", "KWD", "de", "2,600"),
        ("1,234", "KWD", "en", "2.600"),
        ("2,60", "EUR", "en", "2.60"),
        ("12,34.50", "EUR", "en", "2.60"),
        ("1 000", "EUR", "en", "2.60"),
        ("2.605", "EUR", "en", "2.60"),
        ("5.0", "JPY", "en", "260"),
        *((text, "EUR", "en", "2.60") for text in ("", "-5", "+5", ".5", "2.", "1e3", "x", "٣")),
        *((text, "EUR", "en", "2.60") for text in ("2.60 EUR", "€5", "9" * 31, "9" * 5000)),
    ],
)
def test_an_amount_with_two_meanings_or_none_is_refused(
    text: str, currency: str, locale: str, example: str
) -> None:
    with pytest.raises(ValueError, match=rf"^an amount in {currency}, such as {example}$"):
        money.parse_amount(text, currency, locale)


@given(
    st.integers(min_value=0, max_value=2**63),
    st.sampled_from(["EUR", "JPY", "KWD", "CLF"]),
    st.sampled_from(["en", "de", "fr", "de_CH", "en_IN", "sv", "pl"]),
)
def test_a_written_amount_is_read_again(minor: int, currency: str, locale: str) -> None:
    assert money.parse_amount(money.format_number(minor, currency, locale), currency, locale) == (
        minor
    )


def test_the_default_locale_is_written_as_babel_writes_it() -> None:
    for number in (0, 5, 999, 1000, 1_234_567, -1000, -12):
        assert money.format_decimal(number, 0) == numbers.format_decimal(number, locale="en")


@pytest.mark.parametrize(
    ("currency", "places"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("EUX", None), ("XAU", None)]
)
def test_a_currency_is_one_of_iso_4217(currency: str, places: int | None) -> None:
    assert money.decimal_places(currency) == places
