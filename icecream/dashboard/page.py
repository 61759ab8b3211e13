"""The rendering of the dashboard: figures are formatted only here."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from icecream import money, settings, states
from icecream.feed import events
from icecream.pages import formatting, rendering
from icecream.pages.access import Visitor
from icecream.reporting.day_ranges import DayRange
from icecream.reporting.http.parameters import DAYS_BY_PERIOD
from icecream.reporting.payment_outcomes import PaymentOutcome
from icecream.reporting.reports import Dashboard
from icecream.reporting.sales import CustomerFigures, Figures, Outcome

# The number of flavors with their own color; the other flavors are combined.
MAX_COLORED_FLAVORS = 6
PERIODS = {
    "today": "Today",
    "yesterday": "Yesterday",
    **{name: f"{length} days" for name, length in DAYS_BY_PERIOD.items()},
    "this-month": "This month",
    "last-month": "Last month",
}
# The parts that are replaced after each event; each is a macro of that name.
PARTS = (
    "attention",
    "compared",
    "headline",
    "sales",
    "flavors",
    "outcomes",
    "now",
    "latest",
    "stock",
    "parked",
)


class Card(Struct, frozen=True):
    """A headline figure, and the same figure of the period before."""

    name: str
    value: str
    before: str
    change: formatting.FigureChange
    unit: str = ""


class Share(Struct, frozen=True):
    """The share of one flavor in the revenue, or of several flavors together."""

    name: str
    quantity: int
    revenue: int
    share: float | None


class View(Struct, frozen=True):
    """The figures as the page shows them."""

    figures: Dashboard
    cards: list[Card]
    shares: list[Share]
    at: datetime
    event: int

    @property
    def is_empty(self) -> bool:
        """Whether there are no orders at all."""
        return not self.figures.latest_orders


def build_view(figures: Dashboard, upto: events.LastEvent) -> View:
    """Build the view of these figures."""
    return View(figures, _cards(figures), _shares(figures), datetime.now(UTC), upto.position)


def _cards(figures: Dashboard) -> list[Card]:
    now, then, currency = figures.totals, figures.previous, figures.currency
    paid, paid_before = _paid(figures.outcomes), _paid(figures.previous_outcomes)
    return [
        _count_card("Orders", now.orders, then.orders),
        _money_card("Revenue", now.revenue, then.revenue, currency),
        _count_card("Paid orders", paid, paid_before),
        _money_card("Refunds", now.refunds, then.refunds, currency, more_is_good=False),
        _failure_card(now, then),
        _money_card(
            "Average order",
            _average(now, figures.outcomes),
            _average(then, figures.previous_outcomes),
            currency,
        ),
    ]


def _count_card(name: str, now: int, before: int) -> Card:
    change = formatting.change(now, before, more_is_good=True)
    return Card(name, formatting.number(now), formatting.number(before), change)


def _money_card(
    name: str, now: int, before: int, currency: str, *, more_is_good: bool = True
) -> Card:
    change = formatting.change(now, before, more_is_good=more_is_good)
    shown, shown_before = formatting.headline(now, currency), formatting.headline(before, currency)
    return Card(name, shown, shown_before, change, currency)


def _failure_card(now: Figures, then: Figures) -> Card:
    rate, before = now.failure_rate, then.failure_rate
    change = formatting.change_of_share(rate, before, more_is_good=False)
    return Card("Failure rate", formatting.percent(rate), formatting.percent(before), change)


def _paid(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.orders for outcome in outcomes if outcome.status in states.CHARGED_STATUSES)


def _average(figures: Figures, outcomes: Sequence[Outcome]) -> int:
    return (
        round(sum(outcome.total for outcome in outcomes) / figures.orders) if figures.orders else 0
    )


def _shares(figures: Dashboard) -> list[Share]:
    """Return the flavors with the highest revenue first, and all others combined."""
    flavors = sorted(figures.flavors, key=lambda flavor: (-flavor.revenue, flavor.flavor))
    total = sum(flavor.revenue for flavor in flavors)
    # A single remaining flavor is not combined.
    shown = len(flavors) if len(flavors) == MAX_COLORED_FLAVORS + 1 else MAX_COLORED_FLAVORS
    sums = [(flavor.name, flavor.quantity, flavor.revenue) for flavor in flavors[:shown]]
    if rest := flavors[shown:]:
        name = f"{len(rest)} others"
        quantity = sum(flavor.quantity for flavor in rest)
        sums.append((name, quantity, sum(flavor.revenue for flavor in rest)))
    return [
        Share(name, quantity, revenue, revenue / total if total else None)
        for name, quantity, revenue in sums
    ]


def chart_data(view: View) -> dict[str, Any]:
    """Return the data for the charts."""
    figures = view.figures
    return {
        "currency": figures.currency,
        "digits": money.decimal_places(figures.currency),
        "separators": money.separators(settings.load().locale),
        "links": [
            formatting.period_query(period.start, figures.interval) for period in figures.periods
        ],
        "sales": [
            (
                formatting.period(period.start, figures.interval),
                _chart_value(period.revenue, figures.currency),
            )
            for period in figures.periods
        ],
        "flavors": [
            (share.name, _chart_value(share.revenue, figures.currency))
            for share in view.shares
            if share.revenue
        ],
    }


def _chart_value(minor: int, currency: str) -> float:
    return float(money.to_major_units(minor, currency))


def render_parts(view: View) -> dict[str, str]:
    """Render the parts that change while the page is open."""
    macros = rendering.environment().get_template("dashboard/parts.html").module
    return {name: str(getattr(macros, name)(view)) for name in PARTS}


def update_data(view: View) -> dict[str, Any]:
    """Return the data that updates an open page."""
    order = view.figures.latest_orders[0].id if view.figures.latest_orders else 0
    return {
        "event": view.event,
        "order": order,
        "at": formatting.clock(view.at),
        "empty": view.is_empty,
        "parts": render_parts(view),
        "charts": chart_data(view),
    }


def render_page(
    visitor: Visitor,
    view: View,
    customers: list[CustomerFigures],
    payments: list[PaymentOutcome],
    days: DayRange,
    period: str | None,
    error: str,
) -> str:
    """Render the page with its figures; `error` is a message about an invalid query."""
    shown = update_data(view)
    return _render(
        visitor=visitor,
        days=days,
        period=period,
        error=error,
        view=view,
        customers=customers,
        payments=payments,
        charts=shown["charts"],
        parts=shown["parts"],
        order=shown["order"],
    )


def render_without_figures(days: DayRange, period: str | None, error: str) -> str:
    """Render the page without figures."""
    return _render(visitor=None, days=days, period=period, error=error, view=None)


def _render(days: DayRange, **values: Any) -> str:
    return rendering.render(
        "dashboard/page.html",
        today=settings.today(),
        zone=settings.load().zone,
        days=days,
        periods=PERIODS,
        **values,
    )
