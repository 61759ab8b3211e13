"""The parameters of a statistics query: days, time zone, status, interval and format."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Annotated

from litestar.datastructures.headers import Accept
from litestar.params import QueryParameter
from msgspec import Struct
from msgspec.structs import replace

from icecream import settings, states
from icecream.http import bodies, pagination
from icecream.reporting.day_ranges import MAX_DAYS, DayRange
from icecream.reporting.sales import INTERVALS, Span

JSON = "application/json"
CSV = "text/csv"
MEDIA_TYPE_BY_FORMAT = {"json": JSON, "csv": CSV}
DAYS_BY_PERIOD = {f"{days}d": days for days in (7, 30, 90, 365)}
PERIODS = ("today", "yesterday", *DAYS_BY_PERIOD, "this-month", "last-month")
DEFAULT_PERIOD = "30d"
Period = Annotated[
    str | None,
    pagination.choice(
        "Period",
        PERIODS,
        f"A day or a month, or the last days including today; {DEFAULT_PERIOD} by default.",
    ),
]
Since = Annotated[
    str | None,
    QueryParameter(
        name="from",
        schema_extra=pagination.DAY_SCHEMA,
        description="Only orders placed on this day or later, such as 2025-05-13.",
    ),
]
Until = Annotated[
    str | None,
    QueryParameter(
        name="to",
        schema_extra=pagination.DAY_SCHEMA,
        description="Only orders placed before this day.",
    ),
]
TIME_ZONES = ("UTC", "installation")
ZoneChoice = Annotated[
    str | None,
    pagination.choice(
        "TimeZoneChoice",
        TIME_ZONES,
        "The time zone of the days: UTC by default, or that of the installation.",
    ),
]
StatusChoice = Annotated[
    str | None, pagination.choice("OrderStatus", states.ORDER, "Only orders in this status.")
]
IntervalChoice = Annotated[
    str | None, pagination.choice("Interval", INTERVALS, "Also return the figures by period.")
]
FormatChoice = Annotated[
    str | None,
    pagination.choice(
        "FileFormat",
        MEDIA_TYPE_BY_FORMAT,
        "`csv`: the whole answer as a file for spreadsheets.",
        name="format",
    ),
]


def _is_local(time_zone: str | None) -> bool:
    return pagination.parse_choice("time_zone", time_zone, TIME_ZONES) == "installation"


def _parse_span(since: str | None, until: str | None, *, latest: date | None = None) -> Span:
    """Parse a range of days: `since` is included; `until`, by default `latest`, is not."""
    first, last = pagination.parse_day("from", since), pagination.parse_day("to", until) or latest
    if first is not None and last is not None and first >= last:
        if until is None:
            raise pagination.invalid_parameter("from", "must not be after today")
        raise pagination.invalid_parameter("to", "must be a later day than from")
    return Span(first, last)


class SalesQuery(Struct, frozen=True):
    """The parameters of a sales query: the orders, the interval if any, and the format."""

    span: Span
    interval: str | None
    csv: bool

    @property
    def is_unfiltered(self) -> bool:
        """Whether there is no parameter; the response then is that of the original API."""
        return self.span == Span() and self.interval is None


UNFILTERED = SalesQuery(Span(), None, csv=False)
UNFILTERED_CSV = SalesQuery(Span(), None, csv=True)


def parse_sales_query(
    request: bodies.ApiRequest,
    *,
    since: str | None,
    until: str | None,
    status: str | None,
    interval: str | None,
    format_: str | None,
    time_zone: str | None,
) -> SalesQuery:
    """Parse the parameters of a sales query."""
    # Nearly all calls have no query, and must not pay for this.
    if not request.scope["query_string"]:
        return UNFILTERED_CSV if wants_csv(request) else UNFILTERED
    span = _parse_span(since, until)
    status = pagination.parse_choice("status", status, states.ORDER)
    return SalesQuery(
        span=replace(span, status=status, local=_is_local(time_zone)),
        interval=pagination.parse_choice("interval", interval, INTERVALS),
        csv=wants_csv(request, format_),
    )


def wants_csv(request: bodies.ApiRequest, format_: str | None = None) -> bool:
    """Return whether a client wants CSV: its parameter `format`, or its `Accept` header, says so.

    Raises:
        errors.ValidationFailed: there is no such format.
    """
    if format_ := pagination.parse_choice("format", format_, MEDIA_TYPE_BY_FORMAT):
        return MEDIA_TYPE_BY_FORMAT[format_] == CSV
    return _best_type(dict(request.scope["headers"]).get(b"accept", b"*/*")) == CSV


@lru_cache(maxsize=100)
def _best_type(accept: bytes) -> str:
    """Return the media type that an `Accept` header prefers; Litestar parses it in 30 us."""
    parsed = Accept(accept.decode("latin-1"))
    best: str = parsed.best_match(list(MEDIA_TYPE_BY_FORMAT.values()), default=JSON)
    return best


def find_period(name: str, today: date, *, local: bool = False) -> DayRange:
    """Return the days of a period; a month is compared with as many days of the month before."""
    days = partial(DayRange, local=local)
    tomorrow, month = today + timedelta(1), today.replace(day=1)
    last_month = (month - timedelta(1)).replace(day=1)
    match name:
        case "today":
            return days(today, tomorrow)
        case "yesterday":
            return days(today - timedelta(1), today)
        case "this-month":
            until = min(last_month + (tomorrow - month), month)
            return days(month, tomorrow, days(last_month, until))
        case "last-month":
            before = (last_month - timedelta(1)).replace(day=1)
            return days(last_month, month, days(before, last_month))
    return days(tomorrow - timedelta(DAYS_BY_PERIOD[name]), tomorrow)


def parse_day_range(
    period: Period = None,
    since: Since = None,
    until: Until = None,
    time_zone: ZoneChoice = None,
) -> DayRange:
    """Parse the days of the dashboard's figures."""
    return _parse_day_range(period, since, until, local=_is_local(time_zone))


def parse_local_day_range(
    period: Period = None, since: Since = None, until: Until = None
) -> DayRange:
    """Parse the days that a page shows: those of the installation's time zone."""
    return _parse_day_range(period, since, until, local=True)


def _parse_day_range(
    period: str | None, since: str | None, until: str | None, *, local: bool
) -> DayRange:
    if period is not None and (since is not None or until is not None):
        raise pagination.invalid_parameter("period", "cannot be combined with from or to")
    tomorrow = datetime.now(settings.load().zone if local else UTC).date() + timedelta(1)
    if since is None:
        if until is not None:
            raise pagination.invalid_parameter("from", "is required together with to")
        name = pagination.parse_choice("period", period, PERIODS) or DEFAULT_PERIOD
        return find_period(name, tomorrow - timedelta(1), local=local)
    span = _parse_span(since, until, latest=tomorrow)
    assert span.since is not None
    assert span.until is not None
    days = DayRange(span.since, span.until, local=local)
    if (days.until - days.since).days > MAX_DAYS:
        raise pagination.invalid_parameter("from", f"must be at most {MAX_DAYS} days before to")
    try:
        _ = days.before
    except OverflowError:
        raise pagination.invalid_parameter("from", "must be a later day") from None
    return days
