"""Money in readable form: minor units become an amount with the digits of its currency."""

from decimal import Decimal
from functools import cache

from iso4217 import Currency


@cache
def digits(currency: str) -> int | None:
    """Return the number of decimal places of a currency (ISO 4217); None if it does not exist.

    Codes that are not money, such as the code of gold, have none either.
    """
    try:
        exponent: int | None = Currency(currency).exponent
    except ValueError:
        return None
    return exponent


def major(minor: int, currency: str) -> Decimal:
    """Return minor units in the currency's own unit: 104000 of EUR is 1040.00."""
    return Decimal(minor).scaleb(-(digits(currency) or 0))


def number(minor: int, currency: str) -> str:
    """Return the amount as a number without its currency: `1,040.00`."""
    return f"{major(minor, currency):,.{digits(currency) or 0}f}"


def text(minor: int, currency: str) -> str:
    """Return the amount with its currency, for messages: `1,040.00 EUR`."""
    return f"{number(minor, currency)} {currency}"
