"""The plan of a season: random orders with their times, users and outcomes."""

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

# The quantity of a line and the number of flavors of an order are chosen from these values.
QUANTITIES = (1, 2, 2, 3, 4, 4, 5, 6, 6, 8, 10, 12, 20)
LINE_COUNTS = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)
# How many of a thousand orders have each outcome.
OUTCOMES_PER_THOUSAND = {
    "paid": 880,
    "failed": 75,
    "canceled": 15,
    "canceled unpaid": 5,
    "refunded": 15,
    "refunded in part": 10,
}
# The outcomes of the last orders: the dashboard then shows parked and pending payments.
LAST_OUTCOMES = ("parked", "parked with a wrong amount", "pending", "pending", "pending", "pending")
# The relative number of orders on each day, from Monday to Sunday.
WEEKDAY_WEIGHTS = (0.8, 0.8, 0.9, 1.0, 1.3, 1.9, 1.7)


class PlannedOrder(Struct, frozen=True):
    """An order to place: its time, its user, its quantities by flavor id, and its outcome."""

    at: datetime
    user: int
    lines: dict[int, int]
    outcome: str

    @property
    def week(self) -> datetime:
        """The Monday of its week."""
        midnight = self.at.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=self.at.weekday())


def plan_orders(
    orders: int,
    days: int,
    *,
    users: Sequence[int],
    flavors: Sequence[int],
    seed: int,
    now: datetime,
) -> list[PlannedOrder]:
    """Plan orders, sorted by time; the first users and flavors get the most orders."""
    random_ = random.Random(seed)
    hours = [now - timedelta(hours=n) for n in range(24 * days, 0, -1)]
    order_hours = random_.choices(hours, [_hour_weight(hour) for hour in hours], k=orders)
    times = sorted(hour + timedelta(hours=random_.random()) for hour in order_hours)
    times[-len(LAST_OUTCOMES) :] = [
        now - timedelta(minutes=5 * n) for n in range(len(LAST_OUTCOMES), 0, -1)
    ]
    outcomes = random_.choices(
        list(OUTCOMES_PER_THOUSAND), list(OUTCOMES_PER_THOUSAND.values()), k=orders
    )
    outcomes[-len(LAST_OUTCOMES) :] = LAST_OUTCOMES
    buyers = random_.choices(users, _falling_weights(users), k=orders)
    return [
        PlannedOrder(at, user, _choose_lines(random_, flavors), outcome)
        for at, user, outcome in zip(
            sorted(times[-orders:]), buyers, outcomes[-orders:], strict=True
        )
    ]


def _hour_weight(at: datetime) -> float:
    """Return the relative number of orders in that hour; most are in July, on weekends, by day."""
    daylight = max(0.0, math.sin(math.pi * (at.hour - 6) / 16))
    season = math.cos(math.tau * (at.timetuple().tm_yday - 200) / 365)
    return daylight * WEEKDAY_WEIGHTS[at.weekday()] * (1 + 0.7 * season)


def _falling_weights(items: Sequence[int]) -> list[float]:
    return [1 / (n + 4) for n, _ in enumerate(items)]


def _choose_lines(random_: random.Random, flavors: Sequence[int]) -> dict[int, int]:
    chosen = random_.choices(flavors, _falling_weights(flavors), k=random_.choice(LINE_COUNTS))
    return {flavor: random_.choice(QUANTITIES) for flavor in chosen}


def sum_demand(planned: Iterable[PlannedOrder]) -> Counter[int]:
    """Return the ordered quantity of each flavor."""
    quantities: Counter[int] = Counter()
    for order in planned:
        quantities.update(order.lines)
    return quantities
