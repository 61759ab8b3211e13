"""Money in readable form: minor units as people write them, by currency and locale, and back."""

import re
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from iso4217 import Currency

DEFAULT_LOCALE = "en"
# Longer texts are no amounts; every valid one has fewer digits.
MAX_AMOUNT_LENGTH = 30


class _Style(NamedTuple):
    """The decimal separator, the separator of groups, and the places between groups."""

    decimal: str
    group: str
    boundary: re.Pattern[str]


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


def _boundary(first: int, others: int) -> re.Pattern[str]:
    return re.compile(rf"(?<=\d)(?=(?:\d{{{others}}})*\d{{{first}}}$)")


@cache
def _style(locale: str) -> _Style:
    if locale == DEFAULT_LOCALE:
        return _Style(".", ",", _boundary(3, 3))
    # Imported only for other locales: it costs 50 ms and 8 MB. It does not format the numbers,
    # because it loses Swiss separators (findings/babel-loses-swiss-separators.sh).
    from babel import Locale, numbers

    pattern = numbers.parse_pattern(Locale.parse(locale).decimal_formats[None])
    symbols = numbers.get_decimal_symbol(locale), numbers.get_group_symbol(locale)
    return _Style(*symbols, _boundary(*pattern.grouping))


def separators(locale: str = DEFAULT_LOCALE) -> tuple[str, str]:
    """Return the decimal separator and the separator of groups."""
    return _style(locale)[:2]


def format_decimal(number: Decimal | float, places: int, locale: str = DEFAULT_LOCALE) -> str:
    """Return the number with these decimal places, as people of the locale write it."""
    style = _style(locale)
    whole, _, fraction = f"{number:.{places}f}".partition(".")
    return style.boundary.sub(style.group, whole) + (fraction and style.decimal + fraction)


def format_number(minor: int, currency: str, locale: str = DEFAULT_LOCALE) -> str:
    """Return the amount as a number without its currency: `1,040.00`."""
    places = decimal_places(currency) or 0
    return format_decimal(to_major_units(minor, currency), places, locale)


def format_amount(minor: int, currency: str, locale: str = DEFAULT_LOCALE) -> str:
    """Return the amount with its currency, for messages: `1,040.00 EUR`."""
    return f"{format_number(minor, currency, locale)} {currency}"


def describe_amount(currency: str, locale: str = DEFAULT_LOCALE) -> str:
    """Describe what `parse_amount` accepts: `an amount in EUR, such as 2.60`."""
    places = decimal_places(currency) or 0
    example = 26 * 10 ** (places - 1) if places else 260
    return f"an amount in {currency}, such as {format_number(example, currency, locale)}"


def parse_amount(text: str, currency: str, locale: str = DEFAULT_LOCALE) -> int:
    """Return the minor units of an amount that a person typed.

    Valid are digits with a decimal point, or with the separator of the locale, and no more decimal
    places than the currency has; and exactly what `format_number` returns. So no valid text has two
    meanings: `1,234` may be 1.234 or 1234.00, and is refused for EUR.

    Raises:
        ValueError: it is no such amount; the text describes the valid ones.
    """
    style, places = _style(locale), decimal_places(currency) or 0
    text = text.strip()
    if style.group.isspace():
        # A keyboard has only one kind of space.
        text = re.sub(r"\s", style.group, text)
    if len(text) <= MAX_AMOUNT_LENGTH:
        separators = {style.decimal}
        # With three decimal places, a point that separates groups could mean both.
        if style.group != "." or places < 3:
            separators.add(".")
        fraction = rf"(?:[{re.escape(''.join(separators))}](\d{{1,{places}}}))?" if places else "()"
        if plain := re.fullmatch(rf"(\d+){fraction}", text, re.ASCII):
            return int(plain[1] + (plain[2] or "").ljust(places, "0"))
        minor = int(re.sub(r"\D", "", text, flags=re.ASCII) or 0)
        if text == format_number(minor, currency, locale):
            return minor
    raise ValueError(describe_amount(currency, locale))
