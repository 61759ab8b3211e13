"""Texts for figures: money, shares, changes, days and times, in the installation's time zone."""

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from icecream import money as amounts
from icecream import settings

# Prevents a line break between a number and its unit.
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
SECONDS_BY_UNIT = {"day": 86_400, "h": 3600, "min": 60}


class FigureChange(Struct, frozen=True):
    """The change of a figure since the period before; `rating` is good, bad or even."""

    text: str
    arrow: str = ""
    rating: str = "even"


def decimal(number: Decimal | float, places: int) -> str:
    """Format a number with these decimal places, as in the locale of the installation."""
    return amounts.format_decimal(number, places, settings.load().locale)


def amount(minor: int, currency: str) -> str:
    """Format an amount without its currency: 1,234.50."""
    return amounts.format_number(minor, currency, settings.load().locale)


def headline(minor: int, currency: str) -> str:
    """Format an amount without its currency; from a million on without decimals, to save space."""
    whole = amounts.to_major_units(minor, currency)
    if whole < 1_000_000:
        return amount(minor, currency)
    return decimal(whole, 0)


def money(minor: int, currency: str) -> str:
    """Format an amount without a line break before its currency: 1,234.50 EUR."""
    return f"{amount(minor, currency)}{NO_BREAK_SPACE}{currency}"


def number(count: int) -> str:
    """Format a number: 1,234."""
    return decimal(count, 0)


def percent(share: float | None) -> str:
    """Format a share: 12.3 %; a dash if there is no share."""
    return "-" if share is None else f"{decimal(share * 100, 1)}{NO_BREAK_SPACE}%"


def change(now: float | None, before: float | None, *, more_is_good: bool) -> FigureChange:
    """Describe the change of a number, in percent."""
    if not before or now is None:
        return FigureChange("no earlier figure" if now else "no change")
    return _describe_change((now - before) / before, "%", more_is_good=more_is_good)


def change_of_share(now: float | None, before: float | None, *, more_is_good: bool) -> FigureChange:
    """Describe the change of a share in percentage points; percent of percent would mislead."""
    if now is None or before is None:
        return FigureChange("no earlier figure" if now is not None else "no change")
    return _describe_change(now - before, "points", more_is_good=more_is_good)


def _describe_change(difference: float, unit: str, *, more_is_good: bool) -> FigureChange:
    rounded = round(abs(difference) * 100, 1)
    if not rounded:
        return FigureChange("no change")
    size = decimal(rounded, 0 if rounded.is_integer() else 1)
    more = difference > 0
    rating = "good" if more is more_is_good else "bad"
    text = f"{size}{NO_BREAK_SPACE}{unit} {'more' if more else 'less'}"
    return FigureChange(text, "▲" if more else "▼", rating)


def day(date_: date) -> str:
    """Format a day: 24 Nov 2026."""
    return f"{date_.day}{NO_BREAK_SPACE}{date_:%b}{NO_BREAK_SPACE}{date_.year}"


def period(start: date, interval: str) -> str:
    """Format a period for an axis: a day, a week by its Monday, or a month."""
    return (
        f"{start:%b}{NO_BREAK_SPACE}{start.year}"
        if interval == "month"
        else f"{start.day} {start:%b}"
    )


def period_query(start: date, interval: str) -> str:
    """Return the query of the page that shows only this period."""
    length = {"day": 1, "week": 7, "month": monthrange(start.year, start.month)[1]}[interval]
    return f"?from={start}&to={start + timedelta(length)}"


def days(since: date, until: date) -> str:
    """Format a range of days, with its last day; `until` is not included."""
    last = until - timedelta(1)
    return day(since) if since == last else f"{day(since)} to {day(last)}"


def clock(at: datetime) -> str:
    """Format the time of day with its zone: 14:05:09 CET."""
    return f"{at.astimezone(settings.load().zone):%H:%M:%S %Z}"


def time_of_day(at: datetime) -> str:
    """Format the time of day, in minutes."""
    return f"{at.astimezone(settings.load().zone):%H:%M}"


def timestamp(at: datetime) -> str:
    """Format a time: only the time if it is today, else the day and the time."""
    zone = settings.load().zone
    at, now = at.astimezone(zone), datetime.now(zone)
    if at.date() == now.date():
        return f"{at:%H:%M:%S}"
    year = f"{NO_BREAK_SPACE}{at.year}" if at.year != now.year else ""
    return f"{at.day}{NO_BREAK_SPACE}{at:%b}{year} {at:%H:%M}"


def iso(at: datetime) -> str:
    """Format a time as ISO 8601."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """Format a duration in its largest unit."""
    for unit, length in SECONDS_BY_UNIT.items():
        if seconds >= length:
            count = int(seconds // length)
            plural = "s" if unit == "day" and count > 1 else ""
            return f"{count}{NO_BREAK_SPACE}{unit}{plural}"
    return f"{seconds:.0f}{NO_BREAK_SPACE}s"


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        amount,
        money,
        decimal,
        period_query,
        number,
        percent,
        day,
        period,
        days,
        clock,
        time_of_day,
        timestamp,
        iso,
        duration,
    )
}
