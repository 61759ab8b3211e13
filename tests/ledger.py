"""What must always hold, read straight from the tables."""

from collections import Counter

from icecream import states
from icecream.tables import DayTotal, FlavorDay, FlavorTotal, Job, Order, OrderLine, Payment

Key = tuple[object, ...]


async def check() -> None:
    """Totals equal a recount; every unfinished order has its job; none is paid twice."""
    lines = await OrderLine.select(
        OrderLine.quantity,
        OrderLine.unit_price,
        OrderLine.flavor,
        OrderLine.order.id.as_alias("order"),
        OrderLine.order.status.as_alias("status"),
        OrderLine.order.created_at.as_alias("created_at"),
    )
    flavors: Counter[Key] = Counter()
    flavor_days: Counter[Key] = Counter()
    for line in lines:
        revenue = line["quantity"] * line["unit_price"]
        day = line["created_at"].date()
        for sums, key in (
            (flavors, (line["flavor"], line["status"])),
            (flavor_days, (line["flavor"], day, line["status"])),
        ):
            sums[*key, "quantity"] += line["quantity"]
            sums[*key, "revenue"] += revenue
    days: Counter[Key] = Counter()
    for order in await Order.select():
        key = (order["created_at"].date(), order["status"])
        days[*key, "orders"] += 1
        days[*key, "revenue"] += order["total"]
    assert await _stored(FlavorTotal, "flavor", "status") == _nonzero(flavors)
    assert await _stored(FlavorDay, "flavor", "day", "status") == _nonzero(flavor_days)
    assert await _stored(DayTotal, "day", "status") == _nonzero(days)
    await _check_payments()


def _nonzero(counted: Counter[Key]) -> dict[Key, int]:
    return {key: number for key, number in counted.items() if number}


async def _stored(table: type[FlavorTotal | FlavorDay | DayTotal], *keys: str) -> dict[Key, int]:
    counted: Counter[Key] = Counter()
    for row in await table.select():
        for name, value in row.items():
            if name not in (*keys, "id"):
                counted[*(row[key] for key in keys), name] = value
    return _nonzero(counted)


async def _check_payments() -> None:
    waiting = {job["subject"] for job in await Job.select(Job.subject)}
    orders = {order["id"]: order for order in await Order.select()}
    charged: Counter[int] = Counter()
    for payment in await Payment.select():
        order = orders[payment["order"]]
        charged[order["id"]] += payment["state"] == "succeeded"
        open_ = payment["state"] in states.unfinished(states.PAYMENT)
        assert open_ == (payment["id"] in waiting), payment
        assert open_ == (order["status"] == "pending"), (payment, order)
        assert payment["amount"] == order["total"]
    for order in orders.values():
        paid_for = order["status"] == "paid" and order["total"] > 0
        assert charged[order["id"]] == int(paid_for), order
