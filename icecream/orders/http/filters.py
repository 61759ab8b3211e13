"""Lists of orders: filters and sorting."""

import re
from datetime import UTC, date, datetime
from functools import reduce
from operator import or_
from typing import Annotated

import msgspec
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import Parameter, QueryParameter
from msgspec import Meta, Struct
from piccolo.columns import Column
from piccolo.columns.combination import Or, Where, WhereRaw

from icecream import constraints, fields, states
from icecream.accounts import http as accounts_http
from icecream.database import shared_reads
from icecream.http import bodies, pagination
from icecream.orders.http import responses
from icecream.tables import MAX_REFERENCE_LENGTH, Event, Order, OrderLine

# The sort keys of lists. Order ids increase in the order of arrival, but not within a fraction of a
# second (`orders.order_ids`).
SORT_COLUMNS: dict[str, Column] = {"id": Order.id, "total": Order.total}
# Documented, not checked here: Litestar would read a number as seconds, so a year would become a
# time in 1970.
DATE_TIME_SCHEMA = {"format": "date-time", "maxLength": 35}
AwareTime = Annotated[datetime, Meta(tz=True)]
STATUS_SCHEMA = Schema(type=OpenAPIType.STRING, title="OrderStatus", enum=list(states.ORDER))
FULFILMENT_SCHEMA = Schema(
    type=OpenAPIType.STRING, title="FulfilmentState", enum=list(states.FULFILMENT)
)
# With literals: for a parameter, neither database can use the indexes of the states.
_IN_STATE = {state: WhereRaw(f'"orders"."fulfilment" = \'{state}\'') for state in states.FULFILMENT}
# The ids of the orders of a period are near each other, but do not follow the times exactly: an
# imported order is older than its neighbors. A list by id would read all orders before the period,
# and after it. So the index of times finds the first and the last id, unless there are more orders.
MAX_BOUNDED_ORDERS = 10_000
SORT_ORDERS = tuple(sign + name for name in SORT_COLUMNS for sign in ("", "-"))


class OrderFilter(Struct, frozen=True):
    """A filter and a sort order for lists of orders; None means no filter.

    `user` is an id, or None for all users. `status` and `fulfilment` hold one or several states, or
    none for any. `created_from` is inclusive, `created_to` is exclusive. `updated_from`: something
    happened to the order at this time or later.
    """

    user: int | None
    status: tuple[str, ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    flavor: int | None = None
    reference: str | None = None
    delivery_date: date | None = None
    fulfilment: tuple[str, ...] = ()
    sort: str = "id"

    @property
    def key(self) -> Column:
        """The column of the sort key."""
        return SORT_COLUMNS[self.sort.lstrip("-")]

    @property
    def is_descending(self) -> bool:
        """Whether the largest value comes first."""
        return self.sort.startswith("-")


def parse_filter(
    request: bodies.ApiRequest,
    status: Annotated[
        list[str] | None,
        QueryParameter(
            schema_extra={"items": STATUS_SCHEMA, "max_items": len(states.ORDER)},
            description="Only orders with this status; repeat it for several.",
        ),
    ] = None,
    created_from: Annotated[
        str | None,
        Parameter(
            schema_extra=DATE_TIME_SCHEMA, description="Placed at this time or later (RFC 3339)."
        ),
    ] = None,
    created_to: Annotated[
        str | None,
        Parameter(schema_extra=DATE_TIME_SCHEMA, description="Placed before this time (RFC 3339)."),
    ] = None,
    updated_from: Annotated[
        str | None,
        Parameter(
            schema_extra=DATE_TIME_SCHEMA,
            description="Placed or changed at this time or later (RFC 3339).",
        ),
    ] = None,
    flavor: Annotated[
        int | None, Parameter(ge=1, le=fields.MAX_ID, description="Only orders with this flavor.")
    ] = None,
    reference: Annotated[
        str | None,
        Parameter(
            min_length=1,
            max_length=MAX_REFERENCE_LENGTH,
            schema_extra={"pattern": fields.LINE_PATTERN},
            description="Only orders with exactly this reference.",
        ),
    ] = None,
    delivery_date: Annotated[
        str | None,
        Parameter(
            schema_extra=pagination.DAY_SCHEMA,
            description="Only orders to be delivered on this day.",
        ),
    ] = None,
    fulfilment: Annotated[
        list[str] | None,
        QueryParameter(
            schema_extra={"items": FULFILMENT_SCHEMA, "max_items": len(states.FULFILMENT)},
            description="Only orders in this state of fulfilment; repeat it for several.",
        ),
    ] = None,
    user: Annotated[
        str | None,
        Parameter(
            schema_extra=accounts_http.USER_SCHEMA,
            description="For staff: the orders of this user id, or of `all` users.",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        pagination.choice(
            "OrderSort",
            SORT_ORDERS,
            "The sort key; `-` sorts from the largest to the smallest.",
        ),
    ] = None,
) -> OrderFilter:
    """Return the filter and the sort order of a query."""
    # Nearly all calls have no query, and must not pay for this.
    if not request.scope["query_string"]:
        return OrderFilter(request.user.id)
    return OrderFilter(
        user=accounts_http.parse_user(user, request.user, of="orders"),
        status=pagination.parse_choices("status", status, states.ORDER),
        created_from=_parse_time("created_from", created_from),
        created_to=_parse_time("created_to", created_to),
        updated_from=_parse_time("updated_from", updated_from),
        flavor=flavor,
        reference=_parse_reference(reference),
        delivery_date=pagination.parse_day("delivery_date", delivery_date),
        fulfilment=pagination.parse_choices("fulfilment", fulfilment, states.FULFILMENT),
        sort=pagination.parse_choice("sort", sort, SORT_ORDERS) or "id",
    )


def _parse_time(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return msgspec.convert(text, AwareTime).astimezone(UTC)
    except msgspec.ValidationError:
        problem = f"must be {constraints.describe_type(AwareTime)}"
        raise pagination.invalid_parameter(name, problem) from None
    except OverflowError:
        raise pagination.invalid_parameter(name, "must be a time in the years 1 to 9999") from None


def _parse_reference(text: str | None) -> str | None:
    # PostgreSQL stores no text with such characters.
    if text is not None and not re.search(fields.LINE_PATTERN, text):
        raise pagination.invalid_parameter("reference", "must be text without control characters")
    return text


async def count_orders(order_filter: OrderFilter) -> int:
    """Return the number of matching orders."""
    number: int = await Order.count().where(*conditions(order_filter))
    return number


async def read_page(
    order_filter: OrderFilter, after: pagination.Cursor | None, limit: int
) -> pagination.Page:
    """Return at most `limit` orders after a place, in one query."""
    query = Order.select(*responses.ORDER_COLUMNS).where(*conditions(order_filter))
    if after is not None:
        query = query.where(_after_place(order_filter, after))
    keys = [Order.id] if order_filter.key is Order.id else [order_filter.key, Order.id]
    order_by = [(key, not order_filter.is_descending) for key in keys]
    found = await responses.read_orders(query.limit(limit + 1), order_by)
    return pagination.encode_page([view for view, _ in found], limit, order_filter.sort)


# By filter, start and limit.
SHARED_PAGES = shared_reads.SharedReads[
    tuple[OrderFilter, pagination.Cursor | None, int], pagination.Page
](lambda key: read_page(*key))


def conditions(order_filter: OrderFilter) -> list[Where | WhereRaw | Or]:
    """Return the conditions of a filter."""
    columns = {
        Order.user: order_filter.user,
        Order.reference: order_filter.reference,
        Order.delivery_date: order_filter.delivery_date,
    }
    found: list[Where | WhereRaw | Or] = [
        column == value for column, value in columns.items() if value is not None
    ]
    if order_filter.status:
        found.append(Order.status.is_in(list(order_filter.status)))
    if order_filter.fulfilment:
        found.append(reduce(or_, (_IN_STATE[state] for state in order_filter.fulfilment)))
    found += _period_conditions(order_filter)
    if order_filter.flavor is not None:
        lines = OrderLine.select(OrderLine.order).where(OrderLine.flavor == order_filter.flavor)
        found.append(Order.id.is_in(lines))
    if order_filter.updated_from is not None:
        events = Event.select(Event.order).where(Event.at >= order_filter.updated_from)
        found.append(Order.id.is_in(events))
    return found


def _period_conditions(order_filter: OrderFilter) -> list[Where | WhereRaw]:
    """Return the conditions of the time of placing, and the bounds of the ids of these orders."""
    columns = {">=": order_filter.created_from, "<": order_filter.created_to}
    times = {sign: time for sign, time in columns.items() if time is not None}
    if not times:
        return []
    period = " AND ".join(f'"orders"."created_at" {sign} {{}}' for sign in times)
    # Nothing is after the newest order.
    last = [("<=", "max", fields.MAX_ID)] if "<" in times else []
    bounds = [
        WhereRaw(
            f'"orders"."id" {sign} (SELECT CASE WHEN count(*) <= {MAX_BOUNDED_ORDERS}'
            f' THEN {function}("id") ELSE {otherwise} END FROM (SELECT "id" FROM "orders"'
            f' WHERE {period} ORDER BY "created_at" LIMIT {MAX_BOUNDED_ORDERS + 1}) "placed")',
            *times.values(),
        )
        for sign, function, otherwise in [(">=", "min", 0), *last]
    ]
    return [WhereRaw(period, *times.values()), *bounds]


def _after_place(order_filter: OrderFilter, after: pagination.Cursor) -> Or | Where:
    def passed(column: Column, value: int) -> Where:
        return column < value if order_filter.is_descending else column > value

    if order_filter.key is Order.id:
        return passed(Order.id, after.id)
    same = (order_filter.key == after.key) & passed(Order.id, after.id)
    return passed(order_filter.key, after.key) | same
