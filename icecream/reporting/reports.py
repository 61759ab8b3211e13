"""Combined figures: the sales report, and the data of the dashboard."""

from datetime import UTC, date, datetime, timedelta

from msgspec import Struct
from msgspec.structs import asdict

from icecream import database, fields, settings
from icecream.feed import events
from icecream.reporting import current, sales
from icecream.reporting.sales import Day, Figures, Span

# Ten years and a few days: a longer dashboard would be slow and unreadable.
MAX_DAYS = 3660
# The interval of the dashboard, by the largest number of days that it can show.
INTERVAL_BY_MAX_DAYS = {92: "day", 731: "week", MAX_DAYS: "month"}
ZERO_FIGURES = Figures(quantity=0, orders=0, revenue=0, refunds=0, failure_rate=None)


class FlavorReport(sales.FlavorFigures):
    """The figures of a flavor, its stock, and the days until it is sold out."""

    stock: sales.Count | None
    stock_days: current.StockDays | None


class PeriodReport(sales.PeriodFigures):
    """The figures of a period, in total and by flavor."""

    flavors: list[sales.FlavorFigures]


class Report(Struct, rename={"since": "from", "until": "to"}):
    """Sales in a range of days: in total, by flavor, period and customer; and the current queue.

    An order belongs to the UTC day on which it was placed. With an `interval`, `periods` has the
    periods with orders; without one it is empty.
    """

    since: Day | None
    until: Day | None
    status: fields.OrderStatus | None
    interval: sales.Interval | None
    currency: fields.Currency
    totals: Figures
    flavors: list[FlavorReport]
    periods: list[PeriodReport]
    top_customers: list[sales.CustomerFigures]
    oldest_pending: current.Waiting | None
    queue: current.Queue


class Dashboard(Struct, rename={"since": "from", "until": "to"}):
    """The data of the dashboard: sales in a range of days, the same range before, and now."""

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


async def build_report(span: Span, interval: str | None) -> tuple[Report, events.LastEvent]:
    """Return the sales report, and the last event included in it."""
    return await database.snapshot(lambda: _build_report(span, interval))


async def _build_report(span: Span, interval: str | None) -> tuple[Report, events.LastEvent]:
    upto, now = await events.read_last_event(), datetime.now(UTC)
    stocks = {stock.flavor: stock for stock in await current.load_stock(now.date())}
    answer = Report(
        since=span.since,
        until=span.until,
        status=span.status,
        interval=interval,
        currency=settings.load().currency,
        totals=await sales.load_totals(span),
        flavors=_flavor_reports(stocks, await sales.load_by_flavor(span)),
        periods=await _period_reports(span, interval, stocks) if interval else [],
        top_customers=await sales.load_top_customers(span),
        oldest_pending=await current.find_oldest_pending(now),
        queue=await current.load_queue(now),
    )
    return answer, upto


def _flavor_reports(
    stocks: dict[int, current.Stock], ordered: dict[int, Figures], *, include_unsold: bool = True
) -> list[FlavorReport]:
    """Return the ordered flavors, and with `include_unsold` also the other flavors on sale."""
    return [
        FlavorReport(
            **asdict(ordered.get(stock.flavor, ZERO_FIGURES)),
            flavor=stock.flavor,
            name=stock.name,
            stock=stock.stock,
            stock_days=stock.stock_days,
        )
        for stock in stocks.values()
        if stock.flavor in ordered or (include_unsold and not stock.archived)
    ]


async def _period_reports(
    span: Span, interval: str, stocks: dict[int, current.Stock]
) -> list[PeriodReport]:
    figures_by_period = await sales.load_by_flavor_and_period(span, interval)
    flavors = {
        start: [
            sales.FlavorFigures(**asdict(figures), flavor=flavor, name=stocks[flavor].name)
            for flavor, figures in figures_by_flavor.items()
        ]
        for start, figures_by_flavor in figures_by_period.items()
    }
    return [
        PeriodReport(**asdict(period), flavors=flavors[period.start])
        for period in await sales.load_by_period(span, interval)
    ]


class DayRange(Struct, frozen=True):
    """A range of UTC days: `since` is included, `until` is not.

    It is compared with `earlier`, or else with as many days before it.
    """

    since: date
    until: date
    earlier: "DayRange | None" = None

    @property
    def before(self) -> "DayRange":
        """The range that this one is compared with."""
        return self.earlier or DayRange(self.since - (self.until - self.since), self.since)

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


async def build_dashboard(days: DayRange) -> tuple[Dashboard, events.LastEvent]:
    """Return the dashboard's data, and the last event included in it."""
    return await database.snapshot(lambda: _build_dashboard(days))


async def _build_dashboard(days: DayRange) -> tuple[Dashboard, events.LastEvent]:
    upto, now = await events.read_last_event(), datetime.now(UTC)
    span = Span(days.since, days.until)
    before = Span(days.before.since, days.before.until)
    stocks = {stock.flavor: stock for stock in await current.load_stock(now.date())}
    answer = Dashboard(
        since=days.since,
        until=days.until,
        interval=days.interval,
        currency=settings.load().currency,
        totals=await sales.load_totals(span),
        previous=await sales.load_totals(before),
        periods=await _all_periods(days),
        flavors=_flavor_reports(stocks, await sales.load_by_flavor(span), include_unsold=False),
        outcomes=await sales.load_by_status(span),
        previous_outcomes=await sales.load_by_status(before),
        low_stock=current.select_low_stock(stocks.values()),
        queue=await current.load_queue(now),
        oldest_pending=await current.find_oldest_pending(now),
        latest_orders=await current.load_latest_orders(),
        parked_payments=await current.load_parked_payments(),
    )
    return answer, upto


async def _all_periods(days: DayRange) -> list[sales.PeriodFigures]:
    """Return all periods, also those without orders."""
    periods = await sales.load_by_period(Span(days.since, days.until), days.interval)
    found = {period.start: period for period in periods}
    return [
        found.get(start) or sales.PeriodFigures(**asdict(ZERO_FIGURES), start=start)
        for start in days.starts
    ]
