"""Test stock, and how a refund is shared among order lines."""

import asyncio
import random
from fractions import Fraction

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
from tests.conftest import PATIENCE, Caller, new_flavor, place, until

pytestmark = pytest.mark.anyio


async def left(flavor: int) -> int | None:
    row = await Flavor.select(Flavor.stock).where(Flavor.id == flavor).first()
    assert row is not None
    stock: int | None = row["stock"]
    return stock


async def reserve(wanted: dict[int, int]) -> list[order_lines.Line]:
    async def work() -> list[order_lines.Line]:
        stock = await inventory.lock_stock(wanted)
        lines = stock.reserve(wanted)
        await stock.save()
        return lines

    return await database.transaction(work)


async def test_stock_is_reserved_and_released_only_where_it_is_counted() -> None:
    counted, uncounted = await new_flavor(stock=10), await new_flavor()
    lines = await reserve({counted: 4, uncounted: 7})
    assert lines == [order_lines.Line(counted, 4, 250), order_lines.Line(uncounted, 7, 250)]
    assert (await left(counted), await left(uncounted)) == (6, None)
    released = await database.run_together(inventory.release_update(lines))
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


@pytest.mark.only("postgres")
async def test_a_first_order_of_counted_stock_holds_no_lock_while_it_waits(
    customer: Caller,
) -> None:
    """A shared lock on the second flavor would stop its receipt: a deadlock with the next order."""
    first, second = await new_flavor(stock=10), await new_flavor(stock=10)
    held, release = asyncio.Event(), asyncio.Event()

    async def hold_the_first() -> None:
        await database.for_no_key_update(Flavor.select(Flavor.id).where(Flavor.id == first))
        held.set()
        await release.wait()

    async def receive() -> None:
        await inventory.receive_stock(second, 5, reason="delivery", by=customer.user.id)

    async def an_order_waits() -> bool:
        return bool(await database.DB.run_ddl("SELECT 1 FROM pg_locks WHERE NOT granted"))

    holder = asyncio.create_task(database.transaction(hold_the_first))
    await held.wait()
    order = asyncio.create_task(reserve({first: 1, second: 1}))
    await until(an_order_waits)
    async with asyncio.timeout(PATIENCE):
        await database.transaction(receive)
    release.set()
    _, lines = await asyncio.gather(holder, order)
    assert (await left(first), await left(second)) == (9, 14)
    # No order has these lines, and later tests count again.
    await database.run_together(inventory.release_update(lines))


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
    stock = inventory.StockReservation(flavors={1: inventory.StockRow(1, 100, 5)}, stock={1: 5})
    stock.reserve({1: 3})
    with pytest.raises(errors.InsufficientStock) as refused:
        stock.reserve({1: 3})
    assert refused.value.members["lines"] == [{"flavor": 1, "quantity": 3, "available": 2}]
    assert [line.quantity for line in stock.reserve({1: 2})] == [2]
