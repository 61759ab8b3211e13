"""Texts for figures: money, shares, changes, days and times; all times are UTC."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec import Struct

from icecream import money as amounts

# Prevents a line break between a number and its unit.
SPACE = "\N{NO-BREAK SPACE}"
LONG = {"day": 86_400, "h": 3600, "min": 60}


class Change(Struct, frozen=True):
    """The change of a figure since the period before: its text, and whether it is good news."""

    words: str
    arrow: str = ""
    mood: str = "even"


def headline(minor: int, currency: str) -> str:
    """Format an amount without its currency; from a million on in whole units, to save space."""
    whole = amounts.to_major_units(minor, currency)
    return amounts.format_number(minor, currency) if whole < 1_000_000 else f"{whole:,.0f}"


def money(minor: int, currency: str) -> str:
    """Format an amount without a line break before its currency: 1,234.50 EUR."""
    return amounts.format_amount(minor, currency).replace(" ", SPACE)


def number(count: int) -> str:
    """Format a number: 1,234."""
    return f"{count:,}"


def percent(share: float | None) -> str:
    """Format a share: 12.3 %; a dash if there is no share."""
    return "-" if share is None else f"{share * 100:.1f}{SPACE}%"


def change(now: float | None, before: float | None, *, more_is_good: bool) -> Change:
    """Describe the change of a number, in percent."""
    if not before or now is None:
        return Change("nothing before" if now else "as before")
    return _said((now - before) / before, "%", more_is_good=more_is_good)


def change_of_share(now: float | None, before: float | None, *, more_is_good: bool) -> Change:
    """Describe the change of a share, in percentage points: twice as many failures may be few."""
    if now is None or before is None:
        return Change("nothing before" if now is not None else "as before")
    return _said(now - before, "points", more_is_good=more_is_good)


def _said(by: float, unit: str, *, more_is_good: bool) -> Change:
    size = f"{abs(by) * 100:,.1f}".removesuffix(".0")
    if size == "0":
        return Change("as before")
    more = by > 0
    mood = "good" if more is more_is_good else "bad"
    return Change(f"{size}{SPACE}{unit} {'more' if more else 'less'}", "▲" if more else "▼", mood)


def day(of: date) -> str:
    """Format a day: 24 Nov 2026."""
    return f"{of.day}{SPACE}{of:%b}{SPACE}{of.year}"


def period(start: date, interval: str) -> str:
    """Format a period for an axis: a day, a week by its Monday, or a month."""
    return f"{start:%b}{SPACE}{start.year}" if interval == "month" else f"{start.day} {start:%b}"


def days(since: date, until: date) -> str:
    """Format a range of days, with its last day; `until` itself is not included."""
    last = until - timedelta(1)
    return day(since) if since == last else f"{day(since)} to {day(last)}"


def moment(at: datetime) -> str:
    """Format a time: only the time if it is today, else the day and the time."""
    at, now = at.astimezone(UTC), datetime.now(UTC)
    if at.date() == now.date():
        return f"{at:%H:%M:%S}"
    year = f"{SPACE}{at.year}" * (at.year != now.year)
    return f"{at.day}{SPACE}{at:%b}{year} {at:%H:%M}"


def iso(at: datetime) -> str:
    """Format a time for machines."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def lasting(seconds: float) -> str:
    """Format a duration in its largest unit."""
    for unit, length in LONG.items():
        if seconds >= length:
            count = int(seconds // length)
            return f"{count}{SPACE}{unit}{'s' * (unit == 'day' and count > 1)}"
    return f"{seconds:.0f}{SPACE}s"


FILTERS: dict[str, Callable[..., Any]] = {"amount": amounts.format_number} | {
    word.__name__: word
    for word in (money, number, percent, day, period, days, moment, iso, lasting)
}
