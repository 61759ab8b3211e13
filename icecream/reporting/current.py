"""The current situation: stock, pending payments, the queue, the latest orders."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct, convert
from piccolo.columns.combination import WhereRaw
from piccolo.query.functions import Sum

from icecream import database, fields, states
from icecream.reporting.sales import Count, Money, Status
from icecream.tables import KINDS, Flavor, FlavorDay, Job, Order, OrderLine, Payment

# The number of days, including today, from which the pace of sales is computed.
PACE = 28
# Stock that lasts for fewer than LOW days is low. At most MOST_LOW flavors are listed.
LOW, MOST_LOW = 7, 10
LATEST, MOST_PARKED = 10, 20
# The same text as in the partial indexes: with a parameter instead, SQLite would not use them.
OPEN = WhereRaw("\"payment\".\"state\" IN ('new', 'sent', 'unknown', 'parked')")
PARKED = WhereRaw('"payment"."state" = \'parked\'')
Days = Annotated[float, Meta(ge=0, description="At the pace of the last 28 days.")]


class Stock(Struct):
    """What is left of a flavor, and for how many days; null where not counted or nothing sold."""

    flavor: fields.Id
    name: fields.Name
    stock: Count | None
    stock_days: Days | None
    archived: bool


class Waiting(Struct):
    """The order whose payment is pending for longest."""

    order: fields.Id
    created_at: fields.Moment
    seconds: Annotated[float, Meta(ge=0)]


class Queue(Struct):
    """What is to be done: due now, with the provider, to be tried later, parked for a person."""

    due: Count
    in_flight: Count
    later: Count
    parked: Count
    oldest_due: Annotated[float, Meta(ge=0, description="Seconds that it is late.")] | None


class Latest(Struct):
    """An order, in short."""

    id: fields.Id
    user: fields.Id
    username: fields.Name
    quantity: Count
    status: Status
    total: Money
    refunded: Money
    created_at: fields.Moment


class ParkedPayment(Struct):
    """A payment that waits for a person, and why."""

    payment: fields.Id
    order: fields.Id
    kind: fields.Word
    amount: Money
    moved: Count | None
    why: fields.Text | None
    first_sent_at: fields.Moment | None


async def stock(today: date) -> list[Stock]:
    """Return the stock of every flavor."""
    sold = await _sold(today)
    columns = (Flavor.id.as_alias("flavor"), Flavor.name, Flavor.stock, Flavor.archived)
    return [
        convert(row | {"stock_days": _days(row["stock"], sold.get(row["flavor"], 0))}, Stock)
        for row in await Flavor.select(*columns).order_by(Flavor.id)
    ]


async def _sold(today: date) -> dict[int, int]:
    rows = (
        await FlavorDay.select(FlavorDay.flavor, Sum(FlavorDay.quantity))
        .where(
            FlavorDay.day > today - timedelta(days=PACE),
            FlavorDay.status.is_in(list(states.LIVE_STATUSES)),
        )
        .group_by(FlavorDay.flavor)
    )
    return {row["flavor"]: int(row["sum"]) for row in rows}


def _days(stock: int | None, sold: int) -> float | None:
    return None if stock is None or not sold else round(stock * PACE / sold, 1)


def low(stocks: Iterable[Stock]) -> list[Stock]:
    """Return flavors on sale that are sold out or will be soon; the most urgent ones first."""
    left = [
        (0.0 if not one.stock else one.stock_days, one)
        for one in stocks
        if one.stock is not None and not one.archived
    ]
    pressing = sorted(
        ((days, one.flavor, one) for days, one in left if days is not None and days < LOW)
    )
    return [one for _, _, one in pressing[:MOST_LOW]]


async def waiting(now: datetime) -> Waiting | None:
    """Return the oldest pending order."""
    rows = (
        await Payment.select(Payment.order, Payment.order.created_at.as_alias("created_at"))
        .where(OPEN, Payment.kind == "charge")
        .order_by(Payment.order)
        .limit(1)
    )
    return next((Waiting(**row, seconds=_since(row["created_at"], now)) for row in rows), None)


def _since(then: datetime, now: datetime) -> float:
    return max(0.0, round((now - then).total_seconds(), 3))


async def queue(now: datetime) -> Queue:
    """Return the state of the queue."""
    moment = database.seconds_from_now(0)
    is_due, is_later = Job.run_at <= moment, Job.run_at > moment
    oldest = await Job.select(Job.run_at).where(is_due).order_by(Job.run_at).limit(1)
    claimed = Job.select(Job.subject).where(is_later, Job.kind.is_in(list(KINDS)))
    sent = await Payment.count().where(OPEN, Payment.state == "sent", Payment.id.is_in(claimed))
    return Queue(
        due=await Job.count().where(is_due),
        in_flight=sent,
        later=await Job.count().where(is_later) - sent,
        parked=await Payment.count().where(PARKED),
        oldest_due=_since(oldest[0]["run_at"], now) if oldest else None,
    )


async def latest() -> list[Latest]:
    """Return the latest orders, the newest one first."""
    columns: Any = (
        *(Order.id, Order.user, Order.user.username.as_alias("username"), Order.status),
        *(Order.total, Order.refunded, Order.created_at),
    )
    rows = await Order.select(*columns).order_by(Order.id, ascending=False).limit(LATEST)
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    lines = OrderLine.select(OrderLine.order, Sum(OrderLine.quantity))
    lines = lines.where(OrderLine.order.is_in(ids)).group_by(OrderLine.order)
    quantity = {row["order"]: int(row["sum"]) for row in await lines}
    return [Latest(**row, quantity=quantity[row["id"]]) for row in rows]


async def parked() -> list[ParkedPayment]:
    """Return payments that wait for manual review, the oldest ones first."""
    payment = Payment
    rows = (
        await payment.select(
            *(payment.id.as_alias("payment"), payment.order, payment.kind, payment.amount),
            *(payment.moved, payment.last_error.as_alias("why"), payment.first_sent_at),
        )
        .where(PARKED)
        .order_by(payment.id)
        .limit(MOST_PARKED)
    )
    return [ParkedPayment(**row) for row in rows]
