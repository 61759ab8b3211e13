"""Test `Prefer: wait`, over HTTP and inside the service."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from icecream import database
from icecream.feed import events, waiting
from icecream.feed import reader as feed_reader
from icecream.payments import leases, settlement
from icecream.payments.providers import Declined
from icecream.tables import Payment
from tasks.publishing import run_publisher
from tests.conftest import Caller, new_flavor, place, settlement_result

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
def test_a_preference_is_parsed_or_ignored(field: str | None, seconds: int | None) -> None:
    assert waiting.parse_wait_preference(field) == seconds


@pytest.fixture(autouse=True)
async def published(opened: None) -> AsyncIterator[None]:
    """Publish events, as every serving process does."""
    async with run_publisher():
        yield


async def charge_of(caller: Caller) -> int | None:
    """Return the payment of the caller's one order, once there is one."""
    row = await Payment.select(Payment.id).where(Payment.order.user == caller.user.id).first()
    return row["id"] if row else None


@pytest.mark.parametrize("answer", ["ref", Declined("No money.")])
async def test_the_response_has_the_settled_order(customer: Caller, answer: Any) -> None:
    flavor, began = await new_flavor(), time.monotonic()
    asked = asyncio.create_task(
        customer.request(
            "POST",
            "/api/orders/",
            json={"flavor": flavor, "quantity": 1},
            headers={"Prefer": "wait=20", "Idempotency-Key": "wait"},
        )
    )
    # The test gets no notification of the new row, so poll for it.
    number = None
    async with asyncio.timeout(20):
        while number is None:
            await asyncio.sleep(0)
            number = await charge_of(customer)
    (mine,) = await leases.acquire_leases([number], limit=1, lease_seconds=30)
    assert not asked.done()
    if isinstance(answer, str):
        answer = mine.request.key
    await settlement.settle([settlement_result(mine, answer)])
    response = await asked
    assert time.monotonic() - began < 15
    assert response.headers["preference-applied"] == "wait=20"
    order = response.json()["order"]
    assert order["id"] == response.json()["order_id"]
    assert order["status"] == ("paid" if isinstance(answer, str) else "failed")
    # The order in the answer is read fresh and never stored with the key.
    again = await customer.request(
        "POST",
        "/api/orders/",
        json={"flavor": flavor, "quantity": 1},
        headers={"Idempotency-Key": "wait"},
    )
    assert again.headers["idempotent-replayed"] == "true"
    assert list(again.json()) == ["status", "order_id"]


async def test_after_the_longest_wait_the_response_has_the_current_order(
    customer: Caller, flavor: int
) -> None:
    body = {"flavor": flavor, "quantity": 1}
    answer = await customer.request("POST", "/api/orders/", json=body, headers={"Prefer": "wait=0"})
    assert answer.headers["preference-applied"] == "wait=0"
    assert answer.json()["order"]["status"] == "pending"
    plain = await customer.request("POST", "/api/orders/", json=body, headers={"Prefer": "x"})
    assert "preference-applied" not in plain.headers
    assert "order" not in plain.json()


async def test_all_waiting_requests_share_one_subscription_and_do_not_poll(
    customer: Caller, flavor: int
) -> None:
    free = await new_flavor(price=0)
    pending = [(await place(customer.user.id, {flavor: 1})) for _ in range(3)]
    over = (await place(customer.user.id, {free: 1})).order
    reader = feed_reader.FeedReader()
    room = waiting.SettlementWaiters(reader)
    began = time.monotonic()
    all_of_them = [
        asyncio.create_task(room.wait_until_settled(one.order, 20, user=1)) for one in pending[:2]
    ]
    assert await room.wait_until_settled(over, 20, user=1)
    assert await room.wait_until_settled(pending[2].order, 0.3, user=1)
    assert list(reader._subscribers) == [room]
    for one in pending[:2]:
        (lease,) = await leases.acquire_leases([one.payment or 0], limit=1, lease_seconds=30)
        await settlement.settle([settlement_result(lease, f"waiting {one.order}")])
    assert await asyncio.gather(*all_of_them) == [True, True]
    assert time.monotonic() - began < 10
    assert not reader._subscribers
    assert not room._waiters


async def test_one_user_has_a_limited_number_of_waiting_requests(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITS_PER_USER", 2)
    order = (await place(customer.user.id, {flavor: 1})).order
    room = waiting.SettlementWaiters(feed_reader.FeedReader())
    waits = [asyncio.create_task(room.wait_until_settled(order, 20, user=1)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await room.wait_until_settled(order, 20, user=1) is False
    # Another user still waits; a request without a wait is not counted.
    assert await room.wait_until_settled(order, 0.1, user=2)
    assert await room.wait_until_settled(order, 0, user=1)
    for one in waits:
        one.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    assert await room.wait_until_settled(order, 0.1, user=1)
    assert not room._count_by_user


async def test_a_stopping_server_answers_waiting_requests(customer: Caller, flavor: int) -> None:
    number = (await place(customer.user.id, {flavor: 1})).order
    reader = feed_reader.FeedReader()
    room = waiting.SettlementWaiters(reader)
    closed = asyncio.create_task(room.wait_until_settled(number, 20, user=1))
    await asyncio.sleep(0)
    assert number in room._waiters
    reader.close()
    assert await closed is False
    assert await room.wait_until_settled(number, 20, user=1) is False


async def test_a_timeout_around_waiting_works_and_leaves_nothing_behind(
    customer: Caller, flavor: int
) -> None:
    number = (await place(customer.user.id, {flavor: 1})).order
    room = waiting.SettlementWaiters(feed_reader.FeedReader())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await room.wait_until_settled(number, 20, user=1)
    assert not room._waiters


async def test_a_waiting_request_is_answered_when_the_database_becomes_unavailable(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise database.DatabaseUnavailable("away")

    monkeypatch.setattr(events, "read_last_event", away)
    body = {"flavor": flavor, "quantity": 1}
    answer = await customer.request("POST", "/api/orders/", json=body, headers={"Prefer": "wait=9"})
    assert list(answer.json()) == ["status", "order_id"]
    assert "preference-applied" not in answer.headers


async def test_a_preference_is_at_most_255_characters_long(customer: Caller, flavor: int) -> None:
    body = {"quantity": 1, "flavor": flavor}
    answers = [
        await customer.post("/api/orders/", body, headers={"Prefer": "x" * length})
        for length in (255, 256)
    ]
    assert [answer.status_code for answer in answers] == [200, 400]
    (error,) = answers[1].json()["errors"]
    assert error["pointer"].lower() == "/prefer"
