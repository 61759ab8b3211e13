"""Combined figures: a report on any span of days, and the data of the dashboard."""

from datetime import UTC, date, datetime, timedelta

from msgspec import Struct, convert
from msgspec.structs import asdict

from icecream import database, feed, openapi, settings
from icecream.stats import figures, present
from icecream.stats.figures import Day, Figures, Row, Span

# The interval of the dashboard by the longest number of days: days, then weeks, then months.
LONGEST = 3660
STEPS = {92: "day", 731: "week", LONGEST: "month"}
NOTHING: Row = {"quantity": 0, "orders": 0, "revenue": 0, "refunds": 0, "failure_rate": None}


class FlavorReport(figures.FlavorFigures):
    """Of a flavor, with what is left of it, and for how many days at the pace of the last 28."""

    stock: figures.Count | None
    stock_days: present.Days | None


class PeriodReport(figures.PeriodFigures):
    """Of a period, as a whole and by flavor."""

    flavors: list[figures.FlavorFigures]


class Report(Struct, rename={"since": "from", "until": "to"}):
    """Sales of a span of days: as a whole, by flavor, by period, by customer; and what waits now.

    Orders belong to the UTC day on which they were placed. `periods` are there with an
    `interval`, those in which there were orders.
    """

    since: Day | None
    until: Day | None
    status: figures.Status | None
    interval: figures.Interval | None
    currency: openapi.Currency
    totals: Figures
    flavors: list[FlavorReport]
    periods: list[PeriodReport]
    top_customers: list[figures.CustomerFigures]
    oldest_pending: present.Waiting | None
    queue: present.Queue


class Dashboard(Struct, rename={"since": "from", "until": "to"}):
    """All that the dashboard shows of a span of days, beside the one of the same length before."""

    since: Day
    until: Day
    interval: figures.Interval
    currency: openapi.Currency
    totals: Figures
    previous: Figures
    periods: list[figures.PeriodFigures]
    flavors: list[FlavorReport]
    outcomes: list[figures.Outcome]
    previous_outcomes: list[figures.Outcome]
    low_stock: list[present.Stock]
    queue: present.Queue
    oldest_pending: present.Waiting | None
    latest_orders: list[present.Latest]
    parked_payments: list[present.ParkedPayment]


async def report(span: Span, interval: str | None) -> tuple[Report, feed.Last]:
    """Return the sales of a span, and the last event included in them."""
    return await database.snapshot(lambda: _report(span, interval))


async def _report(span: Span, interval: str | None) -> tuple[Report, feed.Last]:
    upto, now = await feed.last(), datetime.now(UTC)
    stocks = {one.flavor: one for one in await present.stock(now.date())}
    answer = Report(
        since=span.since,
        until=span.until,
        status=span.status,
        interval=interval,
        currency=settings.load().currency,
        totals=await figures.total(span),
        flavors=_flavors(stocks, await figures.by_flavor(span)),
        periods=await _periods(span, interval, stocks) if interval else [],
        top_customers=await figures.by_customer(span),
        oldest_pending=await present.waiting(now),
        queue=await present.queue(now),
    )
    return answer, upto


def _flavors(
    stocks: dict[int, present.Stock], ordered: dict[int, Row], *, quiet: bool = True
) -> list[FlavorReport]:
    """Return reports of the ordered flavors, and with `quiet` of all flavors on sale."""
    return [
        FlavorReport(
            **ordered.get(one.flavor, NOTHING),
            flavor=one.flavor,
            name=one.name,
            stock=one.stock,
            stock_days=one.stock_days,
        )
        for one in stocks.values()
        if one.flavor in ordered or (quiet and not one.archived)
    ]


async def _periods(
    span: Span, interval: str, stocks: dict[int, present.Stock]
) -> list[PeriodReport]:
    flavors: dict[date, list[figures.FlavorFigures]] = {}
    for row in await figures.by_flavor_and_period(span, interval):
        start = convert(row.pop("start"), date)
        of_flavor = figures.FlavorFigures(**row, name=stocks[row["flavor"]].name)
        flavors.setdefault(start, []).append(of_flavor)
    return [
        PeriodReport(**asdict(one), flavors=flavors[one.start])
        for one in await figures.by_period(span, interval)
    ]


class Days(Struct, frozen=True):
    """A span of UTC days: `since` is inclusive, `until` is exclusive."""

    since: date
    until: date

    @property
    def before(self) -> "Days":
        """The span of the same length before this one."""
        return Days(self.since - (self.until - self.since), self.since)

    @property
    def interval(self) -> str:
        """The best interval to show these days."""
        return next(word for days, word in STEPS.items() if (self.until - self.since).days <= days)

    @property
    def starts(self) -> list[date]:
        """The first days of the periods that contain these days."""
        days = (self.since + timedelta(n) for n in range((self.until - self.since).days))
        return sorted({_start(self.interval, day) for day in days})


def _start(interval: str, day: date) -> date:
    if interval == "month":
        return day.replace(day=1)
    return day - timedelta(day.weekday()) if interval == "week" else day


async def dashboard(days: Days) -> tuple[Dashboard, feed.Last]:
    """Return the dashboard's data, and the last event included in it."""
    return await database.snapshot(lambda: _dashboard(days))


async def _dashboard(days: Days) -> tuple[Dashboard, feed.Last]:
    upto, now = await feed.last(), datetime.now(UTC)
    span = Span(days.since, days.until)
    before = Span(days.before.since, days.before.until)
    stocks = {one.flavor: one for one in await present.stock(now.date())}
    answer = Dashboard(
        since=days.since,
        until=days.until,
        interval=days.interval,
        currency=settings.load().currency,
        totals=await figures.total(span),
        previous=await figures.total(before),
        periods=await _all_periods(days),
        flavors=_flavors(stocks, await figures.by_flavor(span), quiet=False),
        outcomes=await figures.by_status(span),
        previous_outcomes=await figures.by_status(before),
        low_stock=present.low(stocks.values()),
        queue=await present.queue(now),
        oldest_pending=await present.waiting(now),
        latest_orders=await present.latest(),
        parked_payments=await present.parked(),
    )
    return answer, upto


async def _all_periods(days: Days) -> list[figures.PeriodFigures]:
    """Return all periods, also those without orders."""
    there = await figures.by_period(Span(days.since, days.until), days.interval)
    found = {one.start: one for one in there}
    return [
        found.get(start) or figures.PeriodFigures(**NOTHING, start=start) for start in days.starts
    ]
