"""Test the event history of an order."""

from datetime import UTC, datetime

import msgspec
import pytest

from icecream.feed import order_history
from icecream.tables import Event
from tests.conftest import Caller, place

pytestmark = pytest.mark.anyio


async def test_a_history_begins_with_the_placing_user_and_has_consecutive_events(
    customer: Caller, flavor: int
) -> None:
    placed = await place(customer.user.id, {flavor: 2})
    at = datetime.now(UTC)
    await order_history.record_events(
        [order_history.OrderEvent(placed.order, "noted", {"why": "tést"})], at=at
    )
    rows = await Event.select().where(Event.order == placed.order).order_by(Event.seq)
    assert [(row["seq"], row["type"], row["by"]) for row in rows] == [
        (1, "placed", customer.user.id),
        (2, "noted", None),
    ]
    assert msgspec.json.decode(rows[0]["payload"]) == {"total": 500}
    assert msgspec.json.decode(rows[1]["payload"]) == {"why": "tést"}
    assert rows[1]["at"] == at
