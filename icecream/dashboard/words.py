"""Figures as people read them: money, shares, changes, days and times; everything in UTC."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec import Struct

from icecream import money as amounts

# What does not break before its unit.
SPACE = "\N{NO-BREAK SPACE}"
LONG = {"day": 86_400, "h": 3600, "min": 60}


class Change(Struct, frozen=True):
    """How a figure differs from the one before: in words, and whether that is good news."""

    words: str
    arrow: str = ""
    mood: str = "even"


def headline(minor: int, currency: str) -> str:
    """An amount without its currency; from a million on in whole units, to fit its place."""
    whole = amounts.major(minor, currency)
    return amounts.number(minor, currency) if whole < 1_000_000 else f"{whole:,.0f}"


def money(minor: int, currency: str) -> str:
    """An amount that does not break before its currency: 1,234.50 EUR."""
    return amounts.text(minor, currency).replace(" ", SPACE)


def number(count: int) -> str:
    """1,234."""
    return f"{count:,}"


def percent(share: float | None) -> str:
    """12.3 %; a dash where there is nothing to be a share of."""
    return "-" if share is None else f"{share * 100:.1f}{SPACE}%"


def change(now: float | None, before: float | None, *, more_is_good: bool) -> Change:
    """Of a number, in percent."""
    if not before or now is None:
        return Change("nothing before" if now else "as before")
    return _said((now - before) / before, "%", more_is_good=more_is_good)


def change_of_share(now: float | None, before: float | None, *, more_is_good: bool) -> Change:
    """Of a share, in percentage points: twice as many failures may still be few."""
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
    """24 Nov 2026."""
    return f"{of.day}{SPACE}{of:%b}{SPACE}{of.year}"


def period(start: date, interval: str) -> str:
    """A day, a week by its Monday, or a month, for an axis."""
    return f"{start:%b}{SPACE}{start.year}" if interval == "month" else f"{start.day} {start:%b}"


def days(since: date, until: date) -> str:
    """From a day on and before another, as people say it: with its last day."""
    last = until - timedelta(1)
    return day(since) if since == last else f"{day(since)} to {day(last)}"


def moment(at: datetime) -> str:
    """A time of today, or a day with its time."""
    at, now = at.astimezone(UTC), datetime.now(UTC)
    if at.date() == now.date():
        return f"{at:%H:%M:%S}"
    year = f"{SPACE}{at.year}" * (at.year != now.year)
    return f"{at.day}{SPACE}{at:%b}{year} {at:%H:%M}"


def iso(at: datetime) -> str:
    """The same for machines."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def lasting(seconds: float) -> str:
    """A length of time in its largest unit."""
    for unit, length in LONG.items():
        if seconds >= length:
            count = int(seconds // length)
            return f"{count}{SPACE}{unit}{'s' * (unit == 'day' and count > 1)}"
    return f"{seconds:.0f}{SPACE}s"


FILTERS: dict[str, Callable[..., Any]] = {"amount": amounts.number} | {
    word.__name__: word
    for word in (money, number, percent, day, period, days, moment, iso, lasting)
}
