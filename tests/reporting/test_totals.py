"""Test that the totals follow each change of an order."""

from datetime import UTC, datetime

import pytest

from icecream import database
from icecream.catalogue import order_lines
from icecream.reporting import totals
from icecream.tables import CustomerDay, FlavorDay, Order
from tests import history, ledger
from tests.conftest import Caller, apply_all, new_flavor

pytestmark = pytest.mark.anyio


async def test_totals_belong_to_the_day_in_utc_on_which_the_order_was_placed(
    customer: Caller, flavor: int
) -> None:
    late = datetime(2001, 2, 3, 23, 59, 59, tzinfo=UTC)
    lines = [order_lines.Line(flavor, 3, 250)]
    pending, paid = (
        totals.Sale(customer.user.id, late, status, lines) for status in ("pending", "paid")
    )
    await database.run_together(*totals.update_statements([pending]))
    await database.run_together(*totals.update_statements([paid], [pending]))
    await apply_all()
    found = (
        FlavorDay.select().where(FlavorDay.flavor == flavor).order_by(FlavorDay.status),
        CustomerDay.select().where(CustomerDay.user == customer.user.id).order_by("status"),
    )
    for rows in [await query for query in found]:
        assert [
            (str(r["day"]), r["status"], r["quantity"], r["orders"], r["revenue"]) for r in rows
        ] == [("2001-02-03", "paid", 3, 1, 750), ("2001-02-03", "pending", 0, 0, 0)]
    await database.run_together(*totals.update_statements([], [paid]))


def test_equal_sales_and_payments_of_a_batch_are_one_change() -> None:
    day = datetime(2001, 2, 3, tzinfo=UTC)
    lines = [order_lines.Line(flavor, 2, 250) for flavor in (3, 4)]
    times = (day.date(), day.date(), int(day.timestamp()) // 900)
    ((_, rows),) = totals.update_statements(
        [totals.Sale(user, day, "paid", lines) for user in (1, 2, 1)],
        payments=[
            totals.EndedPayment(day, "pending", "charge", "succeeded", amount, number)
            for amount, number in ((700, 1), (500, 1), (200, -1))
        ],
    )
    assert sorted(rows, key=str) == [
        (3, None, None, None, *times, "paid", 6, 3, 1500, 0),
        (4, None, None, None, *times, "paid", 6, 3, 1500, 0),
        (None, 1, None, None, *times, "paid", 8, 2, 2000, 0),
        (None, 2, None, None, *times, "paid", 4, 1, 1000, 0),
        (None, None, "charge", "succeeded", *times, "pending", 1, 0, 1000, 0),
    ]


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
        await apply_all()
        await ledger.check()
    rows = await Order.select(Order.status, Order.refunded, Order.total).where(
        Order.id.is_in(past.orders)
    )
    assert {"paid", "failed", "canceled"} <= {row["status"] for row in rows}
    assert any(0 < row["refunded"] < row["total"] for row in rows)
