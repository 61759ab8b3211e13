"""The number of payments by their kind and state, for the orders of some days.

Payments that have ended are in the totals. The open ones are few, and are counted.
"""

from msgspec import Struct, convert
from piccolo.columns.combination import WhereRaw
from piccolo.query.functions import Count
from piccolo.querystring import QueryString

from icecream import database, states
from icecream.reporting import sales
from icecream.reporting.current import IS_OPEN
from icecream.reporting.day_ranges import DayRange, start_of_day
from icecream.tables import CurrentPaymentDay, Payment

# One value for each payment: with a join, PostgreSQL would begin with all orders of the days.
_PLACED_BETWEEN = (
    '(SELECT created_at >= {} AND created_at < {} FROM orders WHERE orders.id = "payment"."order")'
)


class PaymentOutcome(Struct, frozen=True):
    """The number of payments of a kind in a state, and the moved or requested amount."""

    kind: str
    state: str
    payments: int
    amount: int


async def load_payment_outcomes(days: DayRange) -> list[PaymentOutcome]:
    """Return the payments of the orders that were placed on these days."""
    found = await database.snapshot(lambda: _load(days))
    places = list(states.PAYMENT)
    return sorted(found, key=lambda one: (one.kind, places.index(one.state)))


async def _load(days: DayRange) -> list[PaymentOutcome]:
    total = CurrentPaymentDay
    amount = QueryString("COALESCE({}, {})", Payment.moved, Payment.amount)
    day = total.local_day if days.local else total.day
    ended = (
        await total.select(
            *(total.kind, total.state, sales.sum_column("{}", total.quantity, alias="payments")),
            sales.sum_column("{}", total.revenue, alias="amount"),
        )
        .where(day >= days.since, day < days.until)
        .group_by(total.kind, total.state)
    )
    since, until = (start_of_day(one, days.zone) for one in (days.since, days.until))
    open_ones = (
        await Payment.select(
            *(Payment.kind, Payment.state, Count(alias="payments")),
            sales.sum_column("{}", amount, alias="amount"),
        )
        .where(IS_OPEN, WhereRaw(_PLACED_BETWEEN, since, until))
        .group_by(Payment.kind, Payment.state)
    )
    return convert([row for row in [*ended, *open_ones] if row["payments"]], list[PaymentOutcome])
