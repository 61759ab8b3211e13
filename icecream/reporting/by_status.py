"""Sums of orders by their status: the other figures of a period follow from them."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct, convert
from piccolo.query import Select
from piccolo.table import Table

from icecream import states
from icecream.reporting import sales
from icecream.tables import SECONDS_PER_QUARTER, CurrentDayTotal, CurrentQuarterTotal


class StatusSums(Struct, frozen=True):
    """The sums of the orders in a status."""

    status: str
    quantity: int
    orders: int
    revenue: int
    refunded: int


async def load_sums(span: sales.Span) -> list[StatusSums]:
    """Return the sums of all orders by status; an order counts once."""
    query = sales.filter_by_span(_sums_by_status(CurrentDayTotal), CurrentDayTotal, span)
    return convert(await query, list[StatusSums])


async def load_between(since: datetime, until: datetime) -> list[StatusSums]:
    """Return the sums of all orders between two times, rounded down to quarters of an hour."""
    quarter = CurrentQuarterTotal.quarter
    query = _sums_by_status(CurrentQuarterTotal).where(
        quarter >= int(since.timestamp()) // SECONDS_PER_QUARTER,
        quarter < int(until.timestamp()) // SECONDS_PER_QUARTER,
    )
    return convert(await query, list[StatusSums])


def _sums_by_status(table: type[CurrentDayTotal] | type[CurrentQuarterTotal]) -> Select[Table]:
    names = ("quantity", "orders", "revenue", "refunded")
    sums = (sales.sum_column("{}", getattr(table, name), alias=name) for name in names)
    return table.select(table.status, *sums).group_by(table.status)


def sum_up(rows: Iterable[StatusSums]) -> sales.Figures:
    """Return the figures of these orders; the same status may occur several times."""
    rows = list(rows)
    failed = sum(row.orders for row in rows if row.status == "failed")
    ended = sum(row.orders for row in rows if row.status != "pending")
    return sales.Figures(
        quantity=sum(row.quantity for row in rows),
        orders=sum(row.orders for row in rows),
        revenue=sum(map(_charged, rows)),
        refunds=sum(row.refunded for row in rows),
        failure_rate=failed / ended if ended else None,
    )


def _charged(row: StatusSums) -> int:
    """Return the charged amount, as `CHARGED_SQL` does."""
    if row.status == "canceled":
        return row.refunded
    return row.revenue if row.status in states.CHARGED_STATUSES else 0


def to_outcomes(rows: Iterable[StatusSums]) -> list[sales.Outcome]:
    """Return the number and the sum of orders in each status."""
    rows = list(rows)
    return [
        sales.Outcome(
            status=status,
            orders=sum(row.orders for row in rows if row.status == status),
            total=sum(row.revenue for row in rows if row.status == status),
        )
        for status in states.ORDER
    ]
