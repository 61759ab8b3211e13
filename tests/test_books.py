"""Stock and totals."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from icecream import books, database, errors, intake
from icecream.tables import Flavor
from tests.conftest import Caller, new_flavor, place

pytestmark = pytest.mark.anyio


async def left(flavor: int) -> int | None:
    row = await Flavor.select(Flavor.stock).where(Flavor.id == flavor).first()
    assert row is not None
    stock: int | None = row["stock"]
    return stock


async def take(wanted: dict[int, int]) -> list[books.Line]:
    async def work() -> list[books.Line]:
        shelf = await books.hold(wanted)
        lines = shelf.take(wanted)
        await shelf.save()
        return lines

    return await database.transaction(work)


async def test_stock_is_taken_and_given_back_only_where_it_is_counted() -> None:
    counted, uncounted = await new_flavor(stock=10), await new_flavor()
    lines = await take({counted: 4, uncounted: 7})
    assert lines == [books.Line(counted, 4, 250), books.Line(uncounted, 7, 250)]
    assert (await left(counted), await left(uncounted)) == (6, None)
    await books.give_back(lines)
    assert (await left(counted), await left(uncounted)) == (10, None)


async def test_what_is_refused_takes_nothing() -> None:
    enough, scarce = await new_flavor(stock=10), await new_flavor(stock=1)
    with pytest.raises(errors.InsufficientStock) as refusal:
        await take({enough: 5, scarce: 2})
    assert refusal.value.members["lines"] == [{"flavor": scarce, "quantity": 2, "available": 1}]
    with pytest.raises(books.UnknownFlavor):
        await take({enough: 5, 999_999: 1})
    assert (await left(enough), await left(scarce)) == (10, 1)


async def test_buyers_at_once_never_get_more_than_there_is(customer: Caller) -> None:
    flavor = await new_flavor(stock=50)
    answers = await asyncio.gather(
        *(place(customer.user.id, {flavor: random.choice((1, 2, 3))}) for _ in range(80)),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {intake.Placed, errors.InsufficientStock}
    assert await left(flavor) == 0


async def test_totals_belong_to_the_day_in_utc_on_which_the_order_was_placed(flavor: int) -> None:
    from icecream.tables import FlavorDay

    late = datetime(2001, 2, 3, 23, 59, 59, tzinfo=UTC)
    line = books.Line(flavor, 3, 250)
    await books.count([books.Move([line], late, {"pending": 1})])
    await books.count([books.Move([line], late, {"pending": -1, "paid": 1})])
    rows = await FlavorDay.select().where(FlavorDay.flavor == flavor).order_by(FlavorDay.status)
    assert [(str(r["day"]), r["status"], r["quantity"], r["revenue"]) for r in rows] == [
        ("2001-02-03", "paid", 3, 750),
        ("2001-02-03", "pending", 0, 0),
    ]
    await books.count([books.Move([line], late, {"paid": -1})])
