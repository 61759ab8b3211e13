"""Orders as CSV, for spreadsheets: streamed, so a file of any length needs little memory."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from litestar.response import Stream
from piccolo.columns import Column
from piccolo.columns.combination import WhereRaw

from icecream import money, settings
from icecream.http import bodies, openapi, pagination
from icecream.orders.http import filters
from icecream.reporting import csv_export
from icecream.tables import Order

COLUMNS = (
    *(Order.id, Order.created_at, Order.user.username.as_alias("customer"), Order.reference),
    *(Order.delivery_date, Order.status, Order.fulfilment, Order.total, Order.refunded),
)
# A page of the list would be a part of a file; and a file has its own order.
EXCLUDED_PARAMETERS = ("limit", "after", "count", "sort")
_Row = dict[str, Any]


@dataclass
class ListOperation(openapi.OperationWithCsv):
    """An operation with a list of orders."""

    csv_example = (
        "number,placed_local,placed_utc,customer,reference,delivery_date,status,"
        "fulfilment,total_eur,total_minor,refunded_eur,refunded_minor\r\n"
        "1,2025-05-13 12:22:06,2025-05-13T10:22:06Z,shop,PO-1207,2025-05-16,paid,packed,"
        "5.00,500,0.00,0\r\n"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.operation_id == "listMyOrders":
            self.summary = "List your orders, at the original API's other path"


def require_whole_list(query: Mapping[str, Any]) -> None:
    """Raise ValidationFailed for parameters that a file does not have."""
    for name in EXCLUDED_PARAMETERS:
        if name in query:
            raise pagination.invalid_parameter(name, "cannot be combined with format=csv")


async def stream_orders(order_filter: filters.OrderFilter, name: str) -> Stream:
    """Return the orders as a file of this name, the oldest first."""
    # Read the first rows before the response begins, while an error response is still possible.
    rows = await _read_rows(order_filter, None)
    text = _generate_text(order_filter, rows)
    # Litestar adds the charset.
    return Stream(text, media_type=bodies.CSV, headers=bodies.attachment(name))


async def _generate_text(order_filter: filters.OrderFilter, rows: list[_Row]) -> AsyncIterator[str]:
    currency = settings.load().currency
    yield csv_export.to_csv(_names(currency), map(_values, rows))
    while len(rows) == pagination.ROWS_PER_READ:
        rows = await _read_rows(order_filter, rows[-1])
        yield csv_export.rows_to_csv(map(_values, rows))


def _names(currency: str) -> list[str]:
    code = currency.lower()
    return [
        *("number", "placed_local", "placed_utc", "customer", "reference", "delivery_date"),
        *("status", "fulfilment"),
        *(f"total_{code}", "total_minor", f"refunded_{code}", "refunded_minor"),
    ]


def _values(row: _Row) -> Sequence[object]:
    current = settings.load()
    placed: datetime = row["created_at"]
    return (
        row["id"],
        # As spreadsheets read a time: without a zone.
        f"{placed.astimezone(current.zone):%Y-%m-%d %H:%M:%S}",
        f"{placed.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        *(row["customer"], row["reference"], row["delivery_date"]),
        *(row["status"], row["fulfilment"]),
        *(money.to_major_units(row["total"], current.currency), row["total"]),
        *(money.to_major_units(row["refunded"], current.currency), row["refunded"]),
    )


async def _read_rows(order_filter: filters.OrderFilter, last: _Row | None) -> list[_Row]:
    """Return the next rows after one, by the index that finds them."""
    by_time = _is_by_time(order_filter)
    query = Order.select(*COLUMNS).where(*filters.conditions(order_filter))
    if last is not None:
        place = '("orders"."created_at", "orders"."id") > ({}, {})'
        after = WhereRaw(place, last["created_at"], last["id"])
        query = query.where(after if by_time else Order.id > last["id"])
    keys: tuple[Column, ...] = (Order.created_at, Order.id) if by_time else (Order.id,)
    for key in keys:
        query = query.order_by(key)
    rows: list[_Row] = await query.limit(pagination.ROWS_PER_READ)
    return rows


def _is_by_time(order_filter: filters.OrderFilter) -> bool:
    """Return whether only the times restrict the orders; other filters have an index with ids."""
    others = order_filter.user, order_filter.reference, order_filter.delivery_date
    times = order_filter.created_from, order_filter.created_to
    return others == (None, None, None) and times != (None, None)
