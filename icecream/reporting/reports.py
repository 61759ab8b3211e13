"""Combined figures: the sales report, and the data of the dashboard."""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from icecream import database, fields, settings
from icecream.feed import events
from icecream.reporting import by_status, current, sales
from icecream.reporting.day_ranges import Comparison, DayRange, compare
from icecream.reporting.sales import Figures, Span

ZONE_SCHEMA = {"maxLength": 64, "pattern": "^[A-Za-z0-9/_+-]+$"}
TimeZone = Annotated[
    str,
    Meta(
        description="The time zone of the days (IANA).",
        examples=["UTC"],
        extra_json_schema=ZONE_SCHEMA,
    ),
]
ZERO_FIGURES = Figures(quantity=0, orders=0, revenue=0, refunds=0, failure_rate=None)


class FlavorReport(sales.FlavorFigures):
    """The figures of a flavor, its stock, and the days until it is sold out."""

    stock: fields.NonNegativeInt | None
    stock_days: current.StockDays | None


class PeriodReport(sales.PeriodFigures):
    """The figures of a period, in total and by flavor."""

    flavors: list[sales.FlavorFigures]


class Report(Struct, rename={"since": "from", "until": "to"}):
    """Sales in a range of days: in total, by flavor, period and customer; and the current queue.

    An order belongs to the day on which it was placed, in the `time_zone`. With an `interval`,
    `periods` has the periods with orders; without one it is empty.
    """

    since: fields.Day | None
    until: fields.Day | None
    status: fields.OrderStatus | None
    interval: sales.Interval | None
    time_zone: TimeZone
    currency: fields.Currency
    totals: Figures
    flavors: list[FlavorReport]
    periods: list[PeriodReport]
    top_customers: list[sales.CustomerFigures]
    oldest_pending: current.Waiting | None
    queue: current.Queue


class Dashboard(Struct, rename={"since": "from", "until": "to"}):
    """The data of the dashboard: sales in a range of days, an earlier range, and now.

    The `previous` figures are of `previous_from` until before `previous_to`. If the range is not
    over, the days before are cut at the same time of day: at `previous_until`.
    """

    since: fields.Day
    until: fields.Day
    previous_from: fields.Day
    previous_to: fields.Day
    previous_until: fields.Timestamp | None
    interval: sales.Interval
    time_zone: TimeZone
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
        time_zone=settings.load().time_zone if span.local else "UTC",
        currency=settings.load().currency,
        totals=by_status.sum_up(await by_status.load_sums(span)),
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


async def build_dashboard(days: DayRange) -> tuple[Dashboard, events.LastEvent]:
    """Return the dashboard's data, and the last event included in it."""
    return await database.snapshot(lambda: _build_dashboard(days))


async def _build_dashboard(days: DayRange) -> tuple[Dashboard, events.LastEvent]:
    upto, now = await events.read_last_event(), datetime.now(UTC)
    compared = compare(days, now)
    sums, earlier = await by_status.load_sums(days.span), await _load_earlier(compared)
    stocks = {stock.flavor: stock for stock in await current.load_stock(now.date())}
    answer = Dashboard(
        since=days.since,
        until=days.until,
        previous_from=compared.days.since,
        previous_to=compared.end,
        previous_until=compared.until,
        interval=days.interval,
        time_zone=days.zone.key,
        currency=settings.load().currency,
        totals=by_status.sum_up(sums),
        previous=by_status.sum_up(earlier),
        periods=await _all_periods(days),
        flavors=_flavor_reports(
            stocks, await sales.load_by_flavor(days.span), include_unsold=False
        ),
        outcomes=by_status.to_outcomes(sums),
        previous_outcomes=by_status.to_outcomes(earlier),
        low_stock=current.select_low_stock(stocks.values()),
        queue=await current.load_queue(now),
        oldest_pending=await current.find_oldest_pending(now),
        latest_orders=await current.load_latest_orders(),
        parked_payments=await current.load_parked_payments(),
    )
    return answer, upto


async def _load_earlier(compared: Comparison) -> list[by_status.StatusSums]:
    whole = await by_status.load_sums(compared.days.span)
    return [*whole, *await by_status.load_between(*compared.last)] if compared.last else whole


async def _all_periods(days: DayRange) -> list[sales.PeriodFigures]:
    """Return all periods, also those without orders."""
    periods = await sales.load_by_period(days.span, days.interval)
    found = {period.start: period for period in periods}
    return [
        found.get(start) or sales.PeriodFigures(**asdict(ZERO_FIGURES), start=start)
        for start in days.starts
    ]
