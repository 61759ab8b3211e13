"""Test that the totals follow each change of an order."""

from datetime import UTC, datetime

import pytest

from icecream.catalogue import order_lines
from icecream.reporting import totals
from icecream.tables import (
    CustomerDay,
    FlavorDay,
    Order,
)
from tests import history, ledger
from tests.conftest import Caller, new_flavor

pytestmark = pytest.mark.anyio


async def test_totals_belong_to_the_day_in_utc_on_which_the_order_was_placed(
    customer: Caller, flavor: int
) -> None:
    late = datetime(2001, 2, 3, 23, 59, 59, tzinfo=UTC)
    lines = [order_lines.Line(flavor, 3, 250)]
    pending, paid = (
        totals.Sale(customer.user.id, late, status, lines) for status in ("pending", "paid")
    )
    await totals.update([pending])
    await totals.update([paid], [pending])
    found = (
        FlavorDay.select().where(FlavorDay.flavor == flavor).order_by(FlavorDay.status),
        CustomerDay.select().where(CustomerDay.user == customer.user.id).order_by("status"),
    )
    for rows in [await query for query in found]:
        assert [
            (str(r["day"]), r["status"], r["quantity"], r["orders"], r["revenue"]) for r in rows
        ] == [("2001-02-03", "paid", 3, 1, 750), ("2001-02-03", "pending", 0, 0, 0)]
    await totals.update([], [paid])


def test_totals_are_written_in_one_order() -> None:
    """The fixed order prevents deadlocks between transactions."""
    day = datetime(2001, 2, 3, tzinfo=UTC)
    lines = [order_lines.Line(flavor, 1, 250) for flavor in (3, 1, 2)]
    sales = [totals.Sale(user, day, "paid", lines) for user in (2, 3, 1)]
    for _, rows in totals.update_statements(sales):
        assert list(rows) == sorted(rows)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_totals_equal_a_recount_after_any_history(
    customer: Caller, stranger: Caller, staff: Caller, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavors = [await new_flavor(price=price, stock=stock) for price, stock in history.FLAVORS]
    past = history.History(seed, [customer.user.id, stranger.user.id], flavors, clerk=staff.user.id)
    monkeypatch.setattr("icecream.orders.placing.datetime", history.Clock(past.chance))
    for _ in range(3):
        await past.go_on(60)
        await ledger.check()
    rows = await Order.select(Order.status, Order.refunded, Order.total).where(
        Order.id.is_in(past.orders)
    )
    assert {"paid", "failed", "canceled"} <= {row["status"] for row in rows}
    assert any(0 < row["refunded"] < row["total"] for row in rows)
