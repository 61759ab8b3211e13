"""The rendering of the dashboard: only here do figures become texts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec import Struct

from icecream import money, settings, states
from icecream.dashboard import assets, formatting
from icecream.feed import events
from icecream.reporting.http.parameters import PERIODS
from icecream.reporting.reports import Dashboard, Days
from icecream.reporting.sales import CustomerFigures, Figures, Outcome

# The number of flavors with their own color; the others are combined.
COLORS = 6
# The parts that are replaced after each event; each is a macro of that name.
PARTS = (
    "attention",
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
    """A headline figure, next to that of the period before."""

    name: str
    value: str
    before: str
    change: formatting.Change
    unit: str = ""


class Share(Struct, frozen=True):
    """The part of a flavor in the revenue, or of several flavors together."""

    name: str
    quantity: int
    revenue: int
    share: float | None


class View(Struct, frozen=True):
    """The figures in the form in which they are shown."""

    figures: Dashboard
    cards: list[Card]
    shares: list[Share]
    at: datetime
    event: int

    @property
    def empty(self) -> bool:
        """Whether there are no orders at all."""
        return not self.figures.latest_orders


_jinja = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_jinja.filters |= formatting.FILTERS
_jinja.globals |= {
    "asset": assets.address,
    "prefix": settings.load().prefix,
    "actions": states.ACTIONS,
    "periods": PERIODS,
}


def view(figures: Dashboard, upto: events.Last) -> View:
    """Return the view of these figures."""
    return View(figures, _cards(figures), _shares(figures), datetime.now(UTC), upto.position)


def _cards(figures: Dashboard) -> list[Card]:
    now, then, currency = figures.totals, figures.previous, figures.currency
    paid, paid_before = _paid(figures.outcomes), _paid(figures.previous_outcomes)
    return [
        _count("Orders", now.orders, then.orders),
        _money("Revenue", now.revenue, then.revenue, currency),
        _count("Paid orders", paid, paid_before),
        _money("Refunds", now.refunds, then.refunds, currency, more_is_good=False),
        _failures(now, then),
        _money(
            "Average order",
            _average(now, figures.outcomes),
            _average(then, figures.previous_outcomes),
            currency,
        ),
    ]


def _count(name: str, now: int, before: int) -> Card:
    change = formatting.change(now, before, more_is_good=True)
    return Card(name, formatting.number(now), formatting.number(before), change)


def _money(name: str, now: int, before: int, currency: str, *, more_is_good: bool = True) -> Card:
    change = formatting.change(now, before, more_is_good=more_is_good)
    shown, shown_before = formatting.headline(now, currency), formatting.headline(before, currency)
    return Card(name, shown, shown_before, change, currency)


def _failures(now: Figures, then: Figures) -> Card:
    rate, before = now.failure_rate, then.failure_rate
    change = formatting.change_of_share(rate, before, more_is_good=False)
    return Card("Failure rate", formatting.percent(rate), formatting.percent(before), change)


def _paid(outcomes: Sequence[Outcome]) -> int:
    return sum(one.orders for one in outcomes if one.status in states.CHARGED_STATUSES)


def _average(figures: Figures, outcomes: Sequence[Outcome]) -> int:
    return round(sum(one.total for one in outcomes) / figures.orders) if figures.orders else 0


def _shares(figures: Dashboard) -> list[Share]:
    """Return the best flavors first, and all others combined."""
    flavors = sorted(figures.flavors, key=lambda one: (-one.revenue, one.flavor))
    total = sum(one.revenue for one in flavors)
    most = COLORS + (len(flavors) == COLORS + 1)
    sums = [(one.name, one.quantity, one.revenue) for one in flavors[:most]]
    if rest := flavors[most:]:
        name = f"{len(rest)} others"
        sums.append((name, sum(one.quantity for one in rest), sum(one.revenue for one in rest)))
    return [Share(*one, one[2] / total if total else None) for one in sums]


def charts(view: View) -> dict[str, Any]:
    """Return the data for the charts."""
    figures = view.figures
    return {
        "currency": figures.currency,
        "digits": money.decimal_places(figures.currency),
        "sales": [
            (formatting.period(one.start, figures.interval), _number(one.revenue, figures.currency))
            for one in figures.periods
        ],
        "flavors": [
            (one.name, _number(one.revenue, figures.currency)) for one in view.shares if one.revenue
        ],
    }


def _number(minor: int, currency: str) -> float:
    return float(money.to_major_units(minor, currency))


def parts(view: View) -> dict[str, str]:
    """Return the parts that change while the page is open."""
    macros = _jinja.get_template("parts.html").module
    return {name: str(getattr(macros, name)(view)) for name in PARTS}


def data(view: View) -> dict[str, Any]:
    """Return all data for a page that is open."""
    order = view.figures.latest_orders[0].id if view.figures.latest_orders else 0
    return {
        "event": view.event,
        "order": order,
        "at": f"{view.at:%H:%M:%S}",
        "empty": view.empty,
        "parts": parts(view),
        "charts": charts(view),
    }


def whole(
    view: View, customers: list[CustomerFigures], days: Days, period: str | None, trouble: str
) -> str:
    """Return the page with its figures; `trouble` is a message about an invalid query."""
    shown = data(view)
    return _render(
        days=days,
        period=period,
        trouble=trouble,
        view=view,
        customers=customers,
        charts=shown["charts"],
        parts=shown["parts"],
        order=shown["order"],
    )


def without_figures(days: Days, period: str | None, trouble: str) -> str:
    """Return the page without figures."""
    return _render(days=days, period=period, trouble=trouble, view=None)


def for_staff() -> str:
    """Return the page for a customer, who may not see the dashboard."""
    return _jinja.get_template("for-staff.html").render()


def _render(days: Days, **values: Any) -> str:
    today = datetime.now(UTC).date()
    return _jinja.get_template("page.html").render(today=today, days=days, **values)
