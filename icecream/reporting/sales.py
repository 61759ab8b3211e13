"""Sales figures from the totals: their cost does not depend on the number of orders."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct, convert
from piccolo.columns import Column
from piccolo.query import Select
from piccolo.querystring import QueryString
from piccolo.table import Table

from icecream import database, fields, states
from icecream.feed import events
from icecream.tables import (
    CurrentCustomerDay,
    CurrentDayTotal,
    CurrentFlavorDay,
    CurrentFlavorTotal,
    User,
)

# More customers would not fit into the dashboard's list.
MAX_TOP_CUSTOMERS = 10
INTERVALS = ("day", "week", "month")
Interval = Annotated[str, fields.words("Interval", INTERVALS)]
_FigureRow = dict[str, Any]
TotalsTable = (
    type[CurrentFlavorTotal]
    | type[CurrentFlavorDay]
    | type[CurrentCustomerDay]
    | type[CurrentDayTotal]
)


class Span(Struct, frozen=True):
    """A filter for orders: placed on `since` or later, before `until`, in a status.

    The days are UTC, or with `local` those of the installation's time zone. A field that is None
    does not filter.
    """

    since: date | None = None
    until: date | None = None
    status: str | None = None
    local: bool = False


class Figures(Struct):
    """Sums of some orders.

    `revenue` is the charged amount, and `refunds` is the refunded part of it. `failure_rate` is
    the share of failed orders among the orders that are no longer pending; null if there are none.
    """

    quantity: fields.NonNegativeInt
    orders: fields.NonNegativeInt
    revenue: fields.Amount
    refunds: fields.Amount
    failure_rate: Annotated[float, Meta(ge=0, le=1)] | None


class FlavorSales(Struct, rename={"flavor_name": "flavor__name"}):
    """The total ordered quantity of a flavor."""

    flavor_name: fields.Name
    total_qty_ordered: fields.NonNegativeInt


class FlavorFigures(Figures):
    """The figures of a flavor; `orders` counts the orders with a line of this flavor."""

    flavor: fields.Id
    name: fields.Name


class PeriodFigures(Figures):
    """The figures of a day, a week or a month; `start` is its first day."""

    start: fields.Day


class CustomerFigures(Figures):
    """The figures of a customer."""

    user: fields.Id
    username: fields.Name


class Outcome(Struct):
    """The number and the total amount of the orders in a status."""

    status: fields.OrderStatus
    orders: fields.NonNegativeInt
    total: fields.Amount


def _quote_names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# For a canceled order, the charged amount equals the refunded amount, or is 0.
CHARGED_SQL = (
    f"CASE WHEN {{}} IN ({_quote_names(states.CHARGED_STATUSES)}) THEN {{}}"
    " WHEN {} = 'canceled' THEN {} ELSE 0 END"
)

# Searched for each group, not for each row.
FLAVOR_NAME_SQL = '(SELECT "name" FROM "flavor" WHERE "id" = {})'


def sum_column(expression: str, *columns: Column | QueryString, alias: str) -> QueryString:
    """Return a sum as an integer, 0 without rows."""
    # The sum of no rows is null, and PostgreSQL's sum of bigint is numeric.
    return QueryString(f"CAST(COALESCE(SUM({expression}), 0) AS bigint)", *columns, alias=alias)


def _figures(table: TotalsTable, span: Span) -> Select[Table]:
    status, orders, refunded = table.status, table.orders, table.refunded
    query = table.select(
        sum_column("{}", table.quantity, alias="quantity"),
        sum_column("{}", orders, alias="orders"),
        sum_column(CHARGED_SQL, status, table.revenue, status, refunded, alias="revenue"),
        sum_column("{}", refunded, alias="refunds"),
        sum_column("CASE WHEN {} = 'failed' THEN {} ELSE 0 END", status, orders, alias="failed"),
        sum_column("CASE WHEN {} = 'pending' THEN 0 ELSE {} END", status, orders, alias="ended"),
    )
    return filter_by_span(query, table, span)


def filter_by_span(query: Select[Table], table: TotalsTable, span: Span) -> Select[Table]:
    """Return the query only for the rows of a span."""
    if span.status is not None:
        query = query.where(table.status == span.status)
    if issubclass(table, CurrentFlavorTotal):
        # It has no days.
        return query
    day = table.local_day if span.local else table.day
    if span.since is not None:
        query = query.where(day >= span.since)
    if span.until is not None:
        query = query.where(day < span.until)
    return query


def _day(table: type[CurrentFlavorDay] | type[CurrentDayTotal], span: Span) -> Column:
    """Return the column of the days that a span means."""
    return table.local_day if span.local else table.day


def _with_failure_rate(row: _FigureRow) -> _FigureRow:
    failed, ended = row.pop("failed"), row.pop("ended")
    return row | {"failure_rate": failed / ended if ended else None}


def _group(query: Select[Table], table: TotalsTable, *by: Column | QueryString) -> Select[Table]:
    """Group by these keys; omit groups without orders."""
    has_orders = QueryString("SUM({}) <> 0", table.orders)
    return query.columns(*by).group_by(*by).having(has_orders)


_select_flavor_sales = database.freeze(
    CurrentFlavorTotal.select(
        QueryString(FLAVOR_NAME_SQL, CurrentFlavorTotal.flavor, alias="flavor__name"),
        sum_column("{}", CurrentFlavorTotal.quantity, alias="total_qty_ordered"),
        *events.LAST_EVENT_COLUMNS,
    )
    .group_by(CurrentFlavorTotal.flavor)
    .order_by(QueryString('"flavor__name"'))
)


async def load_flavor_sales() -> tuple[list[FlavorSales], events.LastEvent]:
    """Return the original API's answer, and its last event, from one query (one snapshot)."""
    rows = await _select_flavor_sales()
    upto = convert(rows[0], events.LastEvent) if rows else events.NO_EVENT
    return convert(rows, list[FlavorSales]), upto


async def load_by_period(span: Span, interval: str) -> list[PeriodFigures]:
    """Return the figures of each period with orders, in order; weeks begin on Monday."""
    day = _day(CurrentDayTotal, span)
    start = database.start_of_period(interval, day).as_alias("start")
    rows = await _group(_figures(CurrentDayTotal, span), CurrentDayTotal, start).order_by(start)
    return convert([_with_failure_rate(row) for row in rows], list[PeriodFigures])


async def load_by_flavor(span: Span) -> dict[int, Figures]:
    """Return the figures of each flavor with orders, by the flavor's id."""
    has_days = span.since is not None or span.until is not None
    table = CurrentFlavorDay if has_days else CurrentFlavorTotal
    rows = await _group(_figures(table, span), table, table.flavor)
    return {row.pop("flavor"): Figures(**_with_failure_rate(row)) for row in rows}


async def load_by_flavor_and_period(span: Span, interval: str) -> dict[date, dict[int, Figures]]:
    """Return the figures of each flavor with orders, by period and by the flavor's id, in order."""
    day = _day(CurrentFlavorDay, span)
    start = database.start_of_period(interval, day).as_alias("start")
    query = _group(
        _figures(CurrentFlavorDay, span), CurrentFlavorDay, start, CurrentFlavorDay.flavor
    )
    figures: dict[date, dict[int, Figures]] = {}
    for row in await query.order_by(start, CurrentFlavorDay.flavor):
        start_day, flavor = convert(row.pop("start"), date), row.pop("flavor")
        figures.setdefault(start_day, {})[flavor] = Figures(**_with_failure_rate(row))
    return figures


async def load_top_customers(span: Span) -> list[CustomerFigures]:
    """Return the customers with the highest revenue."""
    user = CurrentCustomerDay.user
    query = _group(_figures(CurrentCustomerDay, span), CurrentCustomerDay, user)
    rows = (
        await query.order_by(QueryString('"revenue"'), ascending=False)
        .order_by(user)
        .limit(MAX_TOP_CUSTOMERS)
    )
    if not rows:
        return []
    users = await User.select(User.id, User.username).where(
        database.is_any(User.id, [row["user"] for row in rows])
    )
    name = {user["id"]: user["username"] for user in users}
    return [
        convert(_with_failure_rate(row) | {"username": name[row["user"]]}, CustomerFigures)
        for row in rows
    ]


async def load_customers(users: Sequence[int]) -> dict[int, Figures]:
    """Return the figures of those of these customers who have orders."""
    user = CurrentCustomerDay.user
    query = _group(_figures(CurrentCustomerDay, Span()), CurrentCustomerDay, user)
    rows = await query.where(database.is_any(user, users))
    return {row.pop("user"): Figures(**_with_failure_rate(row)) for row in rows}
