"""Sample data: a season of orders that are placed, paid, delivered and refunded by the usual rules.

Orders are placed and settled in one transaction, so that no worker of a running service finds
their payments. No provider is called; this module generates the answers.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby

from msgspec import UNSET

from icecream import database, settings
from icecream.catalogue import flavors, inventory
from icecream.demo.deliveries import Deliveries, delivery_day
from icecream.demo.season import PlannedOrder, plan_orders, sum_demand
from icecream.orders import actions, placing
from icecream.orders.details import OrderDetails
from icecream.orders.refunded_goods import RefundedGoods
from icecream.payments import leases, provider_calls, settlement
from icecream.payments.providers import Answer, Charge, Declined, Request, Succeeded
from icecream.runtime import passwords
from icecream.tables import Flavor, Order, User

# The most popular flavors first, each with its description, its price in minor units, and its
# allergens.
FLAVORS = {
    "Vanilla": ("Bourbon vanilla and cream.", 250, ("eggs", "milk")),
    "Chocolate": ("Dark, with a little salt.", 260, ("soybeans", "milk")),
    "Strawberry": ("More fruit than milk.", 260, ("milk",)),
    "Stracciatella": ("Cream with shards of chocolate.", 270, ("soybeans", "milk")),
    "Hazelnut": ("Roasted on the day.", 290, ("milk", "nuts")),
    "Pistachio": ("Nothing but pistachios makes it green.", 340, ("milk", "nuts")),
    "Lemon sorbet": ("Juice, zest and water.", 220, ()),
    "Salted caramel": ("Just before it burns.", 300, ("milk",)),
    "Mango sorbet": ("Two mangos a tub.", 280, ()),
    "Coffee": ("A double espresso in each scoop.", 280, ("milk",)),
    "Coconut": ("White, with toasted flakes.", 270, ("milk",)),
    "Rum and raisin": ("Soaked for a week.", 310, ("eggs", "milk", "sulphites")),
}
TUB_MILLILITRES = 5000
PLACES = ("Harbour", "Station", "Park", "Lido", "Market", "Castle", "Riverside", "Old Town")
SHOPS = ("Kiosk", "Gelateria", "Bistro", "Bakery", "Cinema", "Hotel")
EMAIL_DOMAIN = "@demo.example"
DELIVERED_OUTCOMES = ("paid", "refunded", "refunded in part")
REFUNDED_OUTCOMES = ("canceled", "refunded", "refunded in part")
MAX_ORDERS_PER_TRANSACTION = 60
# A running server can use the database in this pause after each transaction.
PAUSE_SECONDS = 0.02
# The time between a provider's request and its answer.
RESPONSE_TIME = timedelta(seconds=2)
# Longer than any of these transactions takes.
LEASE_SECONDS = 60


async def create_season(
    orders: int, days: int, *, seed: int, allow_existing: bool, on_batch: Callable[[int], None]
) -> Counter[str]:
    """Create a season, and return the number of orders by outcome.

    Args:
        allow_existing: whether to continue if orders exist.
        on_batch: called after each batch with its number of orders.

    Raises:
        ValueError: a season cannot be created here.
    """
    if settings.load().payment_provider != "simulated":
        raise ValueError("sample data can be created only with simulated payments.")
    if not allow_existing and await Order.exists():
        raise ValueError("there are orders already: --yes creates a season next to them.")
    staff = (
        await User.objects()
        .where(User.admin.eq(True), User.active.eq(True))
        .order_by(User.id)
        .first()
    )
    if staff is None:
        raise ValueError(
            "there is no staff user to receive stock: icecream user create NAME --staff"
        )
    users, flavors, now = (
        await _create_customers(),
        await _create_catalogue(staff),
        datetime.now(UTC),
    )
    planned = plan_orders(orders, days, users=users, flavors=flavors, seed=seed, now=now)
    season = _Season(staff.id, now, sum_demand(planned), weeks=max(1, days // 7))
    return await season.run(planned, on_batch)


async def _create_customers() -> list[int]:
    """Return the ids of the demo shops, which cannot sign in; create those that are missing."""
    names = [f"{place} {shop}" for shop in SHOPS for place in PLACES]
    rows = await User.select(User.username).where(User.username.is_in(names))
    missing = [name for name in names if name not in {row["username"] for row in rows}]
    if missing:
        await User.insert(*map(_new_customer, missing))
    # Exclude another user who has the same name.
    is_customer = User.username.is_in(names) & User.email.like(f"%{EMAIL_DOMAIN}")
    return [row["id"] for row in await User.select(User.id).where(is_customer).order_by(User.id)]


def _new_customer(name: str) -> User:
    mail = name.lower().replace(" ", "-") + EMAIL_DOMAIN
    return User(username=name, password=passwords.UNMATCHABLE_HASH, email=mail, active=True)


async def _create_catalogue(staff: User) -> list[int]:
    """Return the flavors by popularity; existing flavors are not changed."""
    for number, (name, (description, price, allergens)) in enumerate(FLAVORS.items(), start=1):
        sku = f"DEMO-{number:02}"
        if not await Flavor.exists().where(Flavor.name == name):
            new = flavors.NewFlavor(
                name=name,
                description=description,
                price=price,
                stock=0,
                sku=UNSET if await Flavor.exists().where(Flavor.sku == sku) else sku,
                unit="tub",
                net_content_ml=TUB_MILLILITRES,
                allergens=list(allergens),
            )
            await flavors.create_flavor(new, by=staff)
    ids = {flavor.name: flavor.id for flavor in await flavors.list_flavors(on_sale=True)}
    return [ids[name] for name in FLAVORS if name in ids]


class _Season:
    """A season in progress; `staff` receives stock and makes refunds."""

    def __init__(self, staff: int, now: datetime, sales: Counter[int], *, weeks: int) -> None:
        self._staff, self._now = staff, now
        self._deliveries = Deliveries(staff)
        # Some flavors are received for most of a week in advance, others only for the current need.
        self._surplus = {flavor: n // weeks * (flavor % 4) // 4 for flavor, n in sales.items()}
        # Orders to cancel or refund, each with its time.
        self._later: list[tuple[datetime, int, PlannedOrder]] = []
        self._counts: Counter[str] = Counter()

    async def run(
        self, planned: Sequence[PlannedOrder], on_batch: Callable[[int], None]
    ) -> Counter[str]:
        for monday, orders in groupby(planned, key=lambda order: order.week):
            week = list(orders)
            await database.transaction(partial(self._receive, sum_demand(week), monday))
            for batch in (
                week[n : n + MAX_ORDERS_PER_TRANSACTION]
                for n in range(0, len(week), MAX_ORDERS_PER_TRANSACTION)
            ):
                await self._end_orders(until=batch[0].at)
                await self._sell(batch)
                on_batch(len(batch))
                await asyncio.sleep(PAUSE_SECONDS)
        await self._end_orders(until=self._now)
        return self._counts

    async def _receive(self, sales: Counter[int], monday: datetime) -> None:
        """Receive the stock that the week needs, for flavors with counted stock."""
        counted = Flavor.id.is_in(sorted(sales)) & Flavor.stock.is_not_null()
        for row in await Flavor.select(Flavor.id, Flavor.stock).where(counted).order_by(Flavor.id):
            missing = sales[row["id"]] + self._surplus[row["id"]] - row["stock"]
            if missing > 0:
                reason = f"delivery of week {monday:%V}"
                await inventory.receive_stock(
                    row["id"], missing, reason=reason, by=self._staff, at=monday
                )

    async def _sell(self, batch: Sequence[PlannedOrder]) -> None:
        for planned, placed in await database.transaction(partial(_place_and_settle, batch)):
            self._counts[planned.outcome] += 1
            if planned.outcome in DELIVERED_OUTCOMES:
                self._deliveries.add(placed.order, delivery_day(planned.at, planned.user))
            if planned.outcome in REFUNDED_OUTCOMES and placed.payment is not None:
                later = planned.at + timedelta(hours=1 + placed.order * 7 % 100)
                heapq.heappush(self._later, (min(later, self._now), placed.order, planned))

    async def _end_orders(self, until: datetime) -> None:
        while self._later and self._later[0][0] <= until:
            at, order, planned = heapq.heappop(self._later)
            await self._deliveries.run(at)
            await database.transaction(partial(_cancel_or_refund, order, planned, at, self._staff))
        await self._deliveries.run(until)


async def _place_and_settle(
    batch: Sequence[PlannedOrder],
) -> list[tuple[PlannedOrder, placing.PlacedOrder]]:
    """Place and settle the orders; return those for which there was enough stock."""
    await _lock_stock(sum_demand(batch))
    new_orders = [
        placing.OrderRequest(
            planned.user, planned.lines, details=_plan_delivery(planned), at=planned.at
        )
        for planned in batch
    ]
    results = zip(batch, await placing.place_orders(new_orders), strict=True)
    sold = [
        (planned, placed) for planned, placed in results if isinstance(placed, placing.PlacedOrder)
    ]
    requests = {placed.payment: planned for planned, placed in sold if placed.payment is not None}
    for planned, placed in sold:
        if planned.outcome == "canceled unpaid":
            await actions.cancel_order(placed.order, by=planned.user, at=planned.at)
    not_sent = ("canceled unpaid", "pending")
    await _settle(
        {
            n: (planned.at, planned.outcome)
            for n, planned in requests.items()
            if planned.outcome not in not_sent
        }
    )
    return sold


def _plan_delivery(planned: PlannedOrder) -> OrderDetails:
    return OrderDetails(
        reference=f"PO-{planned.at:%y%m%d}-{planned.user}",
        delivery_date=delivery_day(planned.at, planned.user),
    )


async def _lock_stock(flavors: Iterable[int]) -> None:
    """Lock the stock once, because an order and its settlement both change it."""
    await database.for_no_key_update(
        Flavor.select(Flavor.id).where(Flavor.id.is_in(sorted(flavors))).order_by(Flavor.id)
    )


async def _cancel_or_refund(order: int, planned: PlannedOrder, at: datetime, staff: int) -> None:
    await _lock_stock(planned.lines)
    if planned.outcome == "canceled":
        staged = await actions.cancel_order(order, by=planned.user, at=at)
    else:
        amount = await _half_total(order) if planned.outcome == "refunded in part" else None
        reason = "half of the delivery had melted" if amount else "the freezer broke down"
        goods = RefundedGoods("melted" if amount else "other")
        staged = await actions.refund_order(
            order, amount, reason=reason, by=staff, at=at, goods=goods
        )
    await _settle(dict.fromkeys(staged, (at, planned.outcome)))


async def _half_total(order: int) -> int:
    (row,) = await Order.select(Order.total).where(Order.id == order)
    return int(row["total"] + 1) // 2


async def _settle(requests: Mapping[int, tuple[datetime, str]]) -> None:
    """Send these payments, and write their results, each at its own time."""
    if not requests:
        return
    sent = {payment: at for payment, (at, _) in requests.items()}
    acquired = await leases.acquire_leases(
        sent, limit=len(sent), lease_seconds=LEASE_SECONDS, first_sent=sent
    )
    answers = [
        (lease, _provider_answer(lease.request, requests[lease.payment][1])) for lease in acquired
    ]
    await settlement.settle(
        [
            settlement.SettlementResult(lease, answer, at=sent[lease.payment] + RESPONSE_TIME)
            for lease, answer in answers
        ]
    )


def _provider_answer(request: Request, outcome: str) -> Answer | settlement.Parked:
    is_charge = isinstance(request, Charge)
    if is_charge and outcome == "failed":
        return Declined("The bank declined the card.")
    if is_charge and outcome == "parked":
        return settlement.Parked(provider_calls.NOT_FOUND)
    # By the usual rules, a payment with another amount than requested is parked.
    surplus = 50 if outcome == "parked with a wrong amount" else 0
    return Succeeded(f"demo_{request.key}", request.amount + surplus, request.currency)
