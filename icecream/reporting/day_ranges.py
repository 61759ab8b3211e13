"""Ranges of days, in a time zone, and the earlier days that they are compared with."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from msgspec import Struct

from icecream import settings
from icecream.reporting.sales import Span
from icecream.tables import SECONDS_PER_QUARTER

# Ten years and a few days: a longer dashboard would be slow and unreadable.
MAX_DAYS = 3660
# The interval of the dashboard, by the largest number of days that it can show.
INTERVAL_BY_MAX_DAYS = {92: "day", 731: "week", MAX_DAYS: "month"}


class DayRange(Struct, frozen=True):
    """A range of days: `since` is included, `until` is not.

    The days are UTC, or with `local` those of the installation's time zone. The range is compared
    with `earlier`, or else with as many days before it.
    """

    since: date
    until: date
    earlier: "DayRange | None" = None
    local: bool = False

    @property
    def before(self) -> "DayRange":
        """The range that this one is compared with."""
        length = self.until - self.since
        return self.earlier or DayRange(self.since - length, self.since, local=self.local)

    @property
    def span(self) -> Span:
        """The orders of these days."""
        return Span(self.since, self.until, local=self.local)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the days."""
        return settings.load().zone if self.local else ZoneInfo("UTC")

    @property
    def interval(self) -> str:
        """The best interval to show these days."""
        return next(
            word
            for days, word in INTERVAL_BY_MAX_DAYS.items()
            if (self.until - self.since).days <= days
        )

    @property
    def starts(self) -> list[date]:
        """The first day of each period that contains these days."""
        days = (self.since + timedelta(n) for n in range((self.until - self.since).days))
        return sorted({_period_start(self.interval, day) for day in days})


def _period_start(interval: str, day: date) -> date:
    if interval == "month":
        return day.replace(day=1)
    return day - timedelta(day.weekday()) if interval == "week" else day


class Comparison(Struct, frozen=True):
    """The orders that a range is compared with: those of whole days, and of the day after them.

    `last` is that day, from its start until the time of day at which the range is now, or None if
    all days are whole.
    """

    days: DayRange
    last: tuple[datetime, datetime] | None = None

    @property
    def end(self) -> date:
        """The day after the last one."""
        return self.days.until + timedelta(1) if self.last else self.days.until

    @property
    def until(self) -> datetime | None:
        """The time at which the comparison ends, if that is within a day."""
        return self.last[1] if self.last else None


def compare(days: DayRange, now: datetime) -> Comparison:
    """Return what to compare these days with: only as much as has passed of them by now."""
    local, before = now.astimezone(days.zone), days.before
    if not days.since <= local.date() < days.until:
        return Comparison(before)
    last = before.since + (local.date() - days.since)
    # A month may be longer than the one before it.
    if last >= before.until:
        return Comparison(before)
    # The running quarter counts as a whole: the totals have no parts of it.
    end = _end_of_quarter(datetime.combine(last, local.time(), days.zone).astimezone(UTC))
    if end >= start_of_day(last + timedelta(1), days.zone):
        return Comparison(DayRange(before.since, last + timedelta(1), local=days.local))
    start = start_of_day(last, days.zone)
    return Comparison(DayRange(before.since, last, local=days.local), (start, end))


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the time at which a day begins, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _end_of_quarter(moment: datetime) -> datetime:
    quarter = int(moment.timestamp()) // SECONDS_PER_QUARTER
    return datetime.fromtimestamp((quarter + 1) * SECONDS_PER_QUARTER, UTC)
