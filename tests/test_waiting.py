"""Prefer: wait, over HTTP and within."""

import asyncio
import time
from typing import Any

import pytest

from icecream import payments, waiting
from icecream.gateway import Declined
from icecream.tables import Payment
from tests.conftest import Caller, new_flavor, place, verdict

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("wait=5", 5),
        ("Wait=5", 5),
        ('wait="7"', 7),
        ("wait = 3", 3),
        ("respond-async, wait=10", 10),
        ("wait=4; foo=bar", 4),
        ("wait=1, wait=2", 1),
        ("wait=0", 0),
        ("wait=31", 30),
        ("wait=" + "9" * 5000, 30),
        ("", None),
        (None, None),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=\u0663", None),
        ("await=1", None),
        ("return=minimal", None),
    ],
)
def test_a_preference_is_understood_or_ignored(field: str | None, seconds: int | None) -> None:
    assert waiting.asked(field) == seconds


async def charge_of(caller: Caller) -> int | None:
    """The payment of the caller's one order, once there is one."""
    row = await Payment.select(Payment.id).where(Payment.order.user == caller.user.id).first()
    return row["id"] if row else None


@pytest.mark.parametrize("answer", ["ref", Declined("No money.")])
async def test_the_answer_comes_with_the_settled_order(customer: Caller, answer: Any) -> None:
    flavor, began = await new_flavor(), time.monotonic()
    asked = asyncio.create_task(
        customer.request(
            "POST",
            "/api/orders/",
            json={"flavor": flavor, "quantity": 1},
            headers={"Prefer": "wait=20", "Idempotency-Key": "wait"},
        )
    )
    # What happens in the database can only be looked for.
    number = None
    async with asyncio.timeout(20):
        while number is None:
            await asyncio.sleep(0)
            number = await charge_of(customer)
    (mine,) = await payments.claim([number], limit=1, lease=30)
    assert not asked.done()
    if isinstance(answer, str):
        answer = mine.request.key
    await payments.settle([verdict(mine, answer)])
    response = await asked
    assert time.monotonic() - began < 15
    assert response.headers["preference-applied"] == "wait=20"
    order = response.json()["order"]
    assert order["id"] == response.json()["order_id"]
    assert order["status"] == ("paid" if isinstance(answer, str) else "failed")
    # Read fresh, and never stored with the key.
    again = await customer.request(
        "POST",
        "/api/orders/",
        json={"flavor": flavor, "quantity": 1},
        headers={"Idempotency-Key": "wait"},
    )
    assert again.headers["idempotent-replayed"] == "true"
    assert list(again.json()) == ["status", "order_id"]


async def test_who_has_waited_long_enough_is_answered_with_what_there_is(
    customer: Caller, flavor: int
) -> None:
    body = {"flavor": flavor, "quantity": 1}
    answer = await customer.request("POST", "/api/orders/", json=body, headers={"Prefer": "wait=0"})
    assert answer.headers["preference-applied"] == "wait=0"
    assert answer.json()["order"]["status"] == "pending"
    plain = await customer.request("POST", "/api/orders/", json=body, headers={"Prefer": "x"})
    assert "preference-applied" not in plain.headers
    assert "order" not in plain.json()


async def test_one_reader_asks_for_all_who_wait_and_then_no_more(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = waiting._settled, []

    async def settled(orders: set[int]) -> set[int]:
        reads.append(len(orders))
        return await real(orders)

    monkeypatch.setattr(waiting, "_settled", settled)
    free = await new_flavor(price=0)
    pending = [(await place(customer.user.id, {flavor: 1})).order for _ in range(3)]
    over = (await place(customer.user.id, {free: 1})).order
    room = waiting.Waiting()
    began = time.monotonic()
    answers = await asyncio.gather(
        room.settled(over, 20), *(room.settled(order, 0.2) for order in pending)
    )
    assert answers == [True] * 4
    assert time.monotonic() - began < 10
    assert reads[0] == 4
    assert max(reads[1:]) == 3
    count = len(reads)
    await asyncio.sleep(3 * waiting.EVERY)
    assert len(reads) <= count + 1


async def test_a_server_that_stops_answers_who_waits(customer: Caller, flavor: int) -> None:
    number = (await place(customer.user.id, {flavor: 1})).order
    room = waiting.Waiting()
    task = asyncio.create_task(room.settled(number, 20))
    await asyncio.sleep(0.1)
    task.cancel()
    assert await task is False
