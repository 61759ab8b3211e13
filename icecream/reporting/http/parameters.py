"""The parameters of a statistics query: days, status, interval and format."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from litestar.params import QueryParameter
from msgspec import Struct, ValidationError, convert
from msgspec.structs import replace

from icecream import states
from icecream.http import bodies, pagination
from icecream.reporting.reports import LONGEST, Days
from icecream.reporting.sales import INTERVALS, Span

JSON, CSV = "application/json", "text/csv"
FORMS = {"json": JSON, "csv": CSV}
PERIODS = {f"{days}d": days for days in (7, 30, 90, 365)}
TYPICAL = "30d"
A_DAY = {"format": "date", "maxLength": 10, "pattern": r"^\d{4}-\d\d-\d\d$"}
Period = Annotated[
    str | None,
    QueryParameter(
        schema_extra={"enum": list(PERIODS)},
        description=f"So many days, up to today; {TYPICAL} if nothing is said.",
    ),
]
Since = Annotated[
    str | None,
    QueryParameter(
        name="from", schema_extra=A_DAY, description="Placed on this UTC day or later (2025-05-13)."
    ),
]
Until = Annotated[
    str | None,
    QueryParameter(name="to", schema_extra=A_DAY, description="Placed before this UTC day."),
]


def _span(since: str | None, until: str | None, *, latest: date | None = None) -> Span:
    """Return the span from a day on (inclusive), and before another one or `latest` (exclusive)."""
    first, last = _day("from", since), _day("to", until) or latest
    if first is not None and last is not None and first >= last:
        if until is None:
            raise pagination.invalid("from", "must not be after today")
        raise pagination.invalid("to", "must be a later day than from")
    return Span(first, last)


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return convert(text, date)
    except ValidationError:
        raise pagination.invalid(name, "must be a day, such as 2025-05-13") from None


class Asked(Struct, frozen=True):
    """The selected orders, the interval, if any, and whether the answer is CSV."""

    span: Span
    interval: str | None
    csv: bool

    @property
    def plain(self) -> bool:
        """Whether no parameter was given: then the answer is that of the original API."""
        return self.span == Span() and self.interval is None


def asked(
    request: bodies.AnyBody,
    since: Since = None,
    until: Until = None,
    status: Annotated[
        str | None,
        QueryParameter(schema_extra={"enum": list(states.ORDER)}, description="Only these."),
    ] = None,
    interval: Annotated[
        str | None,
        QueryParameter(schema_extra={"enum": list(INTERVALS)}, description="Also by such periods."),
    ] = None,
    form: Annotated[
        str | None,
        QueryParameter(
            name="format",
            schema_extra={"enum": list(FORMS)},
            description="Instead of what `Accept` says.",
        ),
    ] = None,
) -> Asked:
    """Return the parameters of a sales query."""
    span = _span(since, until)
    best = request.accept.best_match(list(FORMS.values()), default=JSON)
    wanted = FORMS.get(pagination.one_of("format", form, FORMS) or "", best)
    return Asked(
        span=replace(span, status=pagination.one_of("status", status, states.ORDER)),
        interval=pagination.one_of("interval", interval, INTERVALS),
        csv=wanted == CSV,
    )


def days(
    period: Period = None,
    since: Since = None,
    until: Until = None,
) -> Days:
    """Return the days that the dashboard shows."""
    if period is not None and not since is until is None:
        raise pagination.invalid("period", "cannot come together with from or to")
    tomorrow = datetime.now(UTC).date() + timedelta(1)
    if since is None:
        if until is not None:
            raise pagination.invalid("from", "is required beside to")
        length = PERIODS[pagination.one_of("period", period, PERIODS) or TYPICAL]
        return Days(tomorrow - timedelta(length), tomorrow)
    span = _span(since, until, latest=tomorrow)
    assert span.since is not None
    assert span.until is not None
    chosen = Days(span.since, span.until)
    if (chosen.until - chosen.since).days > LONGEST:
        raise pagination.invalid("from", f"must be at most {LONGEST} days before to")
    try:
        _ = chosen.before
    except OverflowError:
        raise pagination.invalid("from", "must be a later day") from None
    return chosen
