"""Test statements about many rows: every value arrives as it was sent."""

from datetime import UTC, date, datetime

import pytest

from icecream import database
from icecream.tables import Change, DayTotal
from tests.conftest import WHICH

pytestmark = pytest.mark.anyio
DATE = "date" if WHICH == "postgres" else "text"

TEXTS = [
    "vanilla",
    "",
    " ",
    "null",
    "NULL",
    "{1,2}",
    'a "quote", a comma',
    "a \\ backslash and \\n no line feed",
    '{"reason": "a \\"quote\\", a \\n"}',
    "a line feed\nand a tab\t",
    "a control character \x01 and \x7f",
    "Zoë, 冰淇淋, 🍦",
    None,
]


async def test_texts_arrive_unchanged(opened: None) -> None:
    columns = (Change.subject, Change.row, Change.field, Change.after, Change.at)
    insert = database.insert(Change, columns)
    now = datetime(2026, 7, 1, 12, 30, 1, 234_567, tzinfo=UTC)
    await insert([("user", n, "name", text, now) for n, text in enumerate(TEXTS)])
    rows = await Change.select(Change.row, Change.after, Change.at).where(Change.at == now)
    assert {row["row"]: row["after"] for row in rows} == dict(enumerate(TEXTS))


async def test_numbers_and_days_arrive_unchanged(opened: None) -> None:
    keys, sums = (DayTotal.day, DayTotal.status), (DayTotal.quantity, DayTotal.revenue)
    insert = database.insert(
        DayTotal,
        (*keys, *sums),
        computed=(
            *((DayTotal.orders, "1"), (DayTotal.refunded, "0")),
            (DayTotal.local_day, f"CAST('2000-01-01' AS {DATE})"),
        ),
    )
    rows = [
        (date(1999, 12, 31), "paid", -1, 2**63 - 1),
        (date(2000, 1, 1), "failed", 0, -(2**63)),
    ]
    await insert(rows)
    stored = await DayTotal.select(*keys, *sums).where(DayTotal.day <= rows[-1][0])
    assert sorted(tuple(row.values()) for row in stored) == rows
    await DayTotal.delete().where(DayTotal.day <= rows[-1][0])
