"""Money as people read it: whole minor units become an amount with the digits of its currency."""

from decimal import Decimal
from functools import cache

from iso4217 import Currency


@cache
def digits(currency: str) -> int | None:
    """How many decimal places a currency has (ISO 4217); None if there is no such currency.

    Codes that are no money, such as that of gold, have none either.
    """
    try:
        exponent: int | None = Currency(currency).exponent
    except ValueError:
        return None
    return exponent


def major(minor: int, currency: str) -> Decimal:
    """An amount of minor units in the currency's own unit: 104000 of EUR is 1040.00."""
    return Decimal(minor).scaleb(-(digits(currency) or 0))


def number(minor: int, currency: str) -> str:
    """Such an amount without its currency: `1,040.00`."""
    return f"{major(minor, currency):,.{digits(currency) or 0}f}"


def text(minor: int, currency: str) -> str:
    """Such an amount in a sentence for people: `1,040.00 EUR`."""
    return f"{number(minor, currency)} {currency}"
