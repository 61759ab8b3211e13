"""The orders of customers, in sums, for pages about accounts."""

from collections.abc import Collection
from datetime import date, datetime

from msgspec import Struct, convert
from piccolo.query.functions import Max, Sum

from icecream import database
from icecream.tables import CurrentCustomerDay, Order

# What a page about an account shows.
MAX_LATEST_ORDERS = 10


class CustomerOrders(Struct, frozen=True):
    """The number of orders of a customer, and the day of the last one."""

    orders: int
    last_day: date | None


class ShortOrder(Struct, frozen=True):
    """An order in the list of its customer."""

    id: int
    reference: str | None
    status: str
    total: int
    refunded: int
    currency: str
    created_at: datetime


async def count_orders(users: Collection[int]) -> dict[int, CustomerOrders]:
    """Return the number of orders and the last day for those of the users who have orders.

    It reads the totals, which have a row for each day of a customer, and not the orders.
    """
    total = CurrentCustomerDay
    rows = (
        await total.select(total.user, Sum(total.orders), Max(total.day))
        .where(database.is_any(total.user, sorted(users)))
        .group_by(total.user)
    )
    return {
        row["user"]: CustomerOrders(int(row["sum"]), convert(row["max"], date | None))
        for row in rows
        if row["sum"]
    }


async def load_latest_orders(user: int) -> list[ShortOrder]:
    """Return the latest orders of a customer, the newest first."""
    columns = (
        *(Order.id, Order.reference, Order.status, Order.total, Order.refunded),
        *(Order.currency, Order.created_at),
    )
    rows = (
        await Order.select(*columns)
        .where(Order.user == user)
        .order_by(Order.id, ascending=False)
        .limit(MAX_LATEST_ORDERS)
    )
    return [ShortOrder(**row) for row in rows]
