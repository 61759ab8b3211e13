"""Money as people read it: whole minor units become an amount with the digits of its currency."""

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


def text(amount: int, currency: str) -> str:
    """An amount of minor units in words for people: 1040 of EUR is `10.40 EUR`."""
    places = digits(currency) or 0
    whole, part = divmod(abs(amount), 10**places)
    fraction = f".{part:0{places}}" if places else ""
    return f"{'-' if amount < 0 else ''}{whole}{fraction} {currency}"
