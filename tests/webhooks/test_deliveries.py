"""Test the log of deliveries, test messages, and the removal of what is old."""

from datetime import UTC, datetime, timedelta

import pytest

from icecream import errors
from icecream.tables import WebhookDelivery, WebhookEndpoint
from icecream.webhooks import deliveries, endpoints
from tests.conftest import Caller, place
from tests.webhooks.conftest import Service, subscribe
from tests.webhooks.receivers import receiving

pytestmark = pytest.mark.anyio


async def test_a_test_message_is_sent_and_its_answer_is_in_the_log(
    service: Service, customer: Caller
) -> None:
    async with receiving() as receiver:
        endpoint = await subscribe(customer, receiver)
        queued = await deliveries.send_test(endpoint, user=customer.user.id)
        assert (queued.state, queued.tries) == ("pending", 0)
        await service.deliver()
        (one,) = receiver.received
        assert (one.body["type"], receiver.unverified) == ("webhook.test", [])
        assert one.headers["webhook-id"] == queued.message
        (logged,) = await deliveries.list_deliveries(endpoint, limit=9)
        assert (logged.id, logged.state, logged.tries) == (queued.id, "succeeded", 1)
        assert (logged.status_code, logged.answer, logged.due_at) == (200, "thank you", None)
        assert logged.body == queued.body


async def test_nothing_is_added_by_hand_while_too_much_waits_or_it_is_disabled(
    service: Service, customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MAX_PENDING_BY_HAND", 2)
    user = customer.user.id
    async with receiving() as receiver:
        endpoint = await subscribe(customer, receiver)
        for _ in range(2):
            await deliveries.send_test(endpoint, user=user)
        with pytest.raises(errors.TooManyDeliveries):
            await deliveries.send_test(endpoint, user=user)
        await endpoints.disable_by_user(endpoint, user=user)
        with pytest.raises(errors.WebhookDisabled):
            await deliveries.send_test(endpoint, user=user)


async def test_old_deliveries_and_deleted_endpoints_are_removed(
    service: Service, customer: Caller
) -> None:
    user = customer.user.id
    async with receiving() as receiver:
        kept, deleted = [await subscribe(customer, receiver) for _ in range(2)]
        old, new = [await deliveries.send_test(kept, user=user) for _ in range(2)]
        await deliveries.send_test(deleted, user=user)
    long_ago = datetime.now(UTC) - deliveries.RETENTION - timedelta(minutes=1)
    created = {WebhookDelivery.created_at: long_ago}
    await WebhookDelivery.update(created).where(WebhookDelivery.id == old.id)
    await endpoints.delete_endpoint(deleted, user=user, by=user)
    while await deliveries.prune_deliveries():
        pass
    assert await WebhookDelivery.select(WebhookDelivery.id) == [{"id": new.id}]
    assert await WebhookEndpoint.select(WebhookEndpoint.id) == [{"id": kept}]


async def test_an_endpoint_for_which_too_much_waits_is_disabled(
    service: Service, customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        deliveries, "_OVERFULL", deliveries._OVERFULL.replace(str(deliveries.MAX_PENDING), "1")
    )
    async with receiving() as receiver:
        endpoint, other = [await subscribe(customer, receiver) for _ in range(2)]
        for one in (endpoint, endpoint, other):
            await deliveries.send_test(one, user=customer.user.id)
        await deliveries.prune_deliveries()
    view = await endpoints.get_endpoint(endpoint, user=None)
    assert view.disabled_reason == deliveries.TOO_MANY_PENDING
    assert (await endpoints.get_endpoint(other, user=None)).enabled


async def test_the_log_is_filtered_and_newest_first(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving(lambda one: 200 if one.order else 500) as receiver:
        endpoint = await subscribe(customer, receiver)
        await place(customer.user.id, {flavor: 1})
        await service.deliver()
        await deliveries.send_test(endpoint, user=customer.user.id)
        await service.deliver()
        read = deliveries.list_deliveries
        both = await read(endpoint, limit=9)
        assert [one.type for one in both] == ["webhook.test", "order.placed"]
        pending = await read(endpoint, state="pending", limit=9)
        assert [one.status_code for one in pending] == [500]
        assert await read(endpoint, before=both[0].id, limit=9) == both[1:]
