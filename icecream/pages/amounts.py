"""Amounts in forms and their messages: as people write them, not in minor units."""

from icecream import constraints, fields, money, settings


def show(minor: int) -> str:
    """Return an amount with its currency, as the pages show it."""
    return money.format_amount(minor, settings.load().currency, settings.load().locale)


def parse(field: str, text: str, *, low: int = 0, high: int = fields.MAX_ID) -> int:
    """Return the minor units of an amount that a person typed.

    Raises:
        constraints.InvalidValue: it is no possible amount; the message shows a valid one.
    """
    try:
        minor = money.parse_amount(text, settings.load().currency, settings.load().locale)
    except ValueError as error:
        raise constraints.InvalidValue(field, f"must be {error}") from None
    if not low <= minor <= high:
        raise constraints.InvalidValue(field, f"must be from {show(low)} to {show(high)}")
    fields.require_chargeable(field, minor, show)
    return minor
