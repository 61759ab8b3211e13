"""Sales figures from the totals: their cost does not depend on the number of orders."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct, convert
from piccolo.columns import Column
from piccolo.query import Select
from piccolo.querystring import QueryString

from icecream import database, fields, states
from icecream.feed import events
from icecream.tables import CustomerDay, DayTotal, FlavorDay, FlavorTotal, User

# The number of customers in the list of top customers.
TOP = 10
INTERVALS = ("day", "week", "month")
Interval = Annotated[str, Meta(extra_json_schema={"enum": list(INTERVALS)})]
Status = Annotated[str, Meta(extra_json_schema={"enum": list(states.ORDER)})]
Day = Annotated[date, Meta(extra_json_schema={"maxLength": 10})]
Count = Annotated[int, Meta(ge=0, le=fields.MAX_ID)]
Money = Annotated[int, Meta(ge=0, le=fields.MAX_ID, description="In minor units, such as cents.")]
Row = dict[str, Any]


class Span(Struct, frozen=True):
    """A filter for orders: placed from one UTC day on, before another day, in a status.

    None means no filter.
    """

    since: date | None = None
    until: date | None = None
    status: str | None = None


class Figures(Struct):
    """Of some orders: how many there were, of how much, what was paid and what was given back.

    `revenue` is what was charged, `refunds` what of it went back. `failure_rate` is how many of
    those that are no longer pending failed; null where there are none.
    """

    quantity: Count
    orders: Count
    revenue: Money
    refunds: Money
    failure_rate: Annotated[float, Meta(ge=0, le=1)] | None


class FlavorSales(Struct, rename={"flavor_name": "flavor__name"}):
    """All that was ever ordered of a flavor."""

    flavor_name: fields.Name
    total_qty_ordered: Count


class FlavorFigures(Figures):
    """The same for a flavor; `orders` are those with a line of it."""

    flavor: fields.Id
    name: fields.Name


class PeriodFigures(Figures):
    """The same for a day, a week or a month, which is called by its first day."""

    start: Day


class CustomerFigures(Figures):
    """The same for a customer."""

    user: fields.Id
    username: fields.Name


class Outcome(Struct):
    """How many orders there are in a status, and what they come to."""

    status: Status
    orders: Count
    total: Money


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# For a canceled order, the charged amount equals the refunded amount, or is 0.
CHARGED = (
    f"CASE WHEN {{}} IN ({_words(states.CHARGED_STATUSES)}) THEN {{}}"
    " WHEN {} = 'canceled' THEN {} ELSE 0 END"
)


def _sum(what: str, *columns: Column, alias: str) -> QueryString:
    # The sum of no rows is null, and PostgreSQL's sum of bigint is numeric.
    return QueryString(f"CAST(COALESCE(SUM({what}), 0) AS bigint)", *columns, alias=alias)


def _figures(table: Any, span: Span) -> Select[Any]:
    status, orders, refunded = table.status, table.orders, table.refunded
    query: Select[Any] = table.select(
        _sum("{}", table.quantity, alias="quantity"),
        _sum("{}", orders, alias="orders"),
        _sum(CHARGED, status, table.revenue, status, refunded, alias="revenue"),
        _sum("{}", refunded, alias="refunds"),
        _sum("CASE WHEN {} = 'failed' THEN {} ELSE 0 END", status, orders, alias="failed"),
        _sum("CASE WHEN {} = 'pending' THEN 0 ELSE {} END", status, orders, alias="ended"),
    )
    return _of(query, table, span)


def _of(query: Select[Any], table: Any, span: Span) -> Select[Any]:
    if span.status is not None:
        query = query.where(table.status == span.status)
    if span.since is not None:
        query = query.where(table.day >= span.since)
    if span.until is not None:
        query = query.where(table.day < span.until)
    return query


def _rated(row: Row) -> Row:
    failed, ended = row.pop("failed"), row.pop("ended")
    return row | {"failure_rate": failed / ended if ended else None}


def _grouped(query: Select[Any], table: Any, *by: Any) -> Select[Any]:
    """Group by these keys; groups without orders left are omitted."""
    any_left = QueryString("SUM({}) <> 0", table.orders)
    return query.columns(*by).group_by(*by).having(any_left)


async def sales() -> tuple[list[FlavorSales], events.Last]:
    """Return the original API's answer, and its last event, from one query (one snapshot)."""
    name = FlavorTotal.flavor.name
    quantity = _sum("{}", FlavorTotal.quantity, alias="total_qty_ordered")
    rows = (
        await FlavorTotal.select(name.as_alias("flavor__name"), quantity, *events.LAST)
        .group_by(name)
        .order_by(name)
    )
    upto = convert(rows[0], events.Last) if rows else events.NOTHING
    return convert(rows, list[FlavorSales]), upto


async def total(span: Span) -> Figures:
    """Return the figures of all orders, each counted once."""
    (row,) = await _figures(DayTotal, span)
    return convert(_rated(row), Figures)


async def by_period(span: Span, interval: str) -> list[PeriodFigures]:
    """Return the figures of each period with orders, in order; weeks begin on Monday."""
    start = database.first_day(interval, DayTotal.day).as_alias("start")
    rows = await _grouped(_figures(DayTotal, span), DayTotal, start).order_by(start)
    return convert([_rated(row) for row in rows], list[PeriodFigures])


async def by_flavor(span: Span) -> dict[int, Row]:
    """Return the figures of each flavor with orders, by its id."""
    table: Any = FlavorTotal if span.since is span.until is None else FlavorDay
    rows = await _grouped(_figures(table, span), table, table.flavor)
    return {row.pop("flavor"): _rated(row) for row in rows}


async def by_flavor_and_period(span: Span, interval: str) -> list[Row]:
    """Return the figures of each period and flavor with orders, in that order."""
    start = database.first_day(interval, FlavorDay.day).as_alias("start")
    query = _grouped(_figures(FlavorDay, span), FlavorDay, start, FlavorDay.flavor)
    rows = await query.order_by(start, FlavorDay.flavor)
    return [_rated(row) for row in rows]


async def by_customer(span: Span) -> list[CustomerFigures]:
    """Return the customers who paid most, at most ten."""
    user = CustomerDay.user
    query = _grouped(_figures(CustomerDay, span), CustomerDay, user)
    rows = await query.order_by(QueryString('"revenue"'), ascending=False).order_by(user).limit(TOP)
    if not rows:
        return []
    users = await User.select(User.id, User.username).where(
        User.id.is_in([row["user"] for row in rows])
    )
    name = {user["id"]: user["username"] for user in users}
    return [convert(_rated(row) | {"username": name[row["user"]]}, CustomerFigures) for row in rows]


async def by_status(span: Span) -> list[Outcome]:
    """Return the number and the sum of orders in each status."""
    query = _of(
        DayTotal.select(
            DayTotal.status,
            _sum("{}", DayTotal.orders, alias="orders"),
            _sum("{}", DayTotal.revenue, alias="total"),
        ),
        DayTotal,
        span,
    )
    found = {row["status"]: row for row in await query.group_by(DayTotal.status)}
    nothing = {"orders": 0, "total": 0}
    return [
        convert(nothing | found.get(status, {}) | {"status": status}, Outcome)
        for status in states.ORDER
    ]
