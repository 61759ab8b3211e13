"""The day on which a time falls in a time zone, in SQL.

The rules of the zone come from Python on both databases: SQLite knows no time zones, and the rules
of PostgreSQL may be of another year.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache

# No order is older. A table of all offsets since 1900 would only slow the queries down.
FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
# No two changes of a zone's offset are closer to each other.
SEARCH_STEP = timedelta(days=1)


def utc_day(column: str) -> str:
    """Return an expression for the day of a UTC time, as text: 2026-11-29."""
    # Both databases write a time in UTC as text that begins with the day.
    return f"substr(CAST({column} AS text), 1, 10)"


def local_day(column: str, zone: tzinfo, *, is_postgres: bool) -> str:
    """Return an expression for the day of a UTC time in a zone, as text: 2026-11-29."""
    if str(zone) == "UTC":
        return utc_day(column)
    shift = _offset_expression(column, zone, is_postgres=is_postgres)
    if not is_postgres:
        return f"date({column}, {shift})"
    return f"CAST(CAST({column} AT TIME ZONE 'UTC' + {shift} AS date) AS text)"


def _offset_expression(column: str, zone: tzinfo, *, is_postgres: bool) -> str:
    """Return an expression for the offset of a time; the latest ones first, as most orders are."""
    time, end, length = ("TIMESTAMPTZ ", "+00", "INTERVAL ") if is_postgres else ("", "", "")
    (_, first), *others = _find_offsets(zone, datetime.now(UTC).year)
    cases = "".join(
        f" WHEN {column} >= {time}'{since:%Y-%m-%d %H:%M:%S}{end}'"
        f" THEN {length}'{_seconds(offset)}'"
        for since, offset in reversed(others)
    )
    last = f"{length}'{_seconds(first)}'"
    return f"CASE{cases} ELSE {last} END" if cases else last


def _seconds(offset: timedelta) -> str:
    return f"{offset // timedelta(seconds=1)} seconds"


@cache
def _find_offsets(zone: tzinfo, year: int) -> list[tuple[datetime, timedelta]]:
    """Return the offsets of a zone until after this year, and since when each is valid."""
    # An order's time is from a clock that may be wrong.
    return list(_iterate_offsets(zone, datetime(year + 2, 1, 1, tzinfo=UTC)))


def _iterate_offsets(zone: tzinfo, end: datetime) -> Iterator[tuple[datetime, timedelta]]:
    moment = FIRST_MOMENT
    yield moment, _offset(moment, zone)
    while moment < end:
        later = moment + SEARCH_STEP
        if _offset(later, zone) != _offset(moment, zone):
            change = _find_change(moment, later, zone)
            yield change, _offset(change, zone)
        moment = later


def _find_change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the first second with the offset of `after`."""
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _offset(middle, zone) == _offset(before, zone):
            before = middle
        else:
            after = middle
    return after


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
