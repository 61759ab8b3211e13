"""Test the generated demo season: plausible sales, and data that passes all checks."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from piccolo.querystring import QueryString

from icecream import database
from icecream.demo import season
from icecream.integrity import doctor
from icecream.orders import actions, placing
from icecream.payments import leases, settlement
from icecream.payments.providers import Declined
from icecream.tables import CurrentDayTotal, Event, Order, Payment
from tests.conftest import WHICH, Caller, new_flavor, payment_id, settlement_result
from tests.processes import Shop, until

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
# This code does not depend on the database.
once = pytest.mark.only("sqlite")


def plan(
    orders: int, days: int = 365, seed: int = 0, now: datetime = NOW
) -> list[season.PlannedOrder]:
    users, flavors = range(1, 41), range(1, 13)
    return season.plan_orders(orders, days, users=users, flavors=flavors, seed=seed, now=now)


# The plan


@once
def test_most_orders_are_on_weekends_in_summer_and_none_at_night() -> None:
    planned = plan(5000)
    days = Counter(one.at.weekday() for one in planned)
    assert min(days[5], days[6]) > 1.3 * max(days[n] for n in range(4))
    months = Counter(one.at.month for one in planned)
    assert months[7] > 3 * months[1]
    hours = Counter(one.at.hour for one in planned)
    assert hours[14] > 2 * hours[8] > 0 == hours[3]


@once
def test_flavors_customers_and_line_counts_are_not_uniform() -> None:
    planned = plan(5000)
    sold = season.sum_demand(planned)
    assert sold[1] > 2 * sold[12] > 0
    buyers = Counter(one.user for one in planned)
    assert len(buyers) == 40
    assert buyers[1] > 3 * buyers[40]
    assert {len(one.lines) for one in planned} == {1, 2, 3}


@once
@pytest.mark.parametrize("orders", [1, 3, 6, 500])
def test_orders_are_within_the_days_and_the_last_ones_are_open(orders: int) -> None:
    planned = plan(orders, days=30)
    assert len(planned) == orders
    assert NOW - timedelta(days=30) <= planned[0].at <= planned[-1].at < NOW
    assert [one.at for one in planned] == sorted(one.at for one in planned)
    assert [one.outcome for one in planned[-6:]] == list(season.LAST_OUTCOMES[-orders:])


@once
def test_a_seed_makes_the_season_reproducible() -> None:
    assert plan(500) == plan(500) != plan(500, seed=1)
    later = plan(500, now=NOW + timedelta(days=40, hours=7))
    assert season.sum_demand(later) == season.sum_demand(plan(500))
    assert [one.outcome for one in later] == [one.outcome for one in plan(500)]


# Orders in the past


@pytest.mark.anyio
async def test_events_and_totals_of_past_orders_have_past_times(
    customer: Caller, staff: Caller
) -> None:
    flavor = await new_flavor(price=100)
    days = [datetime(2019, 7, n, 9, 30, 15, 123456, tzinfo=UTC) for n in (3, 1, 2, 3)]
    # All orders have the same customer and total, so only the time distinguishes them.
    wanted = [placing.OrderRequest(customer.user.id, {flavor: 2}, at=at) for at in days]
    placed = [
        one
        for one in await database.transaction(lambda: placing.place_orders(wanted))
        if isinstance(one, placing.PlacedOrder)
    ]
    charged = {payment_id(one): at + SECOND for one, at in zip(placed, days, strict=True)}
    acquired = await leases.acquire_leases(charged, limit=4, lease_seconds=9, first_sent=charged)
    for lease in acquired:
        answer = Declined("no") if lease.order == placed[1].order else f"then {lease.payment}"
        at = charged[lease.payment] + SECOND
        await settlement.settle([msgspec.structs.replace(settlement_result(lease, answer), at=at)])
    returned = days[0] + timedelta(days=1)
    await actions.cancel_order(placed[0].order, by=customer.user.id, at=returned)
    about: dict[str, Any] = {"reason": "melted", "by": staff.user.id, "at": returned}
    await database.transaction(lambda: actions.refund_order(placed[2].order, 50, **about))

    rows = await Order.select(Order.id, Order.created_at).where(Order.user == customer.user.id)
    orders = [one.order for one in placed]
    assert {row["id"]: row["created_at"] for row in rows} == dict(zip(orders, days, strict=True))
    sent = await Payment.select(Payment.id, Payment.first_sent_at).where(
        Payment.id.is_in(list(charged))
    )
    assert {row["id"]: row["first_sent_at"] for row in sent} == charged
    assert await history(orders[1]) == [("placed", days[1]), ("failed", days[1] + 2 * SECOND)]
    assert await history(orders[0]) == [
        ("placed", days[0]),
        ("paid", days[0] + 2 * SECOND),
        ("cancel-requested", returned),
        ("refunding", returned),
    ]
    assert (await history(orders[2]))[-1] == ("refund-requested", returned)
    total = CurrentDayTotal
    counted = (
        await total.select(total.day, total.status)
        .where(total.day.is_in([at.date() for at in days]))
        .group_by(total.day, total.status)
        .having(QueryString("SUM({}) <> 0", total.orders))
    )
    assert sorted((row["day"].day, row["status"]) for row in counted) == [
        (1, "failed"),
        (2, "paid"),
        (3, "paid"),
        (3, "refunding"),
    ]
    assert await doctor.find_violations() == {}


async def history(order: int) -> list[tuple[str, datetime]]:
    rows = await Event.select(Event.type, Event.at).where(Event.order == order).order_by(Event.seq)
    return [(row["type"], row["at"]) for row in rows]


# The command


@pytest.fixture
def shop(tmp_path: Path, empty_database: str) -> Iterator[Shop]:
    with Shop(tmp_path / "shop", empty_database) as shop:
        assert shop.run("migrate").returncode == 0
        yield shop


def made(shop: Shop, *words: str) -> dict[str, Any]:
    """Create a season of 200 orders with `icecream demo`, and return the books after it."""
    answer = shop.run("demo", "--orders", "200", *words)
    assert answer.returncode == 0, answer.stdout
    assert "200 orders in " in answer.stdout
    assert f"http://127.0.0.1:{shop.port}/staff/orders/" in answer.stdout
    return shop.books()


def refused(shop: Shop, *words: str, **settings: str) -> str:
    answer = shop.run("demo", "--orders", "200", *words, **settings)
    assert answer.returncode == 1, answer.stdout
    return answer.stdout.splitlines()[-1]


@pytest.mark.anyio
def test_a_season_has_all_states_and_is_repeated_only_with_yes(shop: Shop) -> None:
    real = {"ICECREAM_PAYMENT_PROVIDER": "stripe", "ICECREAM_STRIPE_API_KEY": "sk_test_1"}
    assert (
        refused(shop, **real)
        == "icecream: sample data can be created only with simulated payments."
    )

    books = made(shop)
    statuses = Counter(one["status"] for one in books["orders"])
    assert set(statuses) == {"paid", "failed", "canceled", "refunded", "pending"}
    states = Counter(one["state"] for one in books["payments"])
    assert (states["parked"], states["new"], len(books["jobs"])) == (2, 4, 4)
    assert states["void"] > 0 == states["sent"]
    goods = Counter((one["fulfilment"], one["status"]) for one in books["orders"])
    assert goods["delivered", "paid"] > 100
    assert {status for state, status in goods if state != "unfulfilled"} <= {"paid", "refunded"}

    assert refused(shop).startswith("icecream: there are orders already: --yes ")
    again = made(shop, "--yes", "--days", "400")
    twice = Counter({status: 2 * count for status, count in statuses.items()})
    assert Counter(one["status"] for one in again["orders"]) == twice
    listed = shop.run("user", "list").stdout
    assert listed.count("@demo.example") == listed.count("customer") == 48


@pytest.mark.anyio
def test_a_season_leaves_only_pending_payments_to_a_running_service(shop: Shop) -> None:
    shop.serve() if WHICH == "sqlite" else shop.worker()
    made(shop)
    until(lambda: shop.books()["jobs"] == [], "the last four are charged")
    # Read again, because the tables are read one after the other.
    books = shop.books()
    assert {one["tries"] for one in books["payments"] if one["state"] != "void"} == {1}
    # The payments of these two orders are parked.
    assert Counter(one["status"] for one in books["orders"])["pending"] == 2
