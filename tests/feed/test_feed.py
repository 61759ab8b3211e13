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
from icecream.orders import actions
from icecream.payments import leases, settlement
from icecream.runtime import background
from icecream.tables import Event, Feed
from tests import ledger
from tests.conftest import Caller, new_flavor, place, publish_all, verdict

pytestmark = pytest.mark.anyio


async def note(order: int, kind: str = "noted", **about: Any) -> None:
    """Record an event of an order."""
    happened = [order_history.Happened(order, kind, about)]
    await database.transaction(lambda: order_history.record(happened, at=datetime.now(UTC)))


async def types(after: int, **kwargs: Any) -> list[str]:
    return [one.data.type for one in await events.read(after, after + events.PAGE, **kwargs)]


@asynccontextmanager
async def listening(
    after: int, *, user: int | None = None, reader: feed_reader.Reader | None = None
) -> AsyncIterator[tuple[subscription.Stream, Any]]:
    """Yield a stream and the iterator over its events."""
    stream = subscription.Stream(reader or feed_reader.Reader(), user=user, after=after)
    async with asyncio.timeout(20), aclosing(aiter(stream)) as given:
        yield stream, given


async def heard(given: Any, count: int) -> list[events.Told]:
    """Return the next `count` events."""
    told: list[events.Told] = []
    while len(told) < count:
        told += await anext(given)
    assert len(told) == count
    return told


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # no event to wait for
            await asyncio.sleep(0.01)


def positions(told: Sequence[events.Told]) -> list[int]:
    return [one.position for one in told]


async def test_events_get_positions_one_after_the_other_in_the_order_of_their_commits(
    customer: Caller, flavor: int
) -> None:
    begin = await publish_all()
    order = (await place(customer.user.id, {flavor: 1})).order
    assert await types(begin) == []
    await note(order)
    free = (await place(customer.user.id, {await new_flavor(price=0): 1})).order
    assert await publish_all() == begin + 4
    told = await events.read(begin, begin + 10)
    assert positions(told) == [begin + 1, begin + 2, begin + 3, begin + 4]
    assert [(one.data.order, one.data.seq) for one in told] == [
        (order, 1),
        (order, 2),
        (free, 1),
        (free, 2),
    ]
    last = await events.last()
    assert (last.position, last.at) == (begin + 4, told[-1].data.at)
    await ledger.check()


@pytest.mark.only("postgres")
async def test_what_is_committed_late_is_published_late_and_nobody_who_read_on_misses_it(
    customer: Caller, flavor: int
) -> None:
    orders = [(await place(customer.user.id, {flavor: 1})).order for _ in range(2)]
    begin = await publish_all()
    written, commit = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        await order_history.record(
            [order_history.Happened(orders[0], "early", {})], at=datetime.now(UTC)
        )
        written.set()
        await commit.wait()

    async with listening(begin) as (_, given):
        slow = asyncio.create_task(database.transaction(slowly))
        await written.wait()
        await note(orders[1], "late")
        await publish_all()
        (late,) = await heard(given, 1)
        commit.set()
        await slow
        await publish_all()
        (early,) = await heard(given, 1)
    assert [(one.position, one.data.type) for one in (late, early)] == [
        (begin + 1, "late"),
        (begin + 2, "early"),
    ]
    ids = await Event.select(Event.id).where(Event.position > begin).order_by(Event.position)
    # If every transaction is serializable, the slow one had to retry, and its event got a newer id.
    isolation = (await Event.raw("SHOW default_transaction_isolation"))[0].popitem()[1]
    assert isolation == "serializable" or ids[0]["id"] > ids[1]["id"]


@pytest.mark.only("postgres")
async def test_while_one_publishes_the_others_leave_it_to_him(
    customer: Caller, flavor: int
) -> None:
    begin = await publish_all()
    await place(customer.user.id, {flavor: 1})
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with DB.transaction():
            await database.locked(Feed.select(Feed.last))
            held.set()
            await let_go.wait()

    holding = asyncio.create_task(hold())
    await held.wait()
    assert not await publisher.publish()
    assert await types(begin) == []
    let_go.set()
    await holding
    assert await publish_all() == begin + 1


async def test_many_who_write_and_publish_at_once_leave_no_holes(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "MOST", 3)
    monkeypatch.setattr(publisher, "TRANSACTIONS", 4)
    begin = await publish_all()

    async def write(n: int) -> None:
        order = (await place(customer.user.id, {flavor: 1})).order
        for _ in range(n % 4):
            await note(order)

    async def publish() -> None:
        for _ in range(10):
            await publisher.publish()
            await asyncio.sleep(0)

    async with listening(begin) as (stream, given):
        await asyncio.gather(*map(write, range(20)), *(publish() for _ in range(5)))
        end = await publish_all()
        assert end == begin + 20 + 30
        assert positions(await heard(given, 50)) == list(range(begin + 1, end + 1))
        assert stream.position == end
    await ledger.check()


async def test_only_so_many_are_published_in_one_transaction(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = await publish_all()
    for _ in range(5):
        await place(customer.user.id, {flavor: 1})
    monkeypatch.setattr(publisher, "MOST", 3)
    assert await publisher.publish() is True
    assert (await events.last()).position == begin + 3
    assert await publisher.publish() is False
    assert (await events.last()).position == begin + 5


async def test_a_publisher_that_dies_before_its_commit_leaves_all_to_the_next(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = await publish_all()
    await place(customer.user.id, {flavor: 1})

    def die(place: str) -> None:
        if place == "feed.publishing":
            raise ConnectionResetError

    monkeypatch.setattr(publisher, "reach", die)
    with pytest.raises(ConnectionResetError):
        await publisher.publish()
    assert (await events.last()).position == begin
    monkeypatch.undo()
    assert await publish_all() == begin + 1


async def test_what_is_told_is_the_same_whenever_it_is_read(customer: Caller, flavor: int) -> None:
    begin = await publish_all()
    placed = await place(customer.user.id, {flavor: 2})
    (lease,) = await leases.acquire_leases([placed.payment or 0], limit=1, lease_seconds=30)
    await actions.cancel_order(placed.order, by=customer.user.id)
    end = await publish_all()
    first = [one.block for one in await events.read(begin, end)]
    await settlement.settle([verdict(lease, f"feed {placed.order}")])
    await note(placed.order)
    await publish_all()
    told = await events.read(begin, begin + 10)
    assert [one.block for one in told[:2]] == first
    assert [(one.data.type, one.data.status) for one in told] == [
        ("placed", "pending"),
        ("cancel-requested", "pending"),
        ("paid", "paid"),
        ("refunding", "refunding"),
        ("noted", "refunding"),
    ]
    data = told[2].data
    assert (data.user, data.total, data.currency, data.by) == (customer.user.id, 500, "EUR", None)
    assert first[1].startswith(b"id: %d\nevent: cancel-requested\ndata: {" % told[1].position)
    assert first[1].endswith(b"}\n\n")


async def test_a_stream_begins_in_the_past_goes_on_and_goes_on_again_elsewhere(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAGE", 3)
    begin = await publish_all()
    order = (await place(customer.user.id, {flavor: 1})).order
    for _ in range(9):
        await note(order)
    await publish_all()
    async with listening(begin) as (stream, given):
        assert positions(await heard(given, 10)) == list(range(begin + 1, begin + 11))
        waiting = asyncio.ensure_future(heard(given, 1))
        await asyncio.sleep(0.1)
        await note(order, "live")
        await publish_all()
        (live,) = await waiting
        assert (live.position, live.data.type) == (begin + 11, "live")
        assert stream.position == begin + 11
    await note(order, "meanwhile")
    await publish_all()
    # A new reader, as in another process, may be behind.
    reader = feed_reader.Reader()
    async with listening(stream.position, reader=reader) as (_, given):
        (told,) = await heard(given, 1)
        assert told.data.type == "meanwhile"


async def test_a_stream_may_begin_beyond_where_the_reader_is(customer: Caller, flavor: int) -> None:
    order = (await place(customer.user.id, {flavor: 1})).order
    begin = await publish_all()
    stream = subscription.Stream(feed_reader.Reader(), user=None, after=begin + 2)
    for _ in range(3):
        await note(order)
    await publish_all()
    stream.hear(await events.read(begin, begin + 3))
    assert positions(stream._take()) == [begin + 3]


async def test_customers_hear_of_their_own_orders_and_staff_of_all(
    customer: Caller, stranger: Caller, flavor: int
) -> None:
    reader, begin = feed_reader.Reader(), await publish_all()
    mine = (await place(customer.user.id, {flavor: 1})).order
    await place(stranger.user.id, {flavor: 1})
    await publish_all()
    async with (
        listening(begin, user=customer.user.id, reader=reader) as (stream, own),
        listening(begin, reader=reader) as (_, everything),
    ):
        assert [one.data.order for one in await heard(own, 1)] == [mine]
        await heard(everything, 2)
        next_of_mine = asyncio.ensure_future(heard(own, 1))
        await place(stranger.user.id, {flavor: 1})
        await publish_all()
        await heard(everything, 1)
        await note(mine)
        await publish_all()
        (told,) = await next_of_mine
        assert (told.data.order, told.data.type) == (mine, "noted")
        await heard(everything, 1)
        assert stream.position == begin + 4


async def test_who_is_too_slow_is_cut_off_and_goes_on_from_where_it_was(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "ROOM", 2)
    order = (await place(customer.user.id, {flavor: 1})).order
    begin = await publish_all()
    async with listening(begin) as (stream, given):
        first = asyncio.ensure_future(heard(given, 1))
        await asyncio.sleep(0.1)
        await note(order)
        await publish_all()
        await first
        for _ in range(3):
            await note(order)
        await publish_all()
        await until(lambda: stream.closed)
        assert stream._told == []
        assert [told async for told in given] == []
    monkeypatch.undo()
    assert stream.position == begin + 1
    async with listening(stream.position) as (_, given):
        assert positions(await heard(given, 3)) == [begin + 2, begin + 3, begin + 4]


async def test_in_silence_a_stream_says_that_there_is_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "BEAT", 0.05)
    async with listening(await publish_all()) as (_, given):
        assert await anext(given) == []
        assert await anext(given) == []


async def test_when_the_service_stops_all_streams_end_and_none_begins(
    customer: Caller, flavor: int
) -> None:
    await place(customer.user.id, {flavor: 1})
    end, reader = await publish_all(), feed_reader.Reader()
    async with listening(end, reader=reader) as (_, live), listening(0, reader=reader) as (_, past):
        waiting = asyncio.ensure_future(anext(live, None))
        await asyncio.sleep(0.1)
        reader.close()
        assert await waiting is None
        assert [told async for told in past] == []
    with pytest.raises(errors.Unavailable):
        async with reader.follow(subscription.Stream(reader, user=None, after=end)):
            pass


async def test_the_reader_reads_while_somebody_follows_and_a_database_that_is_away_ends_nothing(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = (await place(customer.user.id, {flavor: 1})).order
    begin, reader, real, asked = await publish_all(), feed_reader.Reader(), events.read, []
    monkeypatch.setattr(feed_reader, "REST", 0.01)

    async def read(*where: int, **whose: Any) -> list[events.Told]:
        asked.append(where)
        if len(asked) == 2:
            raise database.Unavailable("restarting")
        return await real(*where, **whose)

    monkeypatch.setattr(events, "read", read)
    async with (
        listening(begin, reader=reader) as (_, one),
        listening(begin, reader=reader) as (_, two),
    ):
        both = asyncio.gather(heard(one, 1), heard(two, 1))
        await until(lambda: len(asked) >= 4)
        assert len(reader._followers) == 2
        await note(order)
        await publish_all()
        assert [positions(told) for told in await both] == [[begin + 1]] * 2
    count = len(asked)
    await asyncio.sleep(3 * feed_reader.EVERY)
    assert len(asked) <= count + 1
    assert reader._task is None


async def test_a_reader_that_fails_is_started_again_and_those_who_follow_miss_nothing(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end, real, faults = await publish_all(), events.read, [RuntimeError("a bug")]
    reader = feed_reader.Reader()

    async def read(*args: Any, **kwargs: Any) -> list[events.Told]:
        if faults and not kwargs:  # Only the reader calls without keyword arguments.
            raise faults.pop()
        return await real(*args, **kwargs)

    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0.01)
    async with listening(end, reader=reader) as (_, given):
        hearing = asyncio.create_task(heard(given, 1))
        await until(lambda: len(reader._followers) == 1)
        monkeypatch.setattr(events, "read", read)
        await until(lambda: not faults)
        order = (await place(customer.user.id, {flavor: 1})).order
        await publish_all()
        assert [told.data.order for told in await hearing] == [order]
    assert caplog.text.count("RuntimeError: a bug") == 1


async def test_somebody_who_cannot_be_told_is_ended_and_the_others_miss_nothing(
    customer: Caller, flavor: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Deaf:
        closed = False

        def hear(self, told: Sequence[events.Told]) -> None:
            raise RuntimeError("a bug")

        def close(self) -> None:
            self.closed = True

    reader, end, deaf = feed_reader.Reader(), await publish_all(), Deaf()
    async with reader.follow(deaf), listening(end, reader=reader) as (_, given):
        hearing = asyncio.create_task(heard(given, 1))
        await until(lambda: len(reader._followers) == 2)
        order = (await place(customer.user.id, {flavor: 1})).order
        await publish_all()
        assert [told.data.order for told in await hearing] == [order]
        assert deaf.closed
    assert caplog.text.count("RuntimeError: a bug") == 1


async def test_a_stream_that_joins_while_the_service_stops_ends_as_it_should(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end, reader, real = await publish_all(), feed_reader.Reader(), events.last
    asked: list[int] = []

    async def last() -> events.Last:
        asked.append(1)
        if len(asked) == 2:  # The stream calls first, then the reader that it joins.
            reader.close()
        return await real()

    monkeypatch.setattr(events, "last", last)
    async with listening(end, reader=reader) as (_, given):
        assert [told async for told in given] == []
    assert len(asked) == 2


def test_no_more_than_so_many_events_are_published_in_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"id": n, "events": f"[{2 * n}, {2 * n + 1}]"} for n in range(4)]
    monkeypatch.setattr(publisher, "MOST", 3)
    # Events of one transaction stay together. Further events wait for the next transaction.
    assert publisher._first(rows) == ([0, 1, 2, 3], [0, 1])
