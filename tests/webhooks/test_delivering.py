"""Test deliveries: each event arrives at least once, in order per order, with a valid signature."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from icecream import database
from icecream.feed import order_history
from icecream.http import metrics
from icecream.runtime import failpoints
from icecream.tables import User, WebhookDelivery, WebhookEndpoint
from icecream.webhooks import connections, deliveries, delivering, endpoint_types, endpoints, rounds
from tests.conftest import PATIENCE, Caller, place, publish_all
from tests.webhooks.conftest import Service, subscribe
from tests.webhooks.receivers import Received, receiving

pytestmark = pytest.mark.anyio


async def add_events(order: int, *kinds: str) -> None:
    happened = [order_history.OrderEvent(order, kind, {}) for kind in kinds]
    await database.transaction(lambda: order_history.record_events(happened, at=datetime.now(UTC)))


async def read_deliveries(endpoint: int) -> list[WebhookDelivery]:
    query = WebhookDelivery.objects().where(WebhookDelivery.endpoint == endpoint)
    return list(await query.order_by(WebhookDelivery.id))


async def read_endpoint(endpoint: int) -> WebhookEndpoint:
    row = await WebhookEndpoint.objects().get(WebhookEndpoint.id == endpoint)
    assert row is not None
    return row


async def test_a_customer_gets_its_own_events_and_staff_get_all(
    service: Service, customer: Caller, stranger: Caller, staff: Caller, flavor: int
) -> None:
    async with receiving() as own, receiving() as others, receiving() as all_events:
        await place(customer.user.id, {flavor: 1})
        await service.deliver()
        await subscribe(customer, own)
        await subscribe(stranger, others)
        await subscribe(staff, all_events)
        order = (await place(customer.user.id, {flavor: 2})).order
        await service.deliver()
        await service.deliver()
        assert others.received == []
        (one,) = own.received
        assert [other.body for other in all_events.received] == [one.body]
        assert (own.unverified, all_events.unverified) == ([], [])
    assert one.body["type"] == "order.placed"
    assert one.body["data"]["order"] == order
    assert one.body["data"]["status"] == "pending"
    assert one.body["data"]["total"] == 500
    assert datetime.fromisoformat(one.body["timestamp"]).tzinfo is not None
    assert one.headers["content-type"] == "application/json"
    assert one.headers["webhook-id"].startswith("evt_")


async def test_a_new_endpoint_gets_no_event_from_before_it(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving() as old, receiving() as new:
        await subscribe(customer, old)
        await place(customer.user.id, {flavor: 1})
        await publish_all()
        await subscribe(customer, new)
        await service.deliver()
        assert (len(old.received), new.received) == (1, [])


async def test_only_the_chosen_types_are_sent(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving() as receiver:
        await subscribe(customer, receiver, ["order.partly_refunded"])
        order = (await place(customer.user.id, {flavor: 1})).order
        await add_events(order, "noted", "partly-refunded")
        await service.deliver()
        assert [one.body["type"] for one in receiver.received] == ["order.partly_refunded"]


async def test_events_of_an_order_wait_for_the_one_before_and_other_orders_do_not(
    service: Service, customer: Caller, flavor: int
) -> None:
    orders = [(await place(customer.user.id, {flavor: 1})).order for _ in range(3)]
    await service.deliver()
    async with receiving(lambda one: 500 if one.order == orders[0] else 200) as receiver:
        endpoint = await subscribe(customer, receiver)
        for order in orders:
            await add_events(order, "one", "two", "three")
        await service.deliver()
        assert receiver.seqs() == {orders[1]: [2, 3, 4], orders[2]: [2, 3, 4]}
        assert len([one for one in receiver.received if one.order == orders[0]]) == 1
        # A new event of the order waits too.
        await add_events(orders[0], "four")
        await service.deliver()
        assert len([one for one in receiver.received if one.order == orders[0]]) == 1
        deliveries = await read_deliveries(endpoint)
        first, *later = [one for one in deliveries if one.order == orders[0]]
        assert (first.state, first.tries, first.status_code) == ("pending", 1, 500)
        assert first.answer == "thank you"
        assert [(one.tries, one.due_at) for one in later] == [(0, first.due_at)] * 3
        receiver.behavior = lambda one: 200
        await service.make_due()
        await service.send_due()
        assert receiver.seqs()[orders[0]] == [2, 3, 4, 5]
        assert receiver.unverified == []
        assert {one.state for one in await read_deliveries(endpoint)} == {"succeeded"}
        ids = [one.headers["webhook-id"] for one in receiver.received if one.order == orders[0]]
        assert ids[0] == ids[1]


async def test_every_event_arrives_in_order_in_spite_of_any_failures(
    service: Service, customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TOTAL_TIMEOUT_SECONDS", 0.2)
    chance = random.Random(7)
    orders = [(await place(customer.user.id, {flavor: 1})).order for _ in range(6)]
    await service.deliver()

    def behave(one: Received) -> int | float | None:
        return chance.choice([200, 200, 200, 500, 302, None, 0.4, 0.01])

    async with receiving(behave) as receiver:
        endpoint = await subscribe(customer, receiver)
        for order in orders:
            await add_events(order, "one", "two", "three", "four")
        await service.deliver()
        for _ in range(60):
            await service.make_due()
            await service.send_due()
            if {one.state for one in await read_deliveries(endpoint)} == {"succeeded"}:
                break
        assert receiver.seqs() == {order: [2, 3, 4, 5] for order in orders}
        assert receiver.unverified == []
        # The receiver has seen each order in sequence: no event before the one before it.
        for order in orders:
            tried = [one.body["data"]["seq"] for one in receiver.received if one.order == order]
            assert all(seq <= max([1, *tried[:n]]) + 1 for n, seq in enumerate(tried))


async def test_a_slow_endpoint_delays_no_other(
    service: Service, customer: Caller, stranger: Caller, flavor: int
) -> None:
    async with receiving(lambda _: 5.0) as slow, receiving() as quick:
        await subscribe(customer, slow)
        await subscribe(stranger, quick)
        for caller in (customer, stranger):
            await place(caller.user.id, {flavor: 1})
        sending_all = asyncio.create_task(service.deliver())
        async with asyncio.timeout(4):
            while not quick.accepted:  # noqa: ASYNC110  # no event to wait for
                await asyncio.sleep(0.01)
        assert slow.accepted == []
        sending_all.cancel()


async def test_a_dead_endpoint_is_paused_and_gets_few_requests(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving(lambda _: 503) as receiver:
        endpoint = await subscribe(customer, receiver)
        for _ in range(20):
            await place(customer.user.id, {flavor: 1})
        await service.deliver()
        most = rounds.MAX_FAILURES + rounds.MAX_PARALLEL
        assert rounds.MAX_FAILURES <= len(receiver.received) < most
        row = await read_endpoint(endpoint)
        assert row.failures == 1
        assert row.failing_since is not None
        assert row.next_round_at > await database.now()
        receiver.behavior = lambda _: 200
        await service.make_due()
        await service.send_due()
        assert len(receiver.seqs()) == 20
        row = await read_endpoint(endpoint)
        assert row.failures == 0
        assert row.failing_since is None


@pytest.mark.parametrize("accepted", [0, 1])
async def test_an_endpoint_gets_nothing_until_the_time_that_it_has_named(
    service: Service, customer: Caller, flavor: int, accepted: int
) -> None:
    async with receiving(lambda one: 200 if len(busy.accepted) < accepted else 429) as busy:
        busy.headers = "Retry-After: 900\r\n"
        endpoint = await subscribe(customer, busy)
        for _ in range(rounds.MAX_PARALLEL + 5):
            await place(customer.user.id, {flavor: 1})
        await service.deliver()
        sent = len(busy.received)
        assert accepted < sent <= accepted + rounds.MAX_PARALLEL
        soonest = await database.now() + timedelta(seconds=890)
        assert (await read_endpoint(endpoint)).next_round_at > soonest
        retried = [one for one in await read_deliveries(endpoint) if one.status_code == 429]
        assert len(retried) == sent - accepted
        assert all(one.due_at > soonest for one in retried)
        busy.behavior = lambda _: 200
        await service.make_due()
        await service.send_due()
        assert len(busy.accepted) == rounds.MAX_PARALLEL + 5


async def test_a_new_url_is_tried_at_once(service: Service, customer: Caller, flavor: int) -> None:
    async with receiving(lambda _: 500) as wrong, receiving() as right:
        endpoint = await subscribe(customer, wrong)
        order = (await place(customer.user.id, {flavor: 1})).order
        await service.deliver()
        edit = endpoint_types.WebhookEndpointEdit(url=right.url)
        user = customer.user.id
        await endpoints.edit_endpoint(endpoint, edit, user=user, by=user)
        await service.send_due()
        assert right.seqs() == {order: [1]}
        assert len(wrong.received) == 1


async def test_messages_are_counted_and_the_due_ones_are_a_gauge(
    service: Service, customer: Caller, flavor: int
) -> None:
    page = metrics.MetricsPage(no_redis)
    async with receiving(lambda one: 200 if one.body["data"]["seq"] == 1 else 500) as receiver:
        await subscribe(customer, receiver)
        order = (await place(customer.user.id, {flavor: 1})).order
        await add_events(order, "next")
        before = await page._write()
        await service.deliver()
        await service.make_due()
        after = await page._write()
    for result in ("accepted", "failed"):
        name = f'icecream_webhook_duration_seconds_count{{result="{result}"}} '
        assert figure(after, name) - figure(before, name) == 1
    assert figure(after, "icecream_webhook_deliveries_due ") == 1


async def no_redis() -> None:
    """Redis is not used."""


def figure(page: bytes, name: str) -> float:
    (line,) = [one for one in page.decode().splitlines() if one.startswith(name)]
    return float(line.removeprefix(name))


async def test_an_endpoint_that_fails_for_days_is_disabled_with_the_reason(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving(lambda _: 500) as receiver:
        endpoint = await subscribe(customer, receiver)
        await place(customer.user.id, {flavor: 1})
        await service.deliver()
        long_ago = datetime.now(UTC) - delivering.DISABLE_AFTER
        await WebhookEndpoint.update({WebhookEndpoint.failing_since: long_ago}, force=True)
        await service.make_due()
        await service.send_due()
        view = await endpoints.get_endpoint(endpoint, user=customer.user.id)
        assert not view.enabled
        reason = f"It has accepted no message since {long_ago.date()}: status 500"
        assert view.disabled_reason == reason
        # Nothing more is sent, and new events are not queued.
        count = len(receiver.received)
        await place(customer.user.id, {flavor: 1})
        await service.make_due()
        await service.deliver()
        assert len(receiver.received) == count
        assert len(await read_deliveries(endpoint)) == 1
        receiver.behavior = lambda _: 200
        await endpoints.enable_endpoint(endpoint, user=customer.user.id)
        await service.deliver()
        assert len(receiver.accepted) == 1
        assert (await read_endpoint(endpoint)).failing_since is None


async def test_an_endpoint_that_is_gone_is_disabled_at_once(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving(lambda _: 410) as receiver:
        endpoint = await subscribe(customer, receiver)
        await place(customer.user.id, {flavor: 1})
        await service.deliver()
        view = await endpoints.get_endpoint(endpoint, user=customer.user.id)
        assert view.disabled_reason == "It answered 410 Gone."


async def test_a_delivery_fails_after_its_last_try_and_the_next_one_follows(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving(lambda one: 500 if one.body["data"]["seq"] == 1 else 200) as receiver:
        endpoint = await subscribe(customer, receiver)
        order = (await place(customer.user.id, {flavor: 1})).order
        await add_events(order, "next")
        for _ in range(len(rounds.RETRY_DELAYS) + 1):
            await service.make_due()
            await service.deliver()
            assert receiver.accepted == []
        await service.make_due()
        await service.deliver()
        first, second = await read_deliveries(endpoint)
        assert (first.state, first.tries) == ("failed", len(rounds.RETRY_DELAYS) + 1)
        assert first.due_at is None
        assert (second.state, receiver.seqs()) == ("succeeded", {order: [2]})


def test_the_pauses_follow_the_schedule_of_standard_webhooks() -> None:
    hours = (2, 5, 10, 14, 20, 24)
    assert (5, 300, 1800, *(3600 * one for one in hours)) == rounds.RETRY_DELAYS
    for tries, seconds in enumerate(rounds.RETRY_DELAYS, start=1):
        delay = rounds.retry_delay_ms(tries)
        assert delay is not None
        assert abs(delay / 1000 - seconds) <= rounds.JITTER * seconds
    assert rounds.retry_delay_ms(len(rounds.RETRY_DELAYS) + 1) is None


async def test_a_rotated_secret_signs_beside_the_new_one_until_the_overlap_ends(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving() as receiver:
        endpoint = await subscribe(customer, receiver)
        user = customer.user.id
        rotated = await endpoints.rotate_secret(endpoint, 1, user=user, by=user)
        old = receiver.secrets[0]
        receiver.secrets = [old, rotated.secret]
        await place(user, {flavor: 1})
        await service.deliver()
        assert (len(receiver.received), receiver.unverified) == (1, [])
        past = datetime.now(UTC) - timedelta(seconds=1)
        await WebhookEndpoint.update({WebhookEndpoint.previous_secret_until: past}, force=True)
        receiver.secrets = [rotated.secret]
        await place(user, {flavor: 1})
        await service.deliver()
        assert (len(receiver.received), receiver.unverified) == (2, [])
        assert len(receiver.received[1].headers["webhook-signature"].split()) == 1


async def test_a_user_who_may_not_see_an_order_any_more_gets_no_message_about_it(
    service: Service, customer: Caller, staff: Caller, flavor: int
) -> None:
    async with receiving(lambda _: 500) as receiver:
        endpoint = await subscribe(staff, receiver)
        await place(customer.user.id, {flavor: 1})
        await service.deliver()
        await User.update({User.admin: False}).where(User.id == staff.user.id)
        await service.make_due()
        await service.deliver()
        assert len(receiver.received) == 1
        (one,) = await read_deliveries(endpoint)
        assert (one.state, one.error) == ("failed", rounds.FORBIDDEN.error)
        await User.update({User.active: False}).where(User.id == staff.user.id)
        await place(staff.user.id, {flavor: 1})
        await service.deliver()
        assert len(receiver.received) == 1


async def test_a_round_that_was_not_recorded_is_sent_again(
    service: Service, customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        endpoint = await subscribe(customer, receiver)
        order = (await place(customer.user.id, {flavor: 1})).order
        await add_events(order, "next")

        def crash() -> None:
            raise database.DatabaseUnavailable("the test ends it here")

        monkeypatch.setattr(failpoints, "_armed", {"deliveries.sent": crash})
        await service.deliver()
        monkeypatch.setattr(failpoints, "_armed", {})
        assert len(receiver.received) == 2
        # The lease has not ended.
        await service.send_due()
        assert len(receiver.received) == 2
        await service.make_due()
        await service.send_due()
        assert [one.body["data"]["seq"] for one in receiver.received] == [1, 2, 1, 2]
        assert {one.state for one in await read_deliveries(endpoint)} == {"succeeded"}


async def test_a_worker_that_stops_records_what_was_sent_and_sends_no_more(
    service: Service, customer: Caller, flavor: int
) -> None:
    async with receiving(lambda _: 0.2) as receiver:
        endpoint = await subscribe(customer, receiver)
        order = (await place(customer.user.id, {flavor: 1})).order
        await add_events(order, "two", "three")
        delivering_all = asyncio.create_task(service.deliver())
        async with asyncio.timeout(PATIENCE):
            while not receiver.received:  # noqa: ASYNC110  # no event to wait for
                await asyncio.sleep(0.01)
        await service.deliverer.close(PATIENCE)
        await delivering_all
        assert receiver.seqs() == {order: [1]}
        states = [one.state for one in await read_deliveries(endpoint)]
        assert states == ["succeeded", "pending", "pending"]


async def test_an_endpoint_that_another_worker_leases_just_now_is_left_to_it(
    service: Service, customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_none(query: object) -> list[dict[str, object]]:
        return []

    async with receiving() as receiver:
        endpoint = await subscribe(customer, receiver)
        await deliveries.send_test(endpoint, user=customer.user.id)
        monkeypatch.setattr(database, "for_update_skip_locked", find_none)
        await service.send_due()
        assert receiver.received == []
        monkeypatch.undo()
        assert (await read_endpoint(endpoint)).lease == 0


async def test_an_unused_feed_costs_no_transaction(service: Service, customer: Caller) -> None:
    async with receiving() as receiver:
        await subscribe(customer, receiver)
        await service.deliver()
        before = await WebhookEndpoint.select(WebhookEndpoint.lease)
        await service.send_due()
        assert await WebhookEndpoint.select(WebhookEndpoint.lease) == before
