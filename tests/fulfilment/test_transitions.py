"""Test moving orders between the states of fulfilment, with payment, history and repetition."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from icecream import errors, states
from icecream.fulfilment import transitions
from icecream.fulfilment.transitions import MoveResult
from icecream.orders import actions
from icecream.payments.providers import Declined
from icecream.tables import Event, Order, Unpublished
from tests import ledger
from tests.conftest import Caller, carry_out, new_flavor, place

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def balanced() -> AsyncIterator[None]:
    yield
    await ledger.check()


async def paid_orders(user: int, count: int = 1) -> list[int]:
    flavor = await new_flavor(stock=100)
    orders = [(await place(user, {flavor: 2})).order for _ in range(count)]
    for order in orders:
        await carry_out(order)
    return orders


async def fulfilment_of(order: int) -> str:
    (row,) = await Order.select(Order.fulfilment).where(Order.id == order)
    return str(row["fulfilment"])


async def walk(order: int, *steps: str, by: int) -> None:
    for state in steps:
        assert (await transitions.move([order], state, by=by)).moved == [order], state


WAYS = {
    "unfulfilled": (),
    "packed": ("packed",),
    "delivered": ("packed", "delivered"),
    "returned": ("packed", "delivered", "returned"),
}


@pytest.mark.parametrize("start", states.FULFILMENT)
async def test_a_paid_order_takes_each_allowed_step_and_no_other(
    customer: Caller, staff: Caller, start: str
) -> None:
    for state in states.FULFILMENT:
        (order,) = await paid_orders(customer.user.id)
        await walk(order, *WAYS[start], by=staff.user.id)
        result = await transitions.move([order], state, by=staff.user.id)
        if state == start:
            assert result == MoveResult([], [order], [])
        elif state in states.FULFILMENT[start]:
            assert result == MoveResult([order], [], [])
            assert await fulfilment_of(order) == state
        else:
            assert (result.moved, result.unchanged) == ([], [])
            assert result.refused[0].code == "invalid-transition"
            assert await fulfilment_of(order) == start


async def test_each_step_is_an_event_with_who_and_when(customer: Caller, staff: Caller) -> None:
    (order,) = await paid_orders(customer.user.id)
    at = datetime(2026, 5, 13, 6, 0, tzinfo=UTC)
    await transitions.move([order], "packed", by=staff.user.id, at=at)
    await transitions.move([order], "delivered", by=staff.user.id, reason="at the back door")
    history = (await customer.get(f"/api/orders/{order}/")).json()["history"]
    packed, delivered = history[-2:]
    assert packed == {"type": "packed", "at": "2026-05-13T06:00:00Z", "by": staff.user.id}
    assert (delivered["type"], delivered["by"]) == ("delivered", staff.user.id)
    assert delivered["reason"] == "at the back door"
    events = await Event.select(Event.id).where(Event.order == order).order_by(Event.seq)
    waiting = str(await Unpublished.select(Unpublished.events))
    assert all(str(event["id"]) in waiting for event in events[-2:])


async def test_a_repeated_step_is_no_second_event(customer: Caller, staff: Caller) -> None:
    (order,) = await paid_orders(customer.user.id)
    for _ in range(2):
        await transitions.move([order, order], "packed", by=staff.user.id)
    assert await Event.count().where(Event.order == order, Event.type == "packed") == 1


async def test_only_paid_orders_are_packed_and_the_others_are_named(
    customer: Caller, staff: Caller
) -> None:
    flavor = await new_flavor(stock=100)
    pending, failed, canceled, paid, free = [
        (await place(customer.user.id, lines)).order
        for lines in (
            {flavor: 1},
            {flavor: 2},
            {flavor: 3},
            {flavor: 4},
            {await new_flavor(price=0): 1},
        )
    ]
    await carry_out(failed, Declined("no funds"))
    await actions.cancel_order(canceled, by=customer.user.id)
    await carry_out(paid)
    wanted = [free, 2**62, paid, canceled, failed, pending]
    result = await transitions.move(wanted, "packed", by=staff.user.id)
    assert result.moved == [paid, free]
    assert {one.order: one.code for one in result.refused} == {
        pending: "not-paid",
        failed: "not-paid",
        canceled: "not-paid",
        2**62: "not-found",
    }
    assert {one.detail for one in result.refused} == {
        f"Order {pending} is pending; only a paid order can be packed.",
        f"Order {failed} is failed; only a paid order can be packed.",
        f"Order {canceled} is canceled; only a paid order can be packed.",
        f"There is no order {2**62}.",
    }


async def test_a_refunded_order_is_not_delivered_but_can_be_unpacked(
    customer: Caller, staff: Caller
) -> None:
    (order,) = await paid_orders(customer.user.id)
    await walk(order, "packed", by=staff.user.id)
    staged = await actions.refund_order(order, None, reason="melted", by=staff.user.id)
    refused = await transitions.move([order], "delivered", by=staff.user.id)
    assert [one.code for one in refused.refused] == ["not-paid"]
    await walk(order, "unfulfilled", by=staff.user.id)
    assert staged


async def test_an_order_that_is_being_canceled_is_not_packed(
    customer: Caller, staff: Caller
) -> None:
    (order,) = await paid_orders(customer.user.id)
    # Its refund is in progress, so the cancellation waits for it.
    await actions.refund_order(order, 100, reason="melted", by=staff.user.id)
    await actions.cancel_order(order, by=customer.user.id)
    result = await transitions.move([order], "packed", by=staff.user.id)
    assert [one.code for one in result.refused] == ["cancel-requested"]


@pytest.mark.parametrize("state", ["packed", "delivered", "returned"])
async def test_an_order_whose_goods_have_left_their_place_is_not_canceled(
    customer: Caller, staff: Caller, state: str
) -> None:
    (order,) = await paid_orders(customer.user.id)
    await walk(order, *WAYS[state], by=staff.user.id)
    assert (await staff.get(f"/api/orders/{order}/")).json()["actions"] == ["refund"]
    answer = await customer.post(f"/api/orders/{order}/cancel/")
    assert answer.status_code == 409
    assert (answer.json()["code"], answer.json()["fulfilment"]) == ("already-packed", state)


async def test_an_unpacked_order_can_be_canceled(customer: Caller, staff: Caller) -> None:
    (order,) = await paid_orders(customer.user.id)
    await walk(order, "packed", "unfulfilled", by=staff.user.id)
    assert await actions.cancel_order(order, by=customer.user.id)


async def test_packing_and_canceling_at_once_end_in_one_of_both(
    customer: Caller, staff: Caller
) -> None:
    orders = await paid_orders(customer.user.id, 6)
    # In the opposite order of the locks.
    moves = transitions.move(list(reversed(orders)), "packed", by=staff.user.id)
    cancels = [actions.cancel_order(order, by=customer.user.id) for order in orders]
    result, *canceled = await asyncio.gather(moves, *cancels, return_exceptions=True)
    assert isinstance(result, MoveResult)
    for order, outcome in zip(orders, canceled, strict=True):
        assert (order in result.moved) == isinstance(outcome, errors.AlreadyPacked)


async def test_two_moves_at_once_make_one_step_of_each_order(
    customer: Caller, staff: Caller
) -> None:
    orders = await paid_orders(customer.user.id, 5)
    first, second = await asyncio.gather(
        transitions.move(orders, "packed", by=staff.user.id),
        transitions.move(orders[::-1], "packed", by=staff.user.id),
    )
    assert sorted(first.moved + second.moved) == orders
    assert sorted(first.unchanged + second.unchanged) == orders
