"""The plan of a season: random orders with their times, users and fates, not yet placed."""

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

# The values from which the quantity of a line and the number of flavors of an order are drawn.
QUANTITIES = (1, 2, 2, 3, 4, 4, 5, 6, 6, 8, 10, 12, 20)
LINE_COUNTS = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)
# The fates of orders, with their frequency per thousand, and the fates of the last orders.
OUTCOMES_PER_THOUSAND = {
    "paid": 880,
    "failed": 75,
    "canceled": 15,
    "canceled unpaid": 5,
    "refunded": 15,
    "refunded in part": 10,
}
LAST_OUTCOMES = ("parked", "parked over its amount", "pending", "pending", "pending", "pending")
# How busy each day is, from Monday to Sunday.
WEEKDAY_WEIGHTS = (0.8, 0.8, 0.9, 1.0, 1.3, 1.9, 1.7)


class PlannedOrder(Struct, frozen=True):
    """An order to be placed at that time: quantities by flavor id, and the order's fate."""

    at: datetime
    user: int
    lines: dict[int, int]
    fate: str

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
    """Plan orders of the last days, sorted by time; the first users and flavors get the most."""
    chance = random.Random(seed)
    hours = [now - timedelta(hours=n) for n in range(24 * days, 0, -1)]
    busy = chance.choices(hours, [_hour_weight(hour) for hour in hours], k=orders)
    moments = sorted(hour + timedelta(hours=chance.random()) for hour in busy)
    moments[-len(LAST_OUTCOMES) :] = [
        now - timedelta(minutes=5 * n) for n in range(len(LAST_OUTCOMES), 0, -1)
    ]
    fates = chance.choices(
        list(OUTCOMES_PER_THOUSAND), list(OUTCOMES_PER_THOUSAND.values()), k=orders
    )
    fates[-len(LAST_OUTCOMES) :] = LAST_OUTCOMES
    buyers = chance.choices(users, _falling_weights(users), k=orders)
    return [
        PlannedOrder(at, user, _choose_lines(chance, flavors), fate)
        for at, user, fate in zip(sorted(moments[-orders:]), buyers, fates[-orders:], strict=True)
    ]


def _hour_weight(at: datetime) -> float:
    """Return how busy that hour is: more by day, at weekends, and most of all in July."""
    daylight = max(0.0, math.sin(math.pi * (at.hour - 6) / 16))
    season = math.cos(math.tau * (at.timetuple().tm_yday - 200) / 365)
    return daylight * WEEKDAY_WEIGHTS[at.weekday()] * (1 + 0.7 * season)


def _falling_weights(things: Sequence[int]) -> list[float]:
    return [1 / (n + 4) for n, _ in enumerate(things)]


def _choose_lines(chance: random.Random, flavors: Sequence[int]) -> dict[int, int]:
    chosen = chance.choices(flavors, _falling_weights(flavors), k=chance.choice(LINE_COUNTS))
    return {flavor: chance.choice(QUANTITIES) for flavor in chosen}


def sum_demand(planned: Iterable[PlannedOrder]) -> Counter[int]:
    """Return how much of each flavor is ordered."""
    wanted: Counter[int] = Counter()
    for one in planned:
        wanted.update(one.lines)
    return wanted
