"""Test replays: the same messages are sent again, also those that were never sent."""

from datetime import UTC, datetime, timedelta

import pytest

from icecream import errors
from icecream.webhooks import deliveries, replaying
from icecream.webhooks.replaying import WebhookReplay
from tests.conftest import Caller, place
from tests.webhooks.conftest import Service, subscribe
from tests.webhooks.receivers import receiving
from tests.webhooks.test_delivering import add_events

pytestmark = pytest.mark.anyio


def last_minutes() -> WebhookReplay:
    now = datetime.now(UTC)
    return WebhookReplay(since=now - timedelta(minutes=10), until=now + timedelta(minutes=1))


async def test_one_delivery_is_sent_again_with_the_same_id(
    service: Service, customer: Caller, stranger: Caller, flavor: int
) -> None:
    user = customer.user.id
    async with receiving() as receiver, receiving() as other:
        endpoint = await subscribe(customer, receiver)
        foreign = await subscribe(stranger, other)
        await place(user, {flavor: 1})
        await service.deliver()
        (one,) = await deliveries.list_deliveries(endpoint, limit=9)
        wanted = WebhookReplay(delivery=one.id)
        queued = await replaying.replay(endpoint, wanted, user=user, by=user)
        assert queued.queued == 1
        await service.deliver()
        first, second = receiver.received
        assert first.body == second.body
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        with pytest.raises(errors.NotFound):
            await replaying.replay(foreign, wanted, user=stranger.user.id, by=None)


async def test_a_period_is_sent_again_also_what_was_never_sent(
    service: Service, customer: Caller, stranger: Caller, staff: Caller, flavor: int
) -> None:
    user, began = customer.user.id, datetime.now(UTC)
    order = (await place(user, {flavor: 1})).order
    await add_events(order, "one", "partly-refunded")
    await place(stranger.user.id, {flavor: 1})
    await service.deliver()
    async with receiving() as receiver, receiving() as some, receiving() as every:
        endpoint = await subscribe(customer, receiver)
        chosen = await subscribe(customer, some, ["order.partly_refunded"])
        of_staff = await subscribe(staff, every)
        await service.deliver()
        assert receiver.received == []
        for one in (endpoint, chosen):
            await replaying.replay(one, last_minutes(), user=user, by=user)
        # Staff see the events of all tests.
        since_now = WebhookReplay(since=began, until=last_minutes().until)
        await replaying.replay(of_staff, since_now, user=staff.user.id, by=None)
        await service.deliver()
        assert receiver.seqs() == {order: [1, 2, 3]}
        assert some.seqs() == {order: [3]}
        assert len(every.seqs()) > 1
        assert every.seqs()[order] == [1, 2, 3]
        assert receiver.unverified == []


async def test_a_period_with_too_many_events_is_refused(
    service: Service, customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "MAX_EVENTS_PER_REPLAY", 1)
    user = customer.user.id
    order = (await place(user, {flavor: 1})).order
    await add_events(order, "one")
    await service.deliver()
    async with receiving() as receiver:
        endpoint = await subscribe(customer, receiver)
        with pytest.raises(errors.ValidationFailed):
            await replaying.replay(endpoint, last_minutes(), user=user, by=user)
        assert not await deliveries.list_deliveries(endpoint, limit=9)
