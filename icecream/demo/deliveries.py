"""The deliveries of a season: each morning the orders of the day are packed, and then delivered."""

from datetime import UTC, date, datetime, time, timedelta

from icecream.fulfilment import transitions

# The time of day (UTC) of each step.
PACKING, DELIVERY, RETURN = time(5), time(10), time(15)
# One of so many orders comes back.
ORDERS_PER_RETURN = 97


class Deliveries:
    """The orders that are still to be delivered, by day; `staff` packs and delivers them."""

    def __init__(self, staff: int) -> None:
        self._staff = staff
        # By the time of the step.
        self._due: dict[tuple[datetime, str], list[int]] = {}

    def add(self, order: int, day: date) -> None:
        """Plan the delivery of an order; it does not take place if the order is refunded before."""
        self._plan(order, day, PACKING, "packed")
        self._plan(order, day, DELIVERY, "delivered")
        if order % ORDERS_PER_RETURN == 0:
            self._plan(order, day, RETURN, "returned")

    def _plan(self, order: int, day: date, hour: time, state: str) -> None:
        at = datetime.combine(day, hour, UTC)
        self._due.setdefault((at, state), []).append(order)

    async def run(self, until: datetime) -> None:
        """Take the steps that are due until then."""
        for at, state in sorted(step for step in self._due if step[0] <= until):
            orders = self._due.pop((at, state))
            for n in range(0, len(orders), transitions.MAX_ORDERS_PER_MOVE):
                some = orders[n : n + transitions.MAX_ORDERS_PER_MOVE]
                await transitions.move(some, state, by=self._staff, at=at)


def delivery_day(placed_at: datetime, customer: int) -> date:
    """Return the day for which an order is placed: the next one, or for some shops the second."""
    return (placed_at + timedelta(days=1 + customer % 2)).date()
