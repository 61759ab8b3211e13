"""Test the sales figures: those of the original service, and all totals for staff."""

import asyncio
import csv
import io
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from msgspec import convert
from piccolo.query.functions import Sum

from icecream import states
from icecream.feed import events, publisher
from icecream.payments import leases, settlement
from icecream.reporting import csv_export, sales
from icecream.tables import Event, Flavor, Order, OrderLine, Payment
from tests import history
from tests.conftest import Caller, new_flavor, new_user, place, publish_all

pytestmark = pytest.mark.anyio
AS_OF = re.compile(r'(\d+);at="([0-9T:.-]+Z)"')
PATH = "/api/stats/"


async def test_orders_of_all_customers_in_all_states_are_counted(
    customer: Caller, stranger: Caller
) -> None:
    ordered, other = await new_flavor(name="Stats one"), await new_flavor(name="Stats two")
    await new_flavor(name="Stats never ordered")
    for caller, quantity in ((customer, 2), (stranger, 3), (customer, 5)):
        await caller.post("/api/orders/", {"quantity": quantity, "flavor": ordered})
    await place(customer.user.id, {other: 1})
    rows = [row for row in (await stranger.get(PATH)).json() if "Stats" in str(row)]
    assert rows == [
        {"flavor__name": "Stats one", "total_qty_ordered": 10},
        {"flavor__name": "Stats two", "total_qty_ordered": 1},
    ]


@pytest.fixture(scope="module")
async def past(hashed: str) -> history.History:
    """Orders of some days and of all kinds, which no test changes."""
    flavors = [await new_flavor(price=price, stock=stock) for price, stock in history.FLAVORS]
    *customers, clerk = [(await new_user(hashed)).id for _ in range(3)]
    lives = history.History(7, customers, flavors, clerk)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("icecream.orders.placing.datetime", history.Clock(lives.chance))
        await lives.go_on(150)
    return lives


FACTS = """
SELECT o.id, o."user", o.status, o.created_at, o.total, o.refunded, l.flavor, l.quantity,
    l.unit_price, l.refunded AS part, CASE WHEN p.id IS NULL THEN 0 ELSE 1 END AS charged
FROM orders o JOIN order_line l ON l."order" = o.id
LEFT JOIN payment p ON p."order" = o.id AND p.kind = 'charge' AND p.state = 'succeeded'"""
STARTS: dict[str, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(day.isocalendar().weekday - 1),
    "month": lambda day: date(day.year, day.month, 1),
}


class Recount:
    """Figures that are recomputed line by line; revenue counts only lines that were charged."""

    def __init__(self, lines: Iterable[dict[str, Any]]) -> None:
        self.lines = list(lines)

    def by(self, key: Callable[[dict[str, Any]], Any]) -> dict[Any, "Recount"]:
        keys = sorted({key(line) for line in self.lines})
        return {one: Recount(line for line in self.lines if key(line) == one) for one in keys}

    @property
    def figures(self) -> dict[str, Any]:
        status = {line["id"]: line["status"] for line in self.lines}
        ended = [one for one in status.values() if one != "pending"]
        charged = [line for line in self.lines if line["charged"] and not _waits_for_review(line)]
        return {
            "quantity": sum(line["quantity"] for line in self.lines),
            "orders": len(status),
            "revenue": sum(line["quantity"] * line["unit_price"] for line in charged),
            "refunds": sum(line["part"] for line in self.lines),
            "failure_rate": ended.count("failed") / len(ended) if ended else None,
        }


def _waits_for_review(line: dict[str, Any]) -> bool:
    """Return whether a line is of a canceled order whose refund failed after it had succeeded."""
    return line["status"] == "canceled" and bool(line["refunded"] < line["total"])


async def recount(query: dict[str, str]) -> Recount:
    """Recount the orders that a query selects."""
    lines = [dict(row) for row in await Order.raw(FACTS)]
    for line in lines:
        line["day"] = convert(str(line["created_at"])[:10], date)
    return Recount(
        line
        for line in lines
        if str(line["day"]) >= query.get("from", "")
        and str(line["day"]) < query.get("to", "9")
        and line["status"] == query.get("status", line["status"])
    )


QUERIES = [
    "interval=day",
    "interval=week&from=2024-02-26&to=2024-03-06",
    "interval=month&from=2024-02-01&to=2024-04-01",
    "from=2024-02-29",
    "to=2024-03-01&interval=day",
    "from=2024-02-29&to=2024-03-01&status=paid",
    *(f"status={status}&interval=week" for status in states.ORDER),
    "from=1999-01-01&to=1999-01-02&interval=day",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_figures_equal_a_recount(past: history.History, staff: Caller, query: str) -> None:
    answer = await staff.get(f"{PATH}?{query}")
    assert answer.status_code == 200, answer.text
    report, found = answer.json(), await recount(dict(parse_qsl(query)))
    assert report["totals"] == found.figures
    by_flavor = found.by(itemgetter("flavor"))
    for flavor in report["flavors"]:
        one = by_flavor.pop(flavor["flavor"], Recount([]))
        assert flavor == flavor | one.figures
    assert not by_flavor
    if interval := report["interval"]:
        start = STARTS[interval]
        periods = found.by(lambda line: start(line["day"]))
        assert [one["start"] for one in report["periods"]] == [str(day) for day in periods]
        for period, one in zip(report["periods"], periods.values(), strict=True):
            assert period == period | one.figures
            flavors = one.by(itemgetter("flavor"))
            assert [part["flavor"] for part in period["flavors"]] == list(flavors)
            for part, figures in zip(period["flavors"], flavors.values(), strict=True):
                assert part == part | figures.figures
    customers = {user: one.figures for user, one in found.by(itemgetter("user")).items()}
    best = sorted(customers, key=lambda user: (-customers[user]["revenue"], user))[:10]
    assert [one["user"] for one in report["top_customers"]] == best
    for customer in report["top_customers"]:
        assert customer == customer | customers[customer["user"]]


async def test_refunds_equal_the_refunded_amounts_of_the_orders(
    past: history.History, staff: Caller
) -> None:
    orders = await Order.select(Order.created_at, Order.refunded)
    for day in range(history.DAYS):
        since = history.FIRST + timedelta(day)
        until = since + timedelta(1)
        query = f"?from={since.date()}&to={until.date()}"
        report = (await staff.get(PATH + query)).json()
        refunded = sum(one["refunded"] for one in orders if since <= one["created_at"] < until)
        assert report["totals"]["refunds"] == refunded
        assert sum(one["refunds"] for one in report["flavors"]) == refunded


async def test_customers_see_only_the_ordered_quantities(
    customer: Caller, past: history.History
) -> None:
    for query in ("", "?format=json", "?format=csv"):
        assert (await customer.get(PATH + query)).status_code == 200
    for path in (f"{PATH}?interval=day", f"{PATH}?status=paid&format=csv", "/api/dashboard/"):
        answer = await customer.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("stats/?from=yesterday", "/from"),
        ("stats/?from=20240229", "/from"),
        ("stats/?from=", "/from"),
        ("stats/?from=2023-02-29", "/from"),
        ("stats/?to=2024-02-29T00:00:00Z", "/to"),
        ("stats/?from=2024-03-01&to=2024-03-01", "/to"),
        ("stats/?status=lost", "/status"),
        ("stats/?interval=hour", "/interval"),
        ("stats/?format=xml", "/format"),
        ("dashboard/?period=8d", "/period"),
        ("dashboard/?period=7d&from=2024-03-01", "/period"),
        ("dashboard/?to=2024-03-01", "/from"),
        ("dashboard/?from=2999-03-01", "/from"),
        ("dashboard/?from=2024-03-02&to=2024-03-01", "/to"),
        ("dashboard/?from=0001-01-01&to=0001-01-02", "/from"),
        ("dashboard/?from=2000-01-01&to=2024-01-01", "/from"),
    ],
)
async def test_the_refusal_of_an_invalid_parameter_points_to_it(
    staff: Caller, query: str, pointer: str
) -> None:
    answer = await staff.get(f"/api/{query}")
    assert answer.status_code == 400
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


def rows(text: str) -> list[dict[str, str]]:
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("accept", ["text/csv", "text/csv;q=0.9, application/json;q=0.1"])
async def test_the_csv_has_the_same_figures(
    past: history.History, staff: Caller, accept: str
) -> None:
    for query in ("", "?from=2024-01-01&to=2024-04-01", "?interval=week&to=2024-04-01"):
        whole = (await staff.get(PATH + query)).json()
        answer = await staff.get(PATH + query, headers={"Accept": accept})
        assert answer.headers["content-type"] == "text/csv; header=present; charset=utf-8"
        assert answer.headers["vary"] == "Accept"
        if not query:
            expected = whole
        elif whole["interval"]:
            expected = [
                {"start": period["start"]} | flavor
                for period in whole["periods"]
                for flavor in period["flavors"]
            ]
        else:
            expected = whole["flavors"]
        assert rows(answer.text) == [as_cells(one) for one in expected]


def as_cells(figures: dict[str, Any]) -> dict[str, str]:
    """Return figures as the cells of a row in a sheet."""
    cells = {name: "" if value is None else str(value) for name, value in figures.items()}
    for name in {"revenue", "refunds"} & cells.keys():
        minor = figures[name]
        cells[f"{name}_minor"] = cells.pop(name)
        cells[f"{name}_eur"] = f"{minor // 100}.{minor % 100:02}"
    return cells


async def test_a_cell_is_never_a_formula(staff: Caller, customer: Caller) -> None:
    names = [
        "=1+1",
        "+49",
        "-1",
        "@SUM(A1)",
        'says "a, b"',
        "Erdbeere \U0001f353",
        "a;=1+1",
        'b;"=1+1;c',
    ]
    for name in names:
        await place(customer.user.id, {await new_flavor(name=name): 1})
    for query in ("format=csv", "format=csv&status=pending"):
        text = (await staff.get(f"{PATH}?{query}")).text
        found = {row.get("name") or row["flavor__name"] for row in rows(text)}
        assert {f"'{name}" for name in names[:4]} | set(names[4:6]) | {
            "a;'=1+1",
            "b;'\"=1+1;c",
        } <= found
        for separator in ",;":
            for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
                assert not [
                    cell for cell in cells if cell[:1] in csv_export.FORMULA_PREFIXES and cell
                ]


async def test_the_format_parameter_overrides_the_accept_header(
    staff: Caller,
) -> None:
    answer = await staff.get(f"{PATH}?format=json", headers={"Accept": "text/csv"})
    assert isinstance(answer.json(), list)
    for accept in ("*/*", "text/html, */*;q=0.8", "nonsense", ";;;", "application/json, text/csv"):
        answer = await staff.get(PATH, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json", accept


def as_of(answer: httpx.Response) -> tuple[int, datetime]:
    found = AS_OF.fullmatch(answer.headers["As-Of"])
    assert found is not None
    return int(found[1]), datetime.fromisoformat(found[2])


async def test_every_response_names_the_last_included_event(
    customer: Caller, staff: Caller, flavor: int
) -> None:
    await place(customer.user.id, {flavor: 1})
    end = await publish_all()
    happened = (await events.read_last_event()).at
    # This order is in the figures already. It gets into the feed later.
    await place(customer.user.id, {flavor: 1})
    for path in (PATH, f"{PATH}?format=csv", f"{PATH}?interval=day", "/api/dashboard/"):
        assert as_of(await staff.get(path)) == (end, happened), path


async def test_callers_at_the_same_moment_share_figures_and_see_their_own_orders(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = sales.load_flavor_sales, 0

    async def count() -> tuple[list[sales.FlavorSales], events.LastEvent]:
        nonlocal reads
        reads += 1
        return await real()

    monkeypatch.setattr(sales, "load_flavor_sales", count)

    async def buy_and_read(flavor: int) -> None:
        await customer.post("/api/orders/", {"quantity": 7, "flavor": flavor})
        row = await Flavor.select(Flavor.name).where(Flavor.id == flavor).first()
        assert row is not None
        expected = {"flavor__name": row["name"], "total_qty_ordered": 7}
        assert expected in (await customer.get(PATH)).json()

    await asyncio.gather(*[buy_and_read(await new_flavor()) for _ in range(20)])
    reads = 0
    await asyncio.gather(*(customer.get(PATH) for _ in range(20)))
    assert reads < 20


@pytest.mark.slow
async def test_figures_are_consistent_and_the_feed_continues_after_them(
    customer: Caller, staff: Caller, flavor: int
) -> None:
    over, seen = asyncio.Event(), set()

    async def buy() -> None:
        while not over.is_set():
            await customer.post("/api/orders/", {"flavor": flavor, "quantity": 1})

    async def publish() -> None:
        while not over.is_set():
            await publisher.publish_events()
            await asyncio.sleep(0)

    async def look() -> None:
        answer = await staff.get(f"{PATH}?interval=day")
        report, (upto, _) = answer.json(), as_of(answer)
        counted = report["totals"]["orders"]
        assert sum(one["orders"] for one in report["periods"]) == counted
        placed = Event.type == "placed"
        assert await Event.count().where(placed, Event.position <= upto) <= counted
        # Every counted order has an event: up to that position or, by now, after it.
        assert await Event.count().where(placed) >= counted
        answer = await staff.get(PATH)
        published = Event.select(Event.order).where(placed, Event.position <= as_of(answer)[0])
        lines = await OrderLine.select(Sum(OrderLine.quantity)).where(
            OrderLine.order.is_in(published)
        )
        assert (lines[0]["sum"] or 0) <= sum(one["total_qty_ordered"] for one in answer.json())
        seen.add(upto)

    async with asyncio.TaskGroup() as group:
        group.create_task(publish())
        for _ in range(3):
            group.create_task(buy())
        for _ in range(25):
            await look()
        over.set()
    assert len(seen) > 5


async def test_stock_days_follow_the_sales_of_the_last_28_days(
    customer: Caller, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, slow, out, uncounted = [await new_flavor(stock=stock) for stock in (40, 10_000, 5, None)]
    unsold = await new_flavor(stock=3)
    now = datetime.now(UTC)
    for days, lines in (
        (28, {quick: 10}),
        (27, {quick: 14}),
        (0, {quick: 14, slow: 28, out: 5, uncounted: 1}),
    ):
        with monkeypatch.context() as patched:
            clock = SimpleNamespace(now=lambda _, days=days: now - timedelta(days))
            patched.setattr("icecream.orders.placing.datetime", clock)
            await place(customer.user.id, lines)
    report = (await staff.get(f"{PATH}?interval=month")).json()
    lasts = {one["flavor"]: (one["stock"], one["stock_days"]) for one in report["flavors"]}
    # 2 are left, and 28 were sold in 28 days; what was sold a day earlier no longer counts.
    assert lasts[quick] == (2, 2.0)
    assert lasts[slow] == (9972, 9972.0)
    assert lasts[out] == (0, 0.0)
    assert lasts[uncounted] == (None, None)
    assert lasts[unsold] == (3, None)
    # Exclude the stock of other tests.
    mine = [quick, slow, out, uncounted, unsold]
    await Flavor.update({Flavor.stock: None}).where(Flavor.id.not_in(mine))
    low = (await staff.get("/api/dashboard/")).json()["low_stock"]
    found = [one["flavor"] for one in low]
    assert found.index(out) < found.index(quick)
    assert not {slow, uncounted, unsold} & set(found)


async def test_waiting_payments_are_reported(customer: Caller, staff: Caller, flavor: int) -> None:
    async def now() -> dict[str, Any]:
        answer: dict[str, Any] = (await staff.get("/api/dashboard/")).json()
        return answer

    before = (await now())["queue"]
    placed = [await place(customer.user.id, {flavor: n}) for n in (1, 2, 3, 4)]
    numbers = [one.payment for one in placed if one.payment]
    flying, parked, tried, _ = numbers
    await leases.acquire_leases([flying], limit=1, lease_seconds=90)
    (lease,) = await leases.acquire_leases([parked], limit=1, lease_seconds=90)
    await settlement.settle([settlement.SettlementResult(lease, settlement.Parked("No idea."))])
    (lease,) = await leases.acquire_leases([tried], limit=1, lease_seconds=90)
    await leases.postpone_payment(lease, "no answer")
    after = await now()
    assert {
        name: after["queue"][name] - before[name] for name in before if name != "oldest_due"
    } == {
        "due": 1,
        "in_flight": 1,
        "later": 1,
        "parked": 1,
    }
    assert after["queue"]["oldest_due"] > 0
    pending = await Order.select(Order.id).where(Order.status == "pending").order_by(Order.id)
    assert after["oldest_pending"]["order"] == pending[0]["id"]
    assert after["oldest_pending"]["seconds"] > 0
    assert [one["id"] for one in after["latest_orders"][:4]] == [one.order for one in placed[::-1]]
    assert after["latest_orders"][0]["username"] == customer.user.username
    assert after["latest_orders"][0]["quantity"] == 4
    reasons = {one["payment"]: one["why"] for one in after["parked_payments"]}
    assert len(reasons) == min(after["queue"]["parked"], 20)
    (shown,) = await Payment.select(Payment.state).where(Payment.id == parked)
    assert shown["state"] == "parked"
    assert reasons.get(parked, "No idea.") == "No idea."


async def test_the_dashboard_has_the_figures_of_its_days_and_the_days_before(
    past: history.History, staff: Caller
) -> None:
    path = "/api/dashboard/?from=2024-02-29&to=2024-03-06"
    shown = (await staff.get(path)).json()
    report = (await staff.get(f"{PATH}?from=2024-02-29&to=2024-03-06&interval=day")).json()
    earlier = (await staff.get(f"{PATH}?from=2024-02-23&to=2024-02-29")).json()
    assert shown["totals"] == report["totals"]
    assert shown["previous"] == earlier["totals"]
    days = {one["start"]: one for one in shown["periods"]}
    assert list(days) == [str(date(2024, 2, 29) + timedelta(n)) for n in range(6)]
    for period in report["periods"]:
        assert days[period["start"]] == {n: v for n, v in period.items() if n != "flavors"}
    ordered = [one for one in report["flavors"] if one["orders"]]
    assert shown["flavors"] == ordered
    found = (await recount({"from": "2024-02-29", "to": "2024-03-06"})).by(itemgetter("status"))
    for outcome in shown["outcomes"]:
        lines = found.pop(outcome["status"], Recount([])).lines
        totals = {line["id"]: line["total"] for line in lines}
        assert (outcome["orders"], outcome["total"]) == (len(totals), sum(totals.values()))
    assert not found


@pytest.mark.parametrize(
    ("query", "interval", "count"),
    [
        ("", "day", 30),
        ("?period=7d", "day", 7),
        ("?period=90d", "day", 90),
        ("?period=365d", "week", 53),
        ("?from=2022-01-01&to=2024-04-01", "month", 27),
    ],
)
async def test_longer_ranges_have_longer_periods_without_gaps(
    staff: Caller, query: str, interval: str, count: int
) -> None:
    shown = (await staff.get(f"/api/dashboard/{query}")).json()
    assert shown["interval"] == interval
    assert len(shown["periods"]) in (count, count + (interval == "week"))
    starts = [date.fromisoformat(one["start"]) for one in shown["periods"]]
    assert [STARTS[interval](day) for day in starts] == starts
    last = date.fromisoformat(shown["to"]) - timedelta(1)
    assert STARTS[interval](last) == starts[-1]
