"""Test that a query is joined with the rows that refer to its rows."""

from typing import Any

import pytest
from piccolo.query import Select

from icecream import database
from icecream.tables import Order, OrderLine
from tests.conftest import Caller, new_flavor, place

pytestmark = pytest.mark.anyio


async def join(query: Select[Any], *order_by: tuple[Any, bool]) -> list[tuple[Any, ...]]:
    return await database.select_with_children(
        query, OrderLine.order, (OrderLine.flavor, OrderLine.quantity), order_by=order_by
    )


async def test_rows_and_their_children_are_sorted(customer: Caller) -> None:
    cheap, dear = await new_flavor(price=1), await new_flavor(price=100)
    lines = [{dear: 1, cheap: 1}, {cheap: 7}, {cheap: 101}]
    first, second, third = [(await place(customer.user.id, one)).order for one in lines]

    def query() -> Select[Any]:
        return Order.select(Order.id, Order.total).where(Order.user == customer.user.id)

    assert await join(query(), (Order.total, False), (Order.id, True)) == [
        (first, 101, dear, 1),
        (first, 101, cheap, 1),
        (third, 101, cheap, 101),
        (second, 7, cheap, 7),
    ]
    assert await join(query().limit(1), (Order.id, False)) == [(third, 101, cheap, 101)]


async def test_values_have_the_types_of_their_columns(customer: Caller, flavor: int) -> None:
    number = (await place(customer.user.id, {flavor: 3})).order
    columns = (Order.id, Order.status, Order.created_at, Order.cancel_requested)
    (expected,) = await Order.select(*columns).where(Order.id == number)
    query = Order.select(*columns).where(Order.id == number)
    assert await join(query, (Order.id, True)) == [(*expected.values(), flavor, 3)]
    assert await join(Order.select(Order.id).where(Order.id == 0), (Order.id, True)) == []
