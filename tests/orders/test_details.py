"""Test what customers may add to an order."""

from datetime import UTC, date, datetime

import pytest

from icecream import errors
from icecream.orders.details import NO_DETAILS, OrderDetails

NOON = datetime(2026, 5, 13, 12, 0, tzinfo=UTC)
EARLY = datetime(2026, 5, 13, 11, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (NOON, date(2026, 5, 13)),
        # In the west it is still the day before.
        (EARLY, date(2026, 5, 12)),
        (NOON, date(2027, 5, 14)),
    ],
)
def test_an_order_may_be_delivered_today_or_within_a_year(now: datetime, day: date) -> None:
    OrderDetails(delivery_date=day).require_possible_date(now)
    NO_DETAILS.require_possible_date(now)
    assert NO_DETAILS.delivery_date is None


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (NOON, date(2026, 5, 12)),
        (EARLY, date(2026, 5, 11)),
        (NOON, date(2027, 5, 15)),
        (NOON, date(1, 1, 1)),
        (NOON, date(9999, 12, 31)),
    ],
)
def test_another_day_is_refused_with_the_possible_days(now: datetime, day: date) -> None:
    with pytest.raises(errors.ValidationFailed, match=r"must be a day from 2026-05-1[23] to 2027-"):
        OrderDetails(delivery_date=day).require_possible_date(now)
