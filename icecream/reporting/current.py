"""The current situation: stock, pending payments, the queue, the latest orders."""

import math
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct, convert
from piccolo.columns.combination import WhereRaw
from piccolo.query.functions import Sum

from icecream import database, fields, states
from icecream.tables import (
    JOB_QUEUE_START,
    CurrentFlavorDay,
    Flavor,
    Job,
    Order,
    OrderLine,
    Payment,
)

# The sales pace is the average of these days, including today.
SALES_PACE_DAYS = 28
# Stock that lasts for fewer days is low: that leaves a week for a delivery.
LOW_STOCK_DAYS = 7
# The dashboard has room for so many rows of each list.
MAX_LOW_STOCK_FLAVORS = 10
MAX_LATEST_ORDERS = 10
MAX_PARKED_PAYMENTS = 20
# The same text as in the partial indexes: with a parameter instead, SQLite would not use them.
IS_OPEN = WhereRaw("\"payment\".\"state\" IN ('new', 'sent', 'unknown', 'parked')")
IS_PARKED = WhereRaw('"payment"."state" = \'parked\'')
STOCK_DAYS_HELP = "Days until the stock is sold out, at the sales pace of the last 28 days."
StockDays = Annotated[float, Meta(ge=0, description=STOCK_DAYS_HELP, title="StockDays")]
Overdue = Annotated[
    float, Meta(ge=0, description="Seconds by which the longest overdue job is late.")
]


class Stock(Struct):
    """The stock of a flavor, and the days until it is sold out; null if not counted or not sold."""

    flavor: fields.Id
    name: fields.Name
    stock: fields.NonNegativeInt | None
    stock_days: StockDays | None
    archived: bool
    low_stock_threshold: fields.NonNegativeInt | None


class Waiting(Struct):
    """The order that has been pending for the longest time."""

    order: fields.Id
    created_at: fields.Timestamp
    seconds: Annotated[float, Meta(ge=0)]


class Queue(Struct):
    """The queue of jobs: due now, in flight at the provider, scheduled for later, or parked."""

    due: fields.NonNegativeInt
    in_flight: fields.NonNegativeInt
    later: fields.NonNegativeInt
    parked: fields.NonNegativeInt
    oldest_due: Overdue | None


class Latest(Struct):
    """A short form of an order."""

    id: fields.Id
    user: fields.Id
    username: fields.Name
    quantity: fields.NonNegativeInt
    status: fields.OrderStatus
    total: fields.Amount
    refunded: fields.Amount
    created_at: fields.Timestamp


class ParkedPayment(Struct):
    """A payment that waits for a decision of staff, and the reason."""

    payment: fields.Id
    order: fields.Id
    kind: fields.Word
    amount: fields.Amount
    moved: fields.NonNegativeInt | None
    why: fields.Text | None
    first_sent_at: fields.Timestamp | None


async def load_stock(today: date) -> list[Stock]:
    """Return the stock of every flavor."""
    sold = await _load_recent_sales(today)
    columns = (
        *(Flavor.id.as_alias("flavor"), Flavor.name, Flavor.stock, Flavor.archived),
        Flavor.low_stock_threshold,
    )
    return [
        convert(row | {"stock_days": _stock_days(row["stock"], sold.get(row["flavor"], 0))}, Stock)
        for row in await Flavor.select(*columns).order_by(Flavor.id)
    ]


async def _load_recent_sales(today: date) -> dict[int, int]:
    total = CurrentFlavorDay
    rows = (
        await total.select(total.flavor, Sum(total.quantity))
        .where(
            total.day > today - timedelta(days=SALES_PACE_DAYS),
            total.status.is_in(list(states.LIVE_STATUSES)),
        )
        .group_by(total.flavor)
    )
    return {row["flavor"]: int(row["sum"]) for row in rows}


def _stock_days(stock: int | None, sold: int) -> float | None:
    return None if stock is None or not sold else round(stock * SALES_PACE_DAYS / sold, 1)


def select_low_stock(stocks: Iterable[Stock]) -> list[Stock]:
    """Return flavors on sale that are or will soon be sold out; the most urgent ones first.

    A flavor with a threshold is low at or below it; others are low if they last a few days only.
    """
    low = sorted((_days_left(one), one.flavor, one) for one in stocks if is_low(one))
    return [stock for _, _, stock in low[:MAX_LOW_STOCK_FLAVORS]]


def _days_left(stock: Stock) -> float:
    if not stock.stock:
        return 0.0
    # Without sales it lasts forever.
    return math.inf if stock.stock_days is None else stock.stock_days


def is_low(stock: Stock) -> bool:
    """Return whether a flavor that is sold is at its threshold, or sold out in a few days."""
    if stock.stock is None or stock.archived:
        return False
    if stock.stock and stock.low_stock_threshold is not None:
        return stock.stock <= stock.low_stock_threshold
    return _days_left(stock) < LOW_STOCK_DAYS


async def find_oldest_pending(now: datetime) -> Waiting | None:
    """Return the oldest pending order."""
    rows = (
        await Payment.select(Payment.order, Payment.order.created_at.as_alias("created_at"))
        .where(IS_OPEN, Payment.kind == "charge")
        .order_by(Payment.order)
        .limit(1)
    )
    return next(
        (Waiting(**row, seconds=_seconds_since(row["created_at"], now)) for row in rows), None
    )


def _seconds_since(then: datetime, now: datetime) -> float:
    return max(0.0, round((now - then).total_seconds(), 3))


async def load_queue(now: datetime) -> Queue:
    """Return the state of the queue."""
    moment = database.seconds_from_now(0)
    is_due, is_later = Job.run_at <= moment, Job.run_at > moment
    from_start = await JOB_QUEUE_START.conditions()
    oldest = await Job.select(Job.run_at).where(is_due, *from_start).order_by(Job.run_at).limit(1)
    leased = Job.select(Job.subject).where(is_later, Job.kind.is_in(list(states.PAYMENT_KINDS)))
    sent = await Payment.count().where(IS_OPEN, Payment.state == "sent", Payment.id.is_in(leased))
    return Queue(
        due=await Job.count().where(is_due, *from_start),
        in_flight=sent,
        later=await Job.count().where(is_later) - sent,
        parked=await Payment.count().where(IS_PARKED),
        oldest_due=_seconds_since(oldest[0]["run_at"], now) if oldest else None,
    )


async def load_latest_orders() -> list[Latest]:
    """Return the latest orders, the newest one first."""
    orders = Order.select(
        *(Order.id, Order.user, Order.user.username.as_alias("username"), Order.status),
        *(Order.total, Order.refunded, Order.created_at),
    )
    rows = await orders.order_by(Order.id, ascending=False).limit(MAX_LATEST_ORDERS)
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    lines = OrderLine.select(OrderLine.order, Sum(OrderLine.quantity))
    lines = lines.where(database.is_any(OrderLine.order, ids)).group_by(OrderLine.order)
    quantity = {row["order"]: int(row["sum"]) for row in await lines}
    return [Latest(**row, quantity=quantity[row["id"]]) for row in rows]


async def load_parked_payments() -> list[ParkedPayment]:
    """Return the oldest payments that wait for manual review."""
    payment = Payment
    rows = (
        await payment.select(
            *(payment.id.as_alias("payment"), payment.order, payment.kind, payment.amount),
            *(payment.moved, payment.last_error.as_alias("why"), payment.first_sent_at),
        )
        .where(IS_PARKED)
        .order_by(payment.id)
        .limit(MAX_PARKED_PAYMENTS)
    )
    return [ParkedPayment(**row) for row in rows]
