"""Sales by flavor."""

import pytest

from tests.conftest import Caller, new_flavor, place

pytestmark = pytest.mark.anyio


async def test_every_order_counts_whoever_placed_it_and_whatever_became_of_it(
    customer: Caller, stranger: Caller
) -> None:
    ordered, other = await new_flavor(name="Stats one"), await new_flavor(name="Stats two")
    await new_flavor(name="Stats never ordered")
    for caller, quantity in ((customer, 2), (stranger, 3), (customer, 5)):
        await caller.post("/api/orders/", {"quantity": quantity, "flavor": ordered})
    await place(customer.user.id, {other: 1})
    rows = [row for row in (await stranger.get("/api/stats/")).json() if "Stats" in str(row)]
    assert rows == [
        {"flavor__name": "Stats one", "total_qty_ordered": 10},
        {"flavor__name": "Stats two", "total_qty_ordered": 1},
    ]
