"""The packing list of a day: what has to leave the store, by flavor and by customer.

It has the paid orders that are not delivered yet: only they can be packed. The number of queries is
the same for any number of orders, and all of them see one snapshot.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from operator import attrgetter

from msgspec import Struct
from piccolo.columns.combination import Where

from icecream import database, states
from icecream.payments import refunded_lines
from icecream.reporting.day_ranges import start_of_day
from icecream.tables import Flavor, Order, OrderLine, User

# The states of orders that are still to be delivered.
OPEN_FULFILMENT = ("unfulfilled", "packed")
# More orders make no list that people read; the list then says that it is not complete.
MAX_ORDERS = 10_000
# Orders without a delivery date are found by their time, because most of them are old.
DAYS_WITHOUT_DATE = 31


class Article(Struct, frozen=True):
    """What a quantity of a flavor is."""

    flavor: int
    name: str
    sku: str | None
    unit: str | None
    pack_size: int | None


class PackingLine(Struct, frozen=True):
    """The quantity of a flavor that an order still gets."""

    article: Article
    quantity: int


class PackingOrder(Struct):
    """An order to pack and deliver."""

    id: int
    reference: str | None
    note: str | None
    fulfilment: str
    lines: list[PackingLine]


class PackingCustomer(Struct, frozen=True):
    """A customer and its orders."""

    user: int
    name: str
    orders: list[PackingOrder]


class FlavorQuantity(Struct, frozen=True):
    """The quantity of a flavor in all orders, and the part of it that is packed already."""

    article: Article
    quantity: int
    packed: int
    orders: int


class PackingList(Struct, frozen=True):
    """The orders of a day, or those without a delivery date that were placed from a day on.

    `pending` is the number of orders that are not on the list, because their payment has not ended.
    `is_complete` is False if there are more orders than a list has.
    """

    day: date | None
    placed_from: date | None
    is_complete: bool
    pending: int
    flavors: list[FlavorQuantity]
    customers: list[PackingCustomer]

    @property
    def orders(self) -> int:
        """The number of orders on the list."""
        return sum(len(customer.orders) for customer in self.customers)


class _OpenOrder(Struct):
    """An order that was read: the customer, and the quantities by flavor."""

    user: int
    order: PackingOrder
    quantities: dict[int, int]


async def load(
    day: date | None, *, placed_from: date | None = None, zone: tzinfo = UTC
) -> PackingList:
    """Return the packing list of a delivery date.

    Args:
        day: the delivery date; None for the orders without one.
        placed_from: without a delivery date, only orders that were placed on this day or later; by
            default within the last month.
        zone: the time zone of `placed_from`.
    """
    if day is None and placed_from is None:
        placed_from = datetime.now(zone).date() - timedelta(days=DAYS_WITHOUT_DATE)
    return await database.snapshot(partial(_load, day, placed_from, zone))


async def _load(day: date | None, placed_from: date | None, zone: tzinfo) -> PackingList:
    wanted = _conditions(day, placed_from, zone)
    found = await _read_orders(wanted)
    pending: int = await Order.count().where(*wanted, Order.status == "pending")
    if not found:
        return PackingList(day, placed_from, True, pending, [], [])
    refunded = await refunded_lines.read_quantities([one.order.id for one in found])
    for one in found:
        one.quantities = refunded_lines.subtract_quantities(
            one.quantities, refunded.get(one.order.id, {})
        )
    articles = await _read_articles({flavor for one in found for flavor in one.quantities})
    names = await _read_names({one.user for one in found})
    shown = [one for one in found[:MAX_ORDERS] if one.quantities]
    for one in shown:
        lines = (PackingLine(articles[flavor], n) for flavor, n in one.quantities.items())
        one.order.lines = sorted(lines, key=lambda line: line.article.name)
    return PackingList(
        day,
        placed_from,
        is_complete=len(found) <= MAX_ORDERS,
        pending=pending,
        flavors=_sum_flavors(shown, articles),
        customers=_group_by_customer(shown, names),
    )


def _conditions(day: date | None, placed_from: date | None, zone: tzinfo) -> list[Where]:
    """Return the conditions of the list's orders, except for their status."""
    is_open = Order.fulfilment.is_in(list(OPEN_FULFILMENT))
    if day is not None:
        return [Order.delivery_date == day, is_open]
    assert placed_from is not None
    placed = Order.created_at >= start_of_day(placed_from, zone)
    return [placed, Order.delivery_date.is_null(), is_open]


async def _read_orders(wanted: Sequence[Where]) -> list[_OpenOrder]:
    query = Order.select(Order.id, Order.user, Order.reference, Order.note, Order.fulfilment).where(
        *wanted,
        Order.status.is_in(list(states.DELIVERABLE_STATUSES)),
        Order.cancel_requested.eq(False),
    )
    rows = await database.select_with_children(
        query.limit(MAX_ORDERS + 1),
        OrderLine.order,
        (OrderLine.flavor, OrderLine.quantity),
        order_by=[(Order.id, True)],
    )
    found: dict[int, _OpenOrder] = {}
    for order, user, reference, note, fulfilment, flavor, quantity in rows:
        if order not in found:
            view = PackingOrder(order, reference, note, fulfilment, [])
            found[order] = _OpenOrder(user, view, {})
        found[order].quantities[flavor] = quantity
    return list(found.values())


async def _read_articles(flavors: Collection[int]) -> dict[int, Article]:
    query = Flavor.select(Flavor.id, Flavor.name, Flavor.sku, Flavor.unit, Flavor.pack_size)
    rows = await query.where(database.is_any(Flavor.id, sorted(flavors)))
    return {row["id"]: Article(*row.values()) for row in rows}


async def _read_names(users: Collection[int]) -> dict[int, str]:
    rows = await User.select(User.id, User.username).where(database.is_any(User.id, sorted(users)))
    return {row["id"]: row["username"] for row in rows}


def _sum_flavors(
    found: Sequence[_OpenOrder], articles: Mapping[int, Article]
) -> list[FlavorQuantity]:
    quantities, packed, orders = Counter[int](), Counter[int](), Counter[int]()
    for one in found:
        quantities.update(one.quantities)
        orders.update(one.quantities.keys())
        if one.order.fulfilment == "packed":
            packed.update(one.quantities)
    sums = [
        FlavorQuantity(articles[flavor], quantity, packed[flavor], orders[flavor])
        for flavor, quantity in quantities.items()
    ]
    return sorted(sums, key=attrgetter("article.name"))


def _group_by_customer(
    found: Sequence[_OpenOrder], names: Mapping[int, str]
) -> list[PackingCustomer]:
    orders: dict[int, list[PackingOrder]] = {}
    for one in found:
        orders.setdefault(one.user, []).append(one.order)
    customers = [PackingCustomer(user, names[user], theirs) for user, theirs in orders.items()]
    return sorted(customers, key=lambda customer: (customer.name, customer.user))
