"""Test the call that moves orders between the states of fulfilment."""

from typing import get_args

import pytest

from icecream import states
from icecream.fulfilment.http import moves
from icecream.tables import Event
from tests.conftest import Caller, carry_out, place

pytestmark = pytest.mark.anyio
PATH = "/api/orders/fulfilment/"


def test_the_call_accepts_each_state() -> None:
    assert get_args(moves.State) == tuple(states.FULFILMENT)


async def test_staff_pack_many_orders_in_one_call(
    customer: Caller, staff: Caller, flavor: int
) -> None:
    orders = [(await place(customer.user.id, {flavor: 1})).order for _ in range(3)]
    for order in orders[:2]:
        await carry_out(order)
    answer = await staff.post(PATH, {"orders": orders, "to": "packed"})
    assert answer.status_code == 200
    detail = f"Order {orders[2]} is pending; only a paid order can be packed."
    refused = {"order": orders[2], "code": "not-paid", "detail": detail}
    assert answer.json() == {"moved": orders[:2], "unchanged": [], "refused": [refused]}
    again = await staff.post(PATH, {"orders": orders[:2], "to": "packed"})
    assert again.json() == {"moved": [], "unchanged": orders[:2], "refused": []}
    packed = (await customer.get("/api/orders/?fulfilment=packed")).json()
    assert [order["id"] for order in packed] == orders[:2]


async def test_a_repeated_call_with_a_key_changes_nothing_later(
    customer: Caller, staff: Caller, flavor: int
) -> None:
    order = (await place(customer.user.id, {flavor: 1})).order
    await carry_out(order)
    body = {"orders": [order], "to": "packed"}
    key = {"Idempotency-Key": f"pack-{order}"}
    first = await staff.post(PATH, body, headers=key)
    await staff.post(PATH, {"orders": [order], "to": "unfulfilled"})
    again = await staff.post(PATH, body, headers=key)
    assert again.json() == first.json() == {"moved": [order], "unchanged": [], "refused": []}
    assert again.headers["Idempotent-Replayed"] == "true"
    view = (await customer.get(f"/api/orders/{order}/")).json()
    assert view["fulfilment"] == "unfulfilled"


async def test_customers_do_not_move_orders(customer: Caller, flavor: int) -> None:
    order = (await place(customer.user.id, {flavor: 1})).order
    await carry_out(order)
    assert (await customer.post(PATH, {"orders": [order], "to": "packed"})).status_code == 403
    assert not await Event.exists().where(Event.order == order, Event.type == "packed")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"to": "packed"}, "/orders"),
        ({"orders": [], "to": "packed"}, "/orders"),
        ({"orders": list(range(1, 502)), "to": "packed"}, "/orders"),
        ({"orders": [1, "x"], "to": "packed"}, "/orders/1"),
        ({"orders": [0], "to": "packed"}, "/orders/0"),
        ({"orders": [1]}, "/to"),
        ({"orders": [1], "to": "lost"}, "/to"),
        ({"orders": [1], "to": "packed", "reason": " "}, "/reason"),
        ({"orders": [1], "to": "packed", "by": 1}, "/by"),
    ],
)
async def test_a_wrong_body_is_refused_and_named(
    staff: Caller, body: dict[str, object], pointer: str
) -> None:
    answer = await staff.post(PATH, body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer
