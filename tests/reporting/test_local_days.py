"""Test the days of the installation's time zone, also when clocks change."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from icecream import bootstrap, settings
from icecream.integrity import repair
from icecream.reporting import applying, by_status, day_ranges, payment_outcomes, reports, sales
from icecream.reporting.day_ranges import DayRange
from icecream.tables import CustomerDay, Order
from tests import ledger
from tests.clocks import place_at
from tests.conftest import Caller, apply_all, carry_out, new_flavor, place

pytestmark = pytest.mark.anyio
SetZone = Callable[[str], Awaitable[None]]


@pytest.fixture
async def set_zone(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SetZone]:
    """Change the setting, and recount the totals as a start does; undone at the end."""
    original = settings.load()

    async def change(name: str) -> None:
        changed = msgspec.structs.replace(original, time_zone=name)
        monkeypatch.setattr(settings, "load", lambda: changed)
        await repair.follow_time_zone()

    yield change
    monkeypatch.setattr(settings, "load", lambda: original)
    await repair.follow_time_zone()
    await ledger.check()


async def sum_orders(since: str, until: str) -> tuple[int, int]:
    """Return the number and the sum of the orders between two times in UTC."""
    (row,) = await Order.raw(
        f"SELECT count(*) AS orders, sum(total) AS total FROM orders WHERE created_at >="
        f" '{since}:00+00:00' AND created_at < '{until}:00+00:00'"
    )
    return row["orders"], int(row["total"] or 0)


async def sum_day(day: str) -> tuple[int, int]:
    """Return the number and the sum of the orders of a local day, from the totals."""
    first = date.fromisoformat(day)
    rows = await by_status.load_sums(sales.Span(first, first + timedelta(1), local=True))
    return sum(row.orders for row in rows), sum(row.revenue for row in rows)


# The first and the last second of each day, and the seconds beside them: a day of 24 hours, one of
# 23 and one of 25 hours, and a zone that is half an hour off.
DAYS = [
    ("Europe/Berlin", "2019-01-15", "2019-01-14 23:00", "2019-01-15 23:00"),
    ("Europe/Berlin", "2019-03-31", "2019-03-30 23:00", "2019-03-31 22:00"),
    ("Europe/Berlin", "2019-10-27", "2019-10-26 22:00", "2019-10-27 23:00"),
    ("Asia/Kolkata", "2019-05-05", "2019-05-04 18:30", "2019-05-05 18:30"),
    ("Asia/Kathmandu", "2019-06-05", "2019-06-04 18:15", "2019-06-05 18:15"),
    ("America/St_Johns", "2019-07-05", "2019-07-05 02:30", "2019-07-06 02:30"),
]


@pytest.mark.parametrize(("zone", "day", "since", "until"), DAYS)
async def test_totals_of_a_local_day_equal_its_orders(
    customer: Caller, set_zone: SetZone, zone: str, day: str, since: str, until: str
) -> None:
    await set_zone(zone)
    flavor = await new_flavor(price=100)
    first, last = (datetime.fromisoformat(one) for one in (since, until))
    second = timedelta(seconds=1)
    within = [
        first,
        first + timedelta(hours=2, minutes=30),
        last - timedelta(hours=1),
        last - second,
    ]
    await place_at(customer, flavor, *(str(one) for one in (first - second, *within, last)))
    expected = await sum_orders(since, until)
    assert expected[0] >= len(within)
    assert await sum_day(day) == expected
    await apply_all()
    assert await sum_day(day) == expected
    span = sales.Span(date.fromisoformat(day), date.fromisoformat(day) + timedelta(1), local=True)
    assert (await sales.load_by_flavor(span))[flavor].orders == len(within)
    ours = await CustomerDay.select(CustomerDay.orders).where(
        CustomerDay.user == customer.user.id, CustomerDay.local_day == span.since
    )
    assert sum(row["orders"] for row in ours) == len(within)
    (period,) = await sales.load_by_period(span, "day")
    assert (str(period.start), period.orders) == (day, expected[0])
    # In UTC, and between two times, nothing changed.
    utc = await by_status.load_sums(sales.Span(first.date(), last.date() + timedelta(1)))
    whole = await sum_orders(f"{first.date()} 00:00", f"{last.date() + timedelta(1)} 00:00")
    assert sum(row.orders for row in utc) == whole[0]
    between = await by_status.load_between(first.replace(tzinfo=UTC), last.replace(tzinfo=UTC))
    assert sum(row.revenue for row in between) == expected[1]
    # The doctor knows the same days.
    await ledger.check()


async def test_another_time_zone_recounts_the_totals(
    customer: Caller, flavor: int, set_zone: SetZone
) -> None:
    await place_at(customer, flavor, "2018-07-01 22:30")
    assert await sum_day("2018-07-01") == await sum_orders("2018-07-01 00:00", "2018-07-02 00:00")
    await set_zone("Europe/Berlin")
    assert await sum_day("2018-07-02") == await sum_orders("2018-07-01 22:00", "2018-07-02 22:00")
    assert (await sum_day("2018-07-02"))[0]
    await ledger.check()


async def test_payments_belong_to_the_local_days_of_their_orders(
    customer: Caller, flavor: int, set_zone: SetZone
) -> None:
    (order,) = await place_at(customer, flavor, "2017-07-01 22:30")
    await carry_out(order)
    await set_zone("Europe/Berlin")
    (later, _) = await place_at(customer, flavor, "2017-07-01 22:31", "2017-07-02 22:01")
    await carry_out(later)
    days = DayRange(date(2017, 7, 2), date(2017, 7, 3), local=True)
    (found,) = await payment_outcomes.load_payment_outcomes(days)
    assert (found.state, found.payments) == ("succeeded", 2)
    await ledger.check()


async def test_totals_of_another_time_zone_prevent_the_start(
    set_zone: SetZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_zone("Europe/Berlin")
    await bootstrap.check_database()
    other = msgspec.structs.replace(settings.load(), time_zone="Asia/Kolkata")
    monkeypatch.setattr(settings, "load", lambda: other)
    with pytest.raises(bootstrap.NotReady, match=r"Asia/Kolkata, but .* `icecream migrate`"):
        await bootstrap.check_database()


async def test_a_process_with_another_time_zone_reports_it(
    customer: Caller, flavor: int, set_zone: SetZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_zone("Europe/Berlin")
    await place(customer.user.id, {flavor: 1})
    with monkeypatch.context() as patched:
        stale = msgspec.structs.replace(settings.load(), time_zone="UTC")
        patched.setattr(settings, "load", lambda: stale)
        with pytest.raises(applying.OtherTimeZone, match=r"UTC, .* are kept in Europe/Berlin"):
            await applying.apply_changes()
    await apply_all()


BERLIN = ZoneInfo("Europe/Berlin")
# The days, now in Berlin, and what they are compared with: from, to, and the time in UTC.
COMPARISONS = [
    ("2026-11-29 2026-11-30", "2026-11-29 14:23", "2026-11-28 2026-11-29 2026-11-28 13:30"),
    ("2026-11-29 2026-11-30", "2026-11-29 23:50", "2026-11-28 2026-11-29 None"),
    ("2026-11-28 2026-11-29", "2026-11-29 14:23", "2026-11-27 2026-11-28 None"),
    ("2026-11-23 2026-11-30", "2026-11-29 00:00", "2026-11-16 2026-11-23 2026-11-21 23:15"),
    # The clock went back on the day before, and forward on the day before.
    ("2026-10-26 2026-10-27", "2026-10-26 12:00", "2026-10-25 2026-10-26 2026-10-25 11:15"),
    ("2026-03-30 2026-03-31", "2026-03-30 12:00", "2026-03-29 2026-03-30 2026-03-29 10:15"),
    # Only the days until today are compared.
    ("2026-11-29 2026-12-06", "2026-11-30 08:00", "2026-11-22 2026-11-24 2026-11-23 07:15"),
]


@pytest.mark.parametrize(("days", "now", "expected"), COMPARISONS)
def test_a_running_period_is_compared_until_the_same_time_of_day(
    days: str, now: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    berlin = msgspec.structs.replace(settings.load(), time_zone="Europe/Berlin")
    monkeypatch.setattr(settings, "load", lambda: berlin)
    first, last = map(date.fromisoformat, days.split())
    shown = DayRange(first, last, local=True)
    moment = datetime.fromisoformat(now).replace(tzinfo=BERLIN)
    found = day_ranges.compare(shown, moment.astimezone(UTC))
    until = f"{found.until:%Y-%m-%d %H:%M}" if found.until else "None"
    assert f"{found.days.since} {found.end} {until}" == expected


def test_a_longer_month_is_compared_with_the_whole_month_before() -> None:
    february = DayRange(date(2026, 2, 1), date(2026, 3, 1))
    march = DayRange(date(2026, 3, 1), date(2026, 4, 1), february)
    found = day_ranges.compare(march, datetime(2026, 3, 30, 12, tzinfo=UTC))
    assert (found.days, found.until) == (february, None)


async def test_earlier_figures_equal_the_orders_until_the_same_time(
    customer: Caller, set_zone: SetZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_zone("Europe/Berlin")
    flavor = await new_flavor(price=70)
    await place_at(
        *(customer, flavor, "2019-11-25 22:59:59", "2019-11-25 23:00", "2019-11-26 23:00"),
        *("2019-11-27 12:29", "2019-11-27 12:30", "2019-11-27 22:59", "2019-11-28 09:00"),
    )

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # only this form is used
            return datetime(2019, 11, 29, 12, 20, tzinfo=UTC)

    monkeypatch.setattr(reports, "datetime", Clock)
    days = DayRange(date(2019, 11, 28), date(2019, 11, 30), local=True)
    figures, _ = await reports.build_dashboard(days)
    orders, total = await sum_orders("2019-11-25 23:00", "2019-11-27 12:30")
    assert orders >= 3
    assert figures.previous.orders == orders
    assert sum(one.total for one in figures.previous_outcomes) == total
    assert str(figures.previous_until) == "2019-11-27 12:30:00+00:00"
    assert (str(figures.previous_from), str(figures.previous_to)) == ("2019-11-26", "2019-11-28")
    assert (figures.time_zone, figures.totals.orders) == (
        "Europe/Berlin",
        (await sum_orders("2019-11-27 23:00", "2019-11-29 23:00"))[0],
    )
