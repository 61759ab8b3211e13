"""Test the feed: it sorts all events in one order, and no reader misses or repeats an event."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from icecream import database, errors
from icecream.database import DB
from icecream.feed import events, order_history, publisher, subscription
from icecream.feed import reader as feed_reader
from icecream.orders import actions, placing
from icecream.orders.details import OrderDetails
from icecream.payments import leases, settlement
from icecream.runtime import background
from icecream.tables import Event, Feed
from tests import ledger
from tests.conftest import (
    Caller,
    ignore_notification,
    new_flavor,
    place,
    publish_all,
    settlement_result,
)

pytestmark = pytest.mark.anyio


async def note(order: int, kind: str = "noted", **about: Any) -> None:
    """Record an event of an order."""
    happened = [order_history.OrderEvent(order, kind, about)]
    await database.transaction(lambda: order_history.record_events(happened, at=datetime.now(UTC)))


async def types(after: int, **kwargs: Any) -> list[str]:
    return [
        one.data.type
        for one in await events.read_events(after, after + events.MAX_EVENTS_PER_READ, **kwargs)
    ]


@asynccontextmanager
async def open_stream(
    after: int, *, user: int | None = None, reader: feed_reader.FeedReader | None = None
) -> AsyncIterator[tuple[subscription.EventStream, Any]]:
    """Yield a stream and the iterator over its events."""
    stream = subscription.EventStream(reader or feed_reader.FeedReader(), user=user, after=after)
    async with asyncio.timeout(20), aclosing(aiter(stream)) as iterator:
        yield stream, iterator


async def next_events(iterator: Any, count: int) -> list[events.PublishedEvent]:
    """Return the next `count` events."""
    published: list[events.PublishedEvent] = []
    while len(published) < count:
        published += await anext(iterator)
    assert len(published) == count
    return published


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # no event to wait for
            await asyncio.sleep(0.01)


def positions(published: Sequence[events.PublishedEvent]) -> list[int]:
    return [one.position for one in published]


async def test_events_get_consecutive_positions_in_commit_order(
    customer: Caller, flavor: int
) -> None:
    begin = await publish_all()
    order = (await place(customer.user.id, {flavor: 1})).order
    assert await types(begin) == []
    await note(order)
    free = (await place(customer.user.id, {await new_flavor(price=0): 1})).order
    assert await publish_all() == begin + 4
    published = await events.read_events(begin, begin + 10)
    assert positions(published) == [begin + 1, begin + 2, begin + 3, begin + 4]
    assert [(one.data.order, one.data.seq) for one in published] == [
        (order, 1),
        (order, 2),
        (free, 1),
        (free, 2),
    ]
    last = await events.read_last_event()
    assert (last.position, last.at) == (begin + 4, published[-1].data.at)
    await ledger.check()


@pytest.mark.only("postgres")
async def test_an_event_that_is_committed_late_is_published_late_and_no_reader_misses_it(
    customer: Caller, flavor: int
) -> None:
    orders = [(await place(customer.user.id, {flavor: 1})).order for _ in range(2)]
    begin = await publish_all()
    written, commit = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        await order_history.record_events(
            [order_history.OrderEvent(orders[0], "early", {})], at=datetime.now(UTC)
        )
        written.set()
        await commit.wait()

    async with open_stream(begin) as (_, iterator):
        slow = asyncio.create_task(database.transaction(slowly))
        await written.wait()
        await note(orders[1], "late")
        await publish_all()
        (late,) = await next_events(iterator, 1)
        commit.set()
        await slow
        await publish_all()
        (early,) = await next_events(iterator, 1)
    assert [(one.position, one.data.type) for one in (late, early)] == [
        (begin + 1, "late"),
        (begin + 2, "early"),
    ]
    ids = await Event.select(Event.id).where(Event.position > begin).order_by(Event.position)
    # If every transaction is serializable, the slow one had to retry, and its event got a newer id.
    isolation = (await Event.raw("SHOW default_transaction_isolation"))[0].popitem()[1]
    assert isolation == "serializable" or ids[0]["id"] > ids[1]["id"]


@pytest.mark.only("postgres")
async def test_only_one_publisher_works_at_a_time(customer: Caller, flavor: int) -> None:
    begin = await publish_all()
    await place(customer.user.id, {flavor: 1})
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with DB.transaction():
            await database.for_no_key_update(Feed.select(Feed.last))
            held.set()
            await let_go.wait()

    holding = asyncio.create_task(hold())
    await held.wait()
    assert not await publisher.publish_events()
    assert await types(begin) == []
    let_go.set()
    await holding
    assert await publish_all() == begin + 1


async def test_concurrent_writers_and_publishers_leave_no_gaps(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "MAX_EVENTS_PER_BATCH", 3)
    monkeypatch.setattr(publisher, "MAX_TRANSACTIONS_PER_BATCH", 4)
    begin = await publish_all()

    async def write(n: int) -> None:
        order = (await place(customer.user.id, {flavor: 1})).order
        for _ in range(n % 4):
            await note(order)

    async def publish() -> None:
        for _ in range(10):
            await publisher.publish_events()
            await asyncio.sleep(0)

    async with open_stream(begin) as (stream, iterator):
        await asyncio.gather(*map(write, range(20)), *(publish() for _ in range(5)))
        end = await publish_all()
        assert end == begin + 20 + 30
        assert positions(await next_events(iterator, 50)) == list(range(begin + 1, end + 1))
        assert stream.position == end
    await ledger.check()


async def test_the_number_of_published_transactions_is_limited(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = await publish_all()
    for _ in range(5):
        await place(customer.user.id, {flavor: 1})
    monkeypatch.setattr(publisher, "MAX_EVENTS_PER_BATCH", 3)
    assert await publisher.publish_events() is True
    assert (await events.read_last_event()).position == begin + 3
    assert await publisher.publish_events() is False
    assert (await events.read_last_event()).position == begin + 5


async def test_events_of_a_publisher_that_dies_before_its_commit_are_published_by_the_next(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = await publish_all()
    await place(customer.user.id, {flavor: 1})

    def die(place: str) -> None:
        if place == "feed.publishing":
            raise ConnectionResetError

    monkeypatch.setattr(publisher, "reach_failpoint", die)
    with pytest.raises(ConnectionResetError):
        await publisher.publish_events()
    assert (await events.read_last_event()).position == begin
    monkeypatch.undo()
    assert await publish_all() == begin + 1


async def test_an_event_has_the_same_data_whenever_it_is_read(
    customer: Caller, flavor: int
) -> None:
    begin = await publish_all()
    added = OrderDetails(reference="PO-1", note="back door", delivery_date=datetime.now(UTC).date())
    placer = placing.OrderPlacer(ignore_notification)
    placed = await placer.place(customer.user.id, {flavor: 2}, details=added)
    (lease,) = await leases.acquire_leases([placed.payment or 0], limit=1, lease_seconds=30)
    await actions.cancel_order(placed.order, by=customer.user.id)
    end = await publish_all()
    first = [one.block for one in await events.read_events(begin, end)]
    await settlement.settle([settlement_result(lease, f"feed {placed.order}")])
    await note(placed.order)
    await publish_all()
    published = await events.read_events(begin, begin + 10)
    assert [one.block for one in published[:2]] == first
    assert [(one.data.type, one.data.status) for one in published] == [
        ("placed", "pending"),
        ("cancel-requested", "pending"),
        ("paid", "paid"),
        ("refunding", "refunding"),
        ("noted", "refunding"),
    ]
    data = published[2].data
    assert (data.user, data.total, data.currency, data.by) == (customer.user.id, 500, "EUR", None)
    assert (data.reference, data.delivery_date) == (added.reference, added.delivery_date)
    assert first[1].startswith(b"id: %d\nevent: cancel-requested\ndata: {" % published[1].position)
    assert first[1].endswith(b"}\n\n")


async def test_a_stream_begins_in_the_past_and_continues_in_another_process(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_EVENTS_PER_READ", 3)
    begin = await publish_all()
    order = (await place(customer.user.id, {flavor: 1})).order
    for _ in range(9):
        await note(order)
    await publish_all()
    async with open_stream(begin) as (stream, iterator):
        assert positions(await next_events(iterator, 10)) == list(range(begin + 1, begin + 11))
        waiting = asyncio.ensure_future(next_events(iterator, 1))
        await asyncio.sleep(0.1)
        await note(order, "live")
        await publish_all()
        (live,) = await waiting
        assert (live.position, live.data.type) == (begin + 11, "live")
        assert stream.position == begin + 11
    await note(order, "meanwhile")
    await publish_all()
    # A new reader, as in another process, may be behind.
    reader = feed_reader.FeedReader()
    async with open_stream(stream.position, reader=reader) as (_, iterator):
        (event,) = await next_events(iterator, 1)
        assert event.data.type == "meanwhile"


async def test_a_stream_may_begin_after_the_position_of_the_reader(
    customer: Caller, flavor: int
) -> None:
    order = (await place(customer.user.id, {flavor: 1})).order
    begin = await publish_all()
    stream = subscription.EventStream(feed_reader.FeedReader(), user=None, after=begin + 2)
    for _ in range(3):
        await note(order)
    await publish_all()
    stream.on_events(await events.read_events(begin, begin + 3))
    assert positions(stream._take_queued()) == [begin + 3]


async def test_customers_receive_the_events_of_their_orders_and_staff_all_events(
    customer: Caller, stranger: Caller, flavor: int
) -> None:
    reader, begin = feed_reader.FeedReader(), await publish_all()
    mine = (await place(customer.user.id, {flavor: 1})).order
    await place(stranger.user.id, {flavor: 1})
    await publish_all()
    async with (
        open_stream(begin, user=customer.user.id, reader=reader) as (stream, own),
        open_stream(begin, reader=reader) as (_, everything),
    ):
        assert [one.data.order for one in await next_events(own, 1)] == [mine]
        await next_events(everything, 2)
        next_of_mine = asyncio.ensure_future(next_events(own, 1))
        await place(stranger.user.id, {flavor: 1})
        await publish_all()
        await next_events(everything, 1)
        await note(mine)
        await publish_all()
        (event,) = await next_of_mine
        assert (event.data.order, event.data.type) == (mine, "noted")
        await next_events(everything, 1)
        assert stream.position == begin + 4


async def test_a_slow_client_is_disconnected_and_continues_from_its_position(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "MAX_QUEUED_EVENTS", 2)
    order = (await place(customer.user.id, {flavor: 1})).order
    begin = await publish_all()
    async with open_stream(begin) as (stream, iterator):
        first = asyncio.ensure_future(next_events(iterator, 1))
        await asyncio.sleep(0.1)
        await note(order)
        await publish_all()
        await first
        for _ in range(3):
            await note(order)
        await publish_all()
        await until(lambda: stream.closed)
        assert stream._queued == []
        assert [published async for published in iterator] == []
    monkeypatch.undo()
    assert stream.position == begin + 1
    async with open_stream(stream.position) as (_, iterator):
        assert positions(await next_events(iterator, 3)) == [begin + 2, begin + 3, begin + 4]


async def test_a_stream_without_events_sends_heartbeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "HEARTBEAT_SECONDS", 0.05)
    async with open_stream(await publish_all()) as (_, iterator):
        assert await anext(iterator) == []
        assert await anext(iterator) == []


async def test_all_streams_end_and_none_begins_when_the_service_stops(
    customer: Caller, flavor: int
) -> None:
    await place(customer.user.id, {flavor: 1})
    end, reader = await publish_all(), feed_reader.FeedReader()
    async with (
        open_stream(end, reader=reader) as (_, live),
        open_stream(0, reader=reader) as (_, past),
    ):
        waiting = asyncio.ensure_future(anext(live, None))
        await asyncio.sleep(0.1)
        reader.close()
        assert await waiting is None
        assert [published async for published in past] == []
    with pytest.raises(errors.Unavailable):
        async with reader.subscribe(subscription.EventStream(reader, user=None, after=end)):
            pass


async def test_the_reader_reads_while_it_has_subscribers_and_survives_a_database_outage(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = (await place(customer.user.id, {flavor: 1})).order
    begin, reader, real, asked = (
        await publish_all(),
        feed_reader.FeedReader(),
        events.read_events,
        [],
    )
    monkeypatch.setattr(feed_reader, "RETRY_DELAY_SECONDS", 0.01)

    async def read(*where: int, **whose: Any) -> list[events.PublishedEvent]:
        asked.append(where)
        if len(asked) == 2:
            raise database.DatabaseUnavailable("restarting")
        return await real(*where, **whose)

    monkeypatch.setattr(events, "read_events", read)
    async with (
        open_stream(begin, reader=reader) as (_, one),
        open_stream(begin, reader=reader) as (_, two),
    ):
        both = asyncio.gather(next_events(one, 1), next_events(two, 1))
        await until(lambda: len(asked) >= 4)
        assert len(reader._subscribers) == 2
        await note(order)
        await publish_all()
        assert [positions(published) for published in await both] == [[begin + 1]] * 2
    count = len(asked)
    await asyncio.sleep(3 * feed_reader.READ_INTERVAL_SECONDS)
    assert len(asked) <= count + 1
    assert reader._task is None


async def test_a_failed_reader_is_restarted_and_its_subscribers_miss_no_event(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end, real, faults = await publish_all(), events.read_events, [RuntimeError("a bug")]
    reader = feed_reader.FeedReader()

    async def read(*args: Any, **kwargs: Any) -> list[events.PublishedEvent]:
        if faults and not kwargs:  # Only the reader calls without keyword arguments.
            raise faults.pop()
        return await real(*args, **kwargs)

    monkeypatch.setattr(background, "MIN_RESTART_DELAY_SECONDS", 0.01)
    async with open_stream(end, reader=reader) as (_, iterator):
        receiving = asyncio.create_task(next_events(iterator, 1))
        await until(lambda: len(reader._subscribers) == 1)
        monkeypatch.setattr(events, "read_events", read)
        await until(lambda: not faults)
        order = (await place(customer.user.id, {flavor: 1})).order
        await publish_all()
        assert [event.data.order for event in await receiving] == [order]
    assert caplog.text.count("RuntimeError: a bug") == 1


async def test_a_failing_subscriber_is_closed_and_the_others_miss_no_event(
    customer: Caller, flavor: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        closed = False

        def on_events(self, published: Sequence[events.PublishedEvent]) -> None:
            raise RuntimeError("a bug")

        def close(self) -> None:
            self.closed = True

    reader, end, failing = feed_reader.FeedReader(), await publish_all(), Failing()
    async with reader.subscribe(failing), open_stream(end, reader=reader) as (_, iterator):
        receiving = asyncio.create_task(next_events(iterator, 1))
        await until(lambda: len(reader._subscribers) == 2)
        order = (await place(customer.user.id, {flavor: 1})).order
        await publish_all()
        assert [event.data.order for event in await receiving] == [order]
        assert failing.closed
    assert caplog.text.count("RuntimeError: a bug") == 1


async def test_a_stream_that_begins_while_the_service_stops_ends_cleanly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end, reader, real = await publish_all(), feed_reader.FeedReader(), events.read_last_event
    asked: list[int] = []

    async def last() -> events.LastEvent:
        asked.append(1)
        if len(asked) == 2:  # The stream calls first, then the reader that it joins.
            reader.close()
        return await real()

    monkeypatch.setattr(events, "read_last_event", last)
    async with open_stream(end, reader=reader) as (_, iterator):
        assert [published async for published in iterator] == []
    assert len(asked) == 2


def test_the_number_of_published_events_in_one_transaction_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"id": n, "events": f"[{2 * n}, {2 * n + 1}]"} for n in range(4)]
    monkeypatch.setattr(publisher, "MAX_EVENTS_PER_BATCH", 3)
    # Events of one transaction stay together. Further events wait for the next transaction.
    assert publisher._select_events(rows) == ([0, 1, 2, 3], [0, 1])
