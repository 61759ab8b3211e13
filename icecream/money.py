"""Money in readable form: minor units become an amount with the digits of its currency."""

from decimal import Decimal
from functools import cache

from iso4217 import Currency


@cache
def decimal_places(currency: str) -> int | None:
    """Return the number of decimal places of a currency (ISO 4217); None if it does not exist.

    Codes that are not money, such as the code of gold, have none either.
    """
    try:
        exponent: int | None = Currency(currency).exponent
    except ValueError:
        return None
    return exponent


def to_major_units(minor: int, currency: str) -> Decimal:
    """Return minor units in the currency's own unit: 104000 of EUR is 1040.00."""
    return Decimal(minor).scaleb(-(decimal_places(currency) or 0))


def format_number(minor: int, currency: str) -> str:
    """Return the amount as a number without its currency: `1,040.00`."""
    return f"{to_major_units(minor, currency):,.{decimal_places(currency) or 0}f}"


def format_amount(minor: int, currency: str) -> str:
    """Return the amount with its currency, for messages: `1,040.00 EUR`."""
    return f"{format_number(minor, currency)} {currency}"
