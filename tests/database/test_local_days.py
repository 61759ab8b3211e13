"""Test that SQL finds the same local days as Python, on both sides of each change of a clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from icecream.database import local_days
from icecream.tables import Order
from tests.conftest import WHICH

pytestmark = pytest.mark.anyio
# Two with summer time, one north and one south of the equator; half an hour of summer time; a
# day that was left out in 2011; no changes.
ZONES = [
    *("Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"),
    *("UTC", "America/St_Johns"),
]


@pytest.mark.parametrize("name", ZONES)
async def test_the_days_are_those_of_python(opened: None, name: str) -> None:
    zone = ZoneInfo(name)
    changes = [since for since, _ in local_days._find_offsets(zone, 2026)]
    moments = [
        *(change + timedelta(seconds=n) for change in changes for n in (-1, 0, 1)),
        *(datetime(2026, 7, 1, hour, 59, 59, tzinfo=UTC) for hour in range(24)),
    ][1:]
    texts = [f"{moment:%Y-%m-%d %H:%M:%S.000001+00:00}" for moment in moments]
    values = ", ".join(f"({n}, '{text}')" for n, text in enumerate(texts))
    is_postgres = WHICH == "postgres"
    time = "CAST(at AS timestamptz)" if is_postgres else "at"
    day = local_days.local_day("o.created_at", zone, is_postgres=is_postgres)
    rows = await Order.raw(
        f"WITH given (n, at) AS (VALUES {values}), o AS (SELECT n, {time} AS created_at FROM given)"
        f" SELECT {day} AS day FROM o ORDER BY n"
    )
    expected = [str(moment.astimezone(zone).date()) for moment in moments]
    assert [row["day"] for row in rows] == expected
