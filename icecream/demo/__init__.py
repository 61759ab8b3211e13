"""Demo data: a made-up season of orders, placed, paid and refunded by the usual rules.

Orders are placed and settled in one transaction, so that no worker of a running service ever finds
their payments. No provider is called: the answers are made up here.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby

from icecream import database, settings
from icecream.catalogue import flavors, inventory
from icecream.demo.season import Planned, demand, plan
from icecream.orders import actions, placing
from icecream.payments import executor, leases, settlement
from icecream.payments.providers import Answer, Charge, Declined, Request, Succeeded
from icecream.runtime import passwords
from icecream.tables import Flavor, FlavorTotal, Order, User

# The most popular first, with the description and the price of one, in minor units.
FLAVORS = {
    "Vanilla": ("Bourbon vanilla and cream.", 250),
    "Chocolate": ("Dark, with a little salt.", 260),
    "Strawberry": ("More fruit than milk.", 260),
    "Stracciatella": ("Cream with shards of chocolate.", 270),
    "Hazelnut": ("Roasted on the day.", 290),
    "Pistachio": ("Nothing but pistachios makes it green.", 340),
    "Lemon sorbet": ("Juice, zest and water.", 220),
    "Salted caramel": ("Just before it burns.", 300),
    "Mango sorbet": ("Two mangos a tub.", 280),
    "Coffee": ("A double espresso in each scoop.", 280),
    "Coconut": ("White, with toasted flakes.", 270),
    "Rum and raisin": ("Soaked for a week.", 310),
}
PLACES = ("Harbour", "Station", "Park", "Lido", "Market", "Castle", "Riverside", "Old Town")
SHOPS = ("Kiosk", "Gelateria", "Bistro", "Bakery", "Cinema", "Hotel")
MAIL = "@demo.example"
GIVEN_BACK = ("canceled", "refunded", "refunded in part")
# The number of orders in one transaction, and the pause in seconds after it, in which a running
# server can use the database.
TOGETHER, PAUSE = 60, 0.02
# The time between a request and its answer, and the length of the leases in seconds.
ANSWERED, LEASE = timedelta(seconds=2), 60


async def make(
    orders: int, days: int, *, seed: int, again: bool, told: Callable[[int], None]
) -> Counter[str]:
    """Create a season; return the number of orders per fate.

    Args:
        again: whether to continue if there are orders already.
        told: called with the number of orders in each batch.

    Raises:
        ValueError: a season cannot be created here.
    """
    if settings.load().payment_provider != "simulated":
        raise ValueError("no season is made up where payments are real.")
    if not again and await Order.exists():
        raise ValueError("there are orders already: --yes makes a season up beside them.")
    staff = (
        await User.objects()
        .where(User.admin.eq(True), User.active.eq(True))
        .order_by(User.id)
        .first()
    )
    if staff is None:
        raise ValueError("there is nobody to receive stock: icecream user create NAME --staff")
    users, flavors, now = await _customers(), await _catalogue(staff), datetime.now(UTC)
    planned = plan(orders, days, users=users, flavors=flavors, seed=seed, now=now)
    season = _Season(staff.id, now, demand(planned), weeks=max(1, days // 7))
    return await season.run(planned, told)


async def _customers() -> list[int]:
    """Return the ids of the demo shops, which cannot sign in; create those that are missing."""
    names = [f"{place} {shop}" for shop in SHOPS for place in PLACES]
    rows = await User.select(User.username).where(User.username.is_in(names))
    missing = [name for name in names if name not in {row["username"] for row in rows}]
    if missing:
        await User.insert(*map(_customer, missing))
    # Exclude another user who has the same name.
    ours = User.username.is_in(names) & User.email.like(f"%{MAIL}")
    return [row["id"] for row in await User.select(User.id).where(ours).order_by(User.id)]


def _customer(name: str) -> User:
    mail = name.lower().replace(" ", "-") + MAIL
    return User(username=name, password=passwords.NONE, email=mail, active=True)


async def _catalogue(staff: User) -> list[int]:
    """Return the flavors by popularity; existing flavors are not changed."""
    for name, (description, price) in FLAVORS.items():
        if not await Flavor.exists().where(Flavor.name == name):
            new = flavors.NewFlavor(name, description, price, stock=0)
            await flavors.create_flavor(new, by=staff)
    sold = {one.name: one.id for one in await flavors.list_flavors(archived=False)}
    return [sold[name] for name in FLAVORS if name in sold]


class _Season:
    """A season in progress; `staff` receives stock and makes refunds."""

    def __init__(self, staff: int, now: datetime, sales: Counter[int], *, weeks: int) -> None:
        self._staff, self._now = staff, now
        # Some flavors are received for most of a week ahead, others only for the current need.
        self._ahead = {flavor: n // weeks * (flavor % 4) // 4 for flavor, n in sales.items()}
        # Orders to be canceled or refunded, with the time of that.
        self._later: list[tuple[datetime, int, Planned]] = []
        self._made: Counter[str] = Counter()

    async def run(self, planned: Sequence[Planned], told: Callable[[int], None]) -> Counter[str]:
        for monday, orders in groupby(planned, key=lambda one: one.week):
            week = list(orders)
            await database.transaction(partial(self._receive, demand(week), monday))
            for batch in (week[n : n + TOGETHER] for n in range(0, len(week), TOGETHER)):
                await self._give_back(until=batch[0].at)
                await self._sell(batch)
                told(len(batch))
                await asyncio.sleep(PAUSE)
        await self._give_back(until=self._now)
        return self._made

    async def _receive(self, sales: Counter[int], monday: datetime) -> None:
        """Receive the stock that the week will need, where stock is counted."""
        wanted = Flavor.id.is_in(sorted(sales)) & Flavor.stock.is_not_null()
        for row in await Flavor.select(Flavor.id, Flavor.stock).where(wanted).order_by(Flavor.id):
            missing = sales[row["id"]] + self._ahead[row["id"]] - row["stock"]
            if missing > 0:
                why = f"delivery of week {monday:%V}"
                await inventory.receive_stock(
                    row["id"], missing, reason=why, by=self._staff, at=monday
                )

    async def _sell(self, batch: Sequence[Planned]) -> None:
        for one, placed in await database.transaction(partial(_sold, batch)):
            self._made[one.fate] += 1
            if one.fate in GIVEN_BACK and placed.payment is not None:
                later = one.at + timedelta(hours=1 + placed.order * 7 % 100)
                heapq.heappush(self._later, (min(later, self._now), placed.order, one))

    async def _give_back(self, until: datetime) -> None:
        while self._later and self._later[0][0] <= until:
            at, order, one = heapq.heappop(self._later)
            await database.transaction(partial(_given_back, order, one, at, self._staff))


async def _sold(batch: Sequence[Planned]) -> list[tuple[Planned, placing.PlacedOrder]]:
    """Place and settle the orders; return them without those that had too little stock."""
    await _hold(demand(batch))
    wanted = [placing.OrderRequest(one.user, one.lines, at=one.at) for one in batch]
    came = zip(batch, await placing.place_orders(wanted), strict=True)
    sold = [(one, placed) for one, placed in came if isinstance(placed, placing.PlacedOrder)]
    asked = {placed.payment: one for one, placed in sold if placed.payment is not None}
    for one, placed in sold:
        if one.fate == "canceled unpaid":
            await actions.cancel_order(placed.order, by=one.user, at=one.at)
    unasked = ("canceled unpaid", "pending")
    await _settle({n: (one.at, one.fate) for n, one in asked.items() if one.fate not in unasked})
    return sold


async def _hold(flavors: Iterable[int]) -> None:
    """Lock the stock and totals once, because both the order and the answer change them."""
    ids = sorted(flavors)
    await database.locked(Flavor.select(Flavor.id).where(Flavor.id.is_in(ids)).order_by(Flavor.id))
    total = FlavorTotal
    ours = total.select(total.id).where(total.flavor.is_in(ids))
    await database.locked(ours.order_by(total.flavor, total.status))


async def _given_back(order: int, one: Planned, at: datetime, staff: int) -> None:
    await _hold(one.lines)
    if one.fate == "canceled":
        staged = await actions.cancel_order(order, by=one.user, at=at)
    else:
        amount = await _half(order) if one.fate == "refunded in part" else None
        why = "half of it had melted" if amount else "the freezer broke down"
        staged = await actions.refund_order(order, amount, reason=why, by=staff, at=at)
    await _settle(dict.fromkeys(staged, (at, one.fate)))


async def _half(order: int) -> int:
    (row,) = await Order.select(Order.total).where(Order.id == order)
    return int(row["total"] + 1) // 2


async def _settle(asked: Mapping[int, tuple[datetime, str]]) -> None:
    """Send these payments, and write their outcomes, each at its own time."""
    if not asked:
        return
    sent = {payment: at for payment, (at, _) in asked.items()}
    acquired = await leases.acquire_leases(
        sent, limit=len(sent), lease_seconds=LEASE, first_sent=sent
    )
    answers = [(lease, _answer(lease.request, asked[lease.payment][1])) for lease in acquired]
    await settlement.settle(
        [
            settlement.SettlementResult(lease, answer, at=sent[lease.payment] + ANSWERED)
            for lease, answer in answers
        ]
    )


def _answer(request: Request, fate: str) -> Answer | settlement.Parked:
    charged = isinstance(request, Charge)
    if charged and fate == "failed":
        return Declined("The bank said no.")
    if charged and fate == "parked":
        return settlement.Parked(executor.NOT_FOUND)
    # An amount that differs from the requested one is parked by the usual rules.
    moved = request.amount + 50 * (fate == "parked over its amount")
    return Succeeded(f"demo_{request.key}", moved, request.currency)
