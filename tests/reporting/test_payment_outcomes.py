"""Test that payments are counted by kind and state, for the orders of some days."""

from datetime import date

import pytest

from icecream.orders import actions
from icecream.payments import corrections
from icecream.payments.providers import Declined, Succeeded
from icecream.reporting import payment_outcomes
from icecream.reporting.day_ranges import DayRange
from icecream.tables import Payment
from tests import ledger
from tests.clocks import place_at
from tests.conftest import Caller, apply_all, carry_out, new_flavor

pytestmark = pytest.mark.anyio
DAYS = DayRange(date(2016, 5, 6), date(2016, 5, 8))
Outcomes = dict[tuple[str, str], tuple[int, int]]


async def outcomes() -> Outcomes:
    found = await payment_outcomes.load_payment_outcomes(DAYS)
    return {(one.kind, one.state): (one.payments, one.amount) for one in found}


async def count() -> Outcomes:
    rows = await Payment.raw(
        "SELECT kind, state, count(*) AS payments, sum(COALESCE(moved, amount)) AS amount"
        ' FROM payment p JOIN orders o ON o.id = p."order" WHERE o.created_at >='
        " '2016-05-06 00:00:00+00:00' AND o.created_at < '2016-05-08 00:00:00+00:00'"
        " GROUP BY kind, state"
    )
    return {(row["kind"], row["state"]): (row["payments"], int(row["amount"])) for row in rows}


async def test_payments_equal_those_of_the_orders_of_the_days(customer: Caller) -> None:
    flavor = await new_flavor(price=130)
    moments = [f"2016-05-06 00:00:0{n}" for n in range(5)]
    before, after = "2016-05-05 23:59:59", "2016-05-08 00:00"
    _, *orders, last, _ = await place_at(customer, flavor, before, *moments, "2016-05-07", after)
    await carry_out(orders[1], Declined("no"))
    await carry_out(orders[2], Succeeded(f"outcome {orders[2]}", 130, "EUR"))
    await carry_out(orders[3], Succeeded(f"too much {orders[3]}", 140, "EUR"))
    await actions.cancel_order(orders[4], by=customer.user.id)
    await carry_out(last)
    await actions.cancel_order(last, by=customer.user.id)
    await carry_out(last)
    expected = await count()
    assert set(expected) == {
        *((kind, "succeeded") for kind in ("charge", "refund")),
        *(("charge", state) for state in ("new", "declined", "parked", "void")),
    }
    assert expected["charge", "parked"] == (1, 140)
    assert await outcomes() == expected
    await apply_all()
    assert await outcomes() == expected
    await ledger.check()


async def test_a_payment_that_is_open_again_no_longer_counts_as_ended(customer: Caller) -> None:
    flavor = await new_flavor(price=130)
    (order,) = await place_at(customer, flavor, "2016-05-07 08:00")
    await carry_out(order)
    (refund,) = await actions.cancel_order(order, by=customer.user.id)
    await carry_out(order)
    await apply_all()
    assert await corrections.park_failed_refund(refund, "closed account")
    found = await outcomes()
    assert found == await count()
    assert ("refund", "parked") in found
    await ledger.check()
