"""Test stock, and how a refund is shared among order lines."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icecream import database, errors
from icecream.catalogue import inventory, order_lines
from icecream.orders import placing
from icecream.tables import (
    MAX_PRICE,
    MAX_QUANTITY,
    MAX_STOCK,
    Flavor,
)
from tests.conftest import Caller, new_flavor, place

pytestmark = pytest.mark.anyio


async def left(flavor: int) -> int | None:
    row = await Flavor.select(Flavor.stock).where(Flavor.id == flavor).first()
    assert row is not None
    stock: int | None = row["stock"]
    return stock


async def reserve(wanted: dict[int, int]) -> list[order_lines.Line]:
    async def work() -> list[order_lines.Line]:
        stock = await inventory.read_stock(wanted)
        lines = stock.reserve(wanted)
        await database.write_together(*stock.statements())
        return lines

    return await database.transaction(work)


async def test_stock_is_reserved_and_released_only_where_it_is_counted() -> None:
    counted, uncounted = await new_flavor(stock=10), await new_flavor()
    lines = await reserve({counted: 4, uncounted: 7})
    assert lines == [order_lines.Line(counted, 4, 250), order_lines.Line(uncounted, 7, 250)]
    assert (await left(counted), await left(uncounted)) == (6, None)
    stock = [{"id": counted, "stock": 6}, {"id": uncounted, "stock": None}]
    released = await database.run_together(*inventory.release_statements(lines, stock))
    assert (await left(counted), await left(uncounted)) == (10, None)
    assert [row["id"] for row in released] == [counted]


async def test_a_refused_reservation_takes_nothing() -> None:
    enough, scarce = await new_flavor(stock=10), await new_flavor(stock=1)
    with pytest.raises(errors.InsufficientStock) as refusal:
        await reserve({enough: 5, scarce: 2})
    assert refusal.value.members["lines"] == [{"flavor": scarce, "quantity": 2, "available": 1}]
    with pytest.raises(inventory.UnknownFlavor):
        await reserve({enough: 5, 999_999: 1})
    assert (await left(enough), await left(scarce)) == (10, 1)


Change = Callable[[int], Awaitable[Any]]


async def raise_price(flavor: int) -> None:
    await Flavor.update({Flavor.price: 300}).where(Flavor.id == flavor)


async def limit_season(flavor: int) -> None:
    await Flavor.update({Flavor.on_sale_to: date(2020, 1, 1)}).where(Flavor.id == flavor)


async def archive(flavor: int) -> None:
    await Flavor.update({Flavor.archived: True}).where(Flavor.id == flavor)


async def sell_most(flavor: int) -> None:
    await Flavor.update({Flavor.stock: 3}).where(Flavor.id == flavor)


@pytest.mark.only("postgres")
@pytest.mark.parametrize(
    ("stock", "change"),
    [
        *((stock, change) for stock in (None, 10) for change in (raise_price, limit_season)),
        *((None, archive), (10, archive), (10, sell_most), (None, sell_most)),
    ],
)
async def test_a_flavor_that_changes_after_it_was_read_is_read_again(
    stock: int | None, change: Change
) -> None:
    flavor = await new_flavor(stock=stock)
    reservation = await inventory.read_stock([flavor])
    reservation.reserve({flavor: 4})
    await change(flavor)
    before = await left(flavor)
    with pytest.raises(database.RetryTransaction):
        await database.write_together(*reservation.statements())
    assert await left(flavor) == before
    # Later tests count again.
    await Flavor.update({Flavor.stock: stock}).where(Flavor.id == flavor)


async def test_buyers_at_once_never_get_more_than_there_is(customer: Caller) -> None:
    flavor = await new_flavor(stock=50)
    answers = await asyncio.gather(
        *(place(customer.user.id, {flavor: random.choice((1, 2, 3))}) for _ in range(80)),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {placing.PlacedOrder, errors.InsufficientStock}
    assert await left(flavor) == 0


@given(
    st.lists(
        st.tuples(st.integers(1, MAX_QUANTITY), st.integers(0, MAX_PRICE)), min_size=1, max_size=100
    ),
    st.data(),
)
def test_a_refund_is_shared_by_price_and_to_the_cent(
    wanted: list[tuple[int, int]], data: st.DataObject
) -> None:
    lines = [order_lines.Line(1, quantity, price) for quantity, price in wanted]
    total = sum(line.total for line in lines)
    refunded = data.draw(st.integers(0, total))
    shared = order_lines.share_refund(lines, refunded)
    assert sum(line.refunded for line in shared) == refunded
    for line in shared:
        fair = Fraction(refunded * line.total, total or 1)
        assert abs(line.refunded - fair) < 1
        assert 0 <= line.refunded <= line.total


async def test_orders_of_one_batch_share_the_stock() -> None:
    flavor = await new_flavor(stock=5)
    stock = await inventory.read_stock([flavor])
    stock.reserve({flavor: 3})
    with pytest.raises(errors.InsufficientStock) as refusal:
        stock.reserve({flavor: 3})
    assert refusal.value.members["lines"] == [{"flavor": flavor, "quantity": 3, "available": 2}]
    assert stock.reserve({flavor: 2}) == [order_lines.Line(flavor, 2, 250)]


async def test_stock_is_received_up_to_the_most_that_is_counted(customer: Caller) -> None:
    flavor, by = await new_flavor(stock=1), customer.user.id
    await inventory.receive_stock(flavor, MAX_STOCK - 1, reason="delivery", by=by)
    with pytest.raises(errors.ValidationFailed):
        await inventory.receive_stock(flavor, 1, reason="delivery", by=by)
    await inventory.receive_stock(flavor, -MAX_STOCK, reason="melted", by=by)
    assert await left(flavor) == 0


def test_an_indivisible_rest_goes_to_the_last_lines() -> None:
    shared = order_lines.share_refund(
        [order_lines.Line(flavor, 1, 100) for flavor in (1, 2, 3)], 200
    )
    assert [line.refunded for line in shared] == [66, 67, 67]


def test_stock_reserved_by_the_same_batch_is_not_available() -> None:
    stock = inventory.StockReservation({1: inventory.StockRow(1, 100, 5)})
    stock.reserve({1: 3})
    with pytest.raises(errors.InsufficientStock) as refused:
        stock.reserve({1: 3})
    assert refused.value.members["lines"] == [{"flavor": 1, "quantity": 3, "available": 2}]
    assert [line.quantity for line in stock.reserve({1: 2})] == [2]
