"""Searching orders for the list of staff: the newest first, by indexes only.

A page reads candidates from an index, a bounded number of them, and keeps those that match all
filters. So a page of a million orders costs as much as a page of a thousand. If the candidates of
a page do not fill it, the next page begins after the last candidate.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct
from piccolo.columns.combination import WhereRaw
from piccolo.query import Select
from piccolo.query.functions import Count, Sum

from icecream import database, states
from icecream.reporting import by_status, sales
from icecream.staff import order_sources
from icecream.staff.order_sources import CandidateSource, Condition, OrderSearch
from icecream.tables import Order

PAGE_SIZE = 50
# The candidates of the reads for one page. Most pages are full after the first read; all of them
# together take some 30 ms.
WINDOWS = (200, 2_000, 7_800)


class ListedOrder(Struct, frozen=True):
    """An order in the list."""

    id: int
    customer: str
    user: int
    status: str
    fulfilment: str
    total: int
    refunded: int
    cancel_requested: bool
    created_at: datetime
    reference: str | None
    delivery_date: date | None


class FoundOrders(Struct, frozen=True):
    """Some orders, the newest first, and the ids after which the list continues on both sides."""

    orders: list[ListedOrder]
    newer_than: int | None
    older_than: int | None


class OrderTotals(Struct, frozen=True):
    """The number of orders, and the sum of their totals."""

    orders: int
    total: int


COLUMNS = (
    *(Order.id, Order.user.username.as_alias("customer"), Order.user, Order.status),
    *(Order.fulfilment, Order.total, Order.refunded, Order.cancel_requested),
    *(Order.created_at, Order.reference, Order.delivery_date),
)


async def read_page(
    search: OrderSearch, *, older_than: int | None = None, newer_than: int | None = None
) -> FoundOrders:
    """Return the newest orders, or those next to an order on one side."""
    is_older = newer_than is None
    start = older_than if is_older else newer_than
    place, customers = start, await order_sources.find_customers(search.text)
    sources = order_sources.choose_sources(search, customers)
    # The sources of a search cover the same fields.
    conditions = order_sources.conditions_of(search, sources[0].covers)
    found: list[int] = []
    more: int | None = None
    for limit in WINDOWS if conditions else (PAGE_SIZE + 1,):
        ids = await _read_ids(sources, place, limit, is_older=is_older)
        found += await _select(ids, conditions) if conditions else ids
        more = place = ids[-1] if len(ids) == limit else None
        if place is None or len(found) > PAGE_SIZE:
            break
    if len(found) > PAGE_SIZE:
        found = found[:PAGE_SIZE]
        more = found[-1]
    # Behind an empty page, the list goes back to the order where it came from.
    back = None if start is None else (found[0] if found else start)
    orders = await _load(found)
    return FoundOrders(orders, back, more) if is_older else FoundOrders(orders[::-1], more, back)


async def _read_ids(
    sources: Sequence[CandidateSource], place: int | None, limit: int, *, is_older: bool
) -> list[int]:
    """Return the next candidates behind a place, at most `limit` of them."""
    if len(sources) == 1 and sources[0].is_by_time:
        return await _read_ids_by_time(sources[0].query, place, limit, is_older=is_older)
    found: set[int] = set()
    for source in sources:
        query, column = source.query, source.column
        if place is not None:
            query = query.where(column < place if is_older else column > place)
        rows = await query.order_by(column, ascending=not is_older).limit(limit)
        found.update(value for row in rows for value in row.values())
    return sorted(found, reverse=is_older)[:limit]


async def _read_ids_by_time(
    query: Select[Any], place: int | None, limit: int, *, is_older: bool
) -> list[int]:
    """Return the next candidates by their times: ids need not increase with the time."""
    at = await Order.select(Order.created_at).where(Order.id == place).first() if place else None
    if at is not None:
        side = "<" if is_older else ">"
        behind = f'("orders"."created_at", "orders"."id") {side} ({{}}, {{}})'
        query = query.where(WhereRaw(behind, at["created_at"], place))
    for key in (Order.created_at, Order.id):
        query = query.order_by(key, ascending=not is_older)
    return [row["id"] for row in await query.limit(limit)]


async def _select(ids: Sequence[int], conditions: Sequence[Condition]) -> list[int]:
    """Return the candidates that fulfil the conditions, in the same order."""
    if not ids:
        return []
    rows = await Order.select(Order.id).where(database.is_any(Order.id, ids), *conditions)
    found = {row["id"] for row in rows}
    return [one for one in ids if one in found]


async def _load(ids: Sequence[int]) -> list[ListedOrder]:
    """Return these orders, in the same order."""
    found = {order.id: order for order in await read_orders(ids)} if ids else {}
    return [found[one] for one in ids if one in found]


async def read_orders(ids: Sequence[int]) -> list[ListedOrder]:
    """Return these orders, the oldest first; ids without an order are left out."""
    query = Order.select(*COLUMNS).where(database.is_any(Order.id, ids))
    return [ListedOrder(**row) for row in await query.order_by(Order.id)]


async def read_totals(search: OrderSearch) -> OrderTotals:
    """Return the totals of all orders of a list; they cost little if `has_totals`."""
    if search.has_totals:
        return await _read_kept_totals(search)
    conditions = order_sources.conditions_of(search)
    if search.text:
        customers = await order_sources.find_customers(search.text)
        is_found: Any = database.is_any(Order.user, customers) if customers else None
        for match in order_sources.text_conditions(search.text):
            is_found = match if is_found is None else is_found | match
        conditions.append(is_found)
    query = Order.select(Count(alias="orders"), Sum(Order.total, alias="total"))
    row = await query.where(*conditions).first()
    assert row is not None
    return OrderTotals(int(row["orders"]), int(row["total"] or 0))


async def _read_kept_totals(search: OrderSearch) -> OrderTotals:
    until = search.placed_to and search.placed_to + timedelta(1)
    sums = [
        one
        for one in await by_status.load_sums(sales.Span(search.placed_from, until, local=True))
        if one.status in (search.statuses or states.ORDER)
    ]
    return OrderTotals(sum(one.orders for one in sums), sum(one.revenue for one in sums))
