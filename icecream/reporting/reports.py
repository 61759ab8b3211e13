"""Combined figures: a report on any span of days, and the data of the dashboard."""

from datetime import UTC, date, datetime, timedelta

from msgspec import Struct, convert
from msgspec.structs import asdict

from icecream import database, fields, settings
from icecream.feed import events
from icecream.reporting import current, sales
from icecream.reporting.sales import Day, Figures, Row, Span

# The interval of the dashboard by the longest number of days: days, then weeks, then months.
LONGEST = 3660
STEPS = {92: "day", 731: "week", LONGEST: "month"}
NOTHING: Row = {"quantity": 0, "orders": 0, "revenue": 0, "refunds": 0, "failure_rate": None}


class FlavorReport(sales.FlavorFigures):
    """Of a flavor, with what is left of it, and for how many days at the pace of the last 28."""

    stock: sales.Count | None
    stock_days: current.Days | None


class PeriodReport(sales.PeriodFigures):
    """Of a period, as a whole and by flavor."""

    flavors: list[sales.FlavorFigures]


class Report(Struct, rename={"since": "from", "until": "to"}):
    """Sales of a span of days: as a whole, by flavor, by period, by customer; and what waits now.

    Orders belong to the UTC day on which they were placed. `periods` are there with an
    `interval`, those in which there were orders.
    """

    since: Day | None
    until: Day | None
    status: sales.Status | None
    interval: sales.Interval | None
    currency: fields.Currency
    totals: Figures
    flavors: list[FlavorReport]
    periods: list[PeriodReport]
    top_customers: list[sales.CustomerFigures]
    oldest_pending: current.Waiting | None
    queue: current.Queue


class Dashboard(Struct, rename={"since": "from", "until": "to"}):
    """All that the dashboard shows of a span of days, beside the one of the same length before."""

    since: Day
    until: Day
    interval: sales.Interval
    currency: fields.Currency
    totals: Figures
    previous: Figures
    periods: list[sales.PeriodFigures]
    flavors: list[FlavorReport]
    outcomes: list[sales.Outcome]
    previous_outcomes: list[sales.Outcome]
    low_stock: list[current.Stock]
    queue: current.Queue
    oldest_pending: current.Waiting | None
    latest_orders: list[current.Latest]
    parked_payments: list[current.ParkedPayment]


async def report(span: Span, interval: str | None) -> tuple[Report, events.Last]:
    """Return the sales of a span, and the last event included in them."""
    return await database.snapshot(lambda: _report(span, interval))


async def _report(span: Span, interval: str | None) -> tuple[Report, events.Last]:
    upto, now = await events.last(), datetime.now(UTC)
    stocks = {one.flavor: one for one in await current.stock(now.date())}
    answer = Report(
        since=span.since,
        until=span.until,
        status=span.status,
        interval=interval,
        currency=settings.load().currency,
        totals=await sales.total(span),
        flavors=_flavors(stocks, await sales.by_flavor(span)),
        periods=await _periods(span, interval, stocks) if interval else [],
        top_customers=await sales.by_customer(span),
        oldest_pending=await current.waiting(now),
        queue=await current.queue(now),
    )
    return answer, upto


def _flavors(
    stocks: dict[int, current.Stock], ordered: dict[int, Row], *, quiet: bool = True
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
    span: Span, interval: str, stocks: dict[int, current.Stock]
) -> list[PeriodReport]:
    flavors: dict[date, list[sales.FlavorFigures]] = {}
    for row in await sales.by_flavor_and_period(span, interval):
        start = convert(row.pop("start"), date)
        of_flavor = sales.FlavorFigures(**row, name=stocks[row["flavor"]].name)
        flavors.setdefault(start, []).append(of_flavor)
    return [
        PeriodReport(**asdict(one), flavors=flavors[one.start])
        for one in await sales.by_period(span, interval)
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


async def dashboard(days: Days) -> tuple[Dashboard, events.Last]:
    """Return the dashboard's data, and the last event included in it."""
    return await database.snapshot(lambda: _dashboard(days))


async def _dashboard(days: Days) -> tuple[Dashboard, events.Last]:
    upto, now = await events.last(), datetime.now(UTC)
    span = Span(days.since, days.until)
    before = Span(days.before.since, days.before.until)
    stocks = {one.flavor: one for one in await current.stock(now.date())}
    answer = Dashboard(
        since=days.since,
        until=days.until,
        interval=days.interval,
        currency=settings.load().currency,
        totals=await sales.total(span),
        previous=await sales.total(before),
        periods=await _all_periods(days),
        flavors=_flavors(stocks, await sales.by_flavor(span), quiet=False),
        outcomes=await sales.by_status(span),
        previous_outcomes=await sales.by_status(before),
        low_stock=current.low(stocks.values()),
        queue=await current.queue(now),
        oldest_pending=await current.waiting(now),
        latest_orders=await current.latest(),
        parked_payments=await current.parked(),
    )
    return answer, upto


async def _all_periods(days: Days) -> list[sales.PeriodFigures]:
    """Return all periods, also those without orders."""
    there = await sales.by_period(Span(days.since, days.until), days.interval)
    found = {one.start: one for one in there}
    return [
        found.get(start) or sales.PeriodFigures(**NOTHING, start=start) for start in days.starts
    ]
