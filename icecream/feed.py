"""The feed: all events of all orders in one order, so that readers never miss an event.

Ids cannot be used for that: on PostgreSQL, ids are committed in another order than they are
assigned. An event gets its `position` after its commit, from one publisher at a time, without gaps.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType
from piccolo.querystring import QueryString

from icecream import background, database, errors, logs, states
from icecream.failpoints import reach
from icecream.tables import Event, Feed, Unpublished

log = logging.getLogger(__name__)
# The maximum number of events, and of transactions that wrote them, published in one transaction.
MOST, TRANSACTIONS = 500, 100
# Positions read at once.
PAGE = 500
# Seconds between two reads, and seconds of pause when the database is away.
EVERY, REST = 0.05, 1.0
# The maximum number of events that wait for a follower. A slower follower is disconnected, and has
# to reconnect.
ROOM = 1000
# Seconds without events after which followers get an empty list.
BEAT = 15.0
# How many streams may read old events at once; this limits the load on the database.
CATCHING_UP = 2

_POSITIONS = database.put(Event.position)


async def publish() -> bool:
    """Give the next events their positions; return True if there may be more right now."""
    if not await Unpublished.exists():
        return False
    more = await database.transaction(_publish)
    reach("feed.published")
    return more


async def _publish() -> bool:
    # A row lock, because CockroachDB has no advisory locks. The search for unpublished events is a
    # separate statement after that, so that it sees the changes of the last publisher.
    heads = await database.unlocked(Feed.select(Feed.last))
    if not heads:
        # Another process is publishing now, and checks once more after that.
        return False
    last: int = heads[0]["last"]
    rows = await Unpublished.select().order_by(Unpublished.id).limit(TRANSACTIONS)
    if not rows:
        return False
    ids, done = _first(rows)
    await _POSITIONS([(one, position) for position, one in enumerate(ids, start=last + 1)])
    await Unpublished.delete().where(Unpublished.id.is_in(done))
    await Feed.update({Feed.last: last + len(ids)}).where(Feed.last == last)
    reach("feed.publishing")
    return len(done) < len(rows) or len(rows) == TRANSACTIONS


def _first(rows: Sequence[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Return the events of the first transactions, and the row ids of those transactions."""
    ids, done = list[int](), list[int]()
    for row in rows:
        if len(ids) >= MOST:
            break
        ids += msgspec.json.decode(row["events"], type=list[int])
        done.append(row["id"])
    return ids, done


class Last(Struct, frozen=True):
    """The last published event and its time; position 0 if there is none."""

    position: int
    at: datetime | None


NOTHING = Last(0, None)
# The last event as columns for another query, so that one query reads both in one snapshot.
LAST = (
    QueryString('(SELECT COALESCE(max("position"), 0) FROM "event")', alias="position"),
    QueryString(
        '(SELECT "at" FROM "event" WHERE "position" = (SELECT max("position") FROM "event"))',
        alias="at",
    ),
)


async def last() -> Last:
    """Return the last published event; a read in the same snapshot, or later, includes it."""
    row = (
        await Event.select(Event.position, Event.at)
        .where(Event.position.is_not_null())
        .order_by(Event.position, ascending=False)
        .first()
    )
    return Last(**row) if row else NOTHING


class _Data(Struct):
    """The published data of an event: its entry in the order's history, and list fields.

    `status` is the order's status after this event, also when the event is read later.
    """

    order: int
    seq: int
    type: str
    at: datetime
    by: int | None
    user: int
    status: str
    total: int
    currency: str
    reason: str | UnsetType = UNSET
    amount: int | UnsetType = UNSET


class Told(Struct, frozen=True, dict=True, eq=False):
    """A published event, as it is sent to authorized listeners."""

    position: int
    data: _Data

    @cached_property
    def block(self) -> bytes:
        """The event as a server-sent event; all processes send the same bytes."""
        data = msgspec.json.encode(self.data)
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.position, self.data.type.encode(), data)


async def read(after: int, upto: int, *, user: int | None = None) -> list[Told]:
    """Return the events after a position, up to another, optionally of one user's orders only.

    The query selects by range, so it costs no more if few of the events belong to the user.
    """
    order = Event.order
    query = Event.select(
        Event.position,
        order,
        Event.seq,
        Event.type,
        Event.at,
        Event.by,
        Event.payload,
        order.user.as_alias("user"),
        order.total.as_alias("total"),
        order.currency.as_alias("currency"),
    )
    query = query.where(Event.position > after, Event.position <= upto).order_by(Event.position)
    if user is not None:
        query = query.where(order.user == user)
    rows = await query
    status = await _statuses(rows)
    return [Told(row.pop("position"), _data(row, status)) for row in rows]


def _data(row: dict[str, Any], statuses: dict[tuple[int, int], str]) -> _Data:
    payload = msgspec.json.decode(row.pop("payload"))
    status = _entered(row["type"]) or statuses[row["order"], row["seq"]]
    reason, amount = payload.get("reason") or UNSET, payload.get("amount", UNSET)
    return _Data(**row, status=status, reason=reason, amount=amount)


def _entered(kind: str) -> str | None:
    """Return the status that an order enters by such an event, if any."""
    return kind if kind in states.ORDER else "pending" if kind == "placed" else None


async def _statuses(rows: Sequence[dict[str, Any]]) -> dict[tuple[int, int], str]:
    """Return the statuses of orders after events that did not change the status."""
    asked = {row["order"] for row in rows if not _entered(row["type"])}
    found: dict[tuple[int, int], str] = {}
    if asked:
        status = ""
        for row in (
            await Event.select(Event.order, Event.seq, Event.type)
            .where(Event.order.is_in(sorted(asked)))
            .order_by(Event.order, Event.seq)
        ):
            status = _entered(row["type"]) or status
            found[row["order"], row["seq"]] = status
    return found


class Follower(Protocol):
    """A follower of the feed in this process."""

    def hear(self, told: Sequence[Told]) -> None:
        """Receive the next events; there is at least one."""

    def close(self) -> None:
        """Stop: no more events will follow."""


def _tell(follower: Follower, told: Sequence[Told]) -> None:
    try:
        follower.hear(told)
    except Exception as error:
        # A bug. The other followers must still get all events. This one is closed, and may
        # reconnect.
        logs.fault(log, "Somebody who follows the feed could not be told", error)
        follower.close()


class Reader:
    """Reads the feed once for all followers in this process, while there are any."""

    def __init__(self) -> None:
        self.closed = False
        self.catching_up = asyncio.Semaphore(CATCHING_UP)
        self._followers: Counter[Follower] = Counter()
        self._position = 0
        self._joining = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, follower: Follower) -> AsyncIterator[int]:
        """Add a follower for all events after the position that this yields.

        Raises:
            errors.Unavailable: the service is stopping.
        """
        async with self._joining:
            if self._task is None:
                self._position = (await last()).position
            if self.closed:
                raise errors.Unavailable("The service is stopping.")
            self._followers[follower] += 1
            if self._task is None:
                self._task = background.start("reader of the feed", self._read)
                self._task.add_done_callback(self._ended)
            position = self._position
        try:
            yield position
        finally:
            self._followers[follower] -= 1
            self._followers += Counter()

    async def _read(self) -> None:
        while self._followers:
            try:
                told = await read(self._position, self._position + PAGE)
            except database.AWAY as error:
                logs.DATABASE.failed(error)
                await asyncio.sleep(REST)
                continue
            if told:
                self._position = told[-1].position
                for follower in list(self._followers):
                    _tell(follower, told)
            if len(told) < PAGE:
                await asyncio.sleep(EVERY)
        self._task = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            # The reader was canceled: the followers must reconnect.
            self._task = None
            self._close_all()

    def close(self) -> None:
        """Close all followers, and refuse new ones: the service is stopping."""
        self.closed = True
        self._close_all()

    def _close_all(self) -> None:
        for follower in list(self._followers):
            follower.close()


class Stream:
    """The events for one listener from a position on, of one user's orders or of all.

    It can be iterated over once. It yields lists of events, and an empty list after some time
    without events. It ends when it or the reader is closed, or when too many events wait. The
    yielded events reach up to `position`, where another stream can continue.
    """

    def __init__(self, reader: Reader, *, user: int | None, after: int) -> None:
        self.position = after
        self.closed = False
        self._reader, self._user = reader, user
        self._told: list[Told] = []
        self._heard = after
        self._news = asyncio.Event()

    def hear(self, told: Sequence[Told]) -> None:
        """See Follower."""
        self._told += (one for one in told if self._user in (None, one.data.user))
        self._heard = told[-1].position
        if len(self._told) > ROOM:
            self.close()
        elif self._told:
            self._news.set()

    def close(self) -> None:
        """End the stream, and drop the waiting events."""
        self.closed = True
        self._told.clear()
        self._news.set()

    async def __aiter__(self) -> AsyncGenerator[list[Told], None]:
        # There may be many old events, so read them before new events have to wait in memory.
        async with aclosing(self._past((await last()).position)) as past:
            async for told in past:
                yield told
        if self._over:
            return
        async with AsyncExitStack() as stack:
            try:
                upto = await stack.enter_async_context(self._reader.follow(self))
            except errors.Unavailable:
                return  # The service has begun to stop.
            async with aclosing(self._past(upto)) as past:
                async for told in past:
                    yield told
            while await self._news_or_silence():
                yield self._take()

    @property
    def _over(self) -> bool:
        return self.closed or self._reader.closed

    async def _past(self, upto: int) -> AsyncGenerator[list[Told], None]:
        loop = asyncio.get_running_loop()
        given = loop.time()
        while self.position < upto and not self._over:
            end = min(self.position + PAGE, upto)
            async with self._reader.catching_up:
                told = await read(self.position, end, user=self._user)
            self.position = end
            if told or loop.time() - given >= BEAT:
                given = loop.time()
                yield told

    async def _news_or_silence(self) -> bool:
        """Wait for events, or for the end of a silence; return whether the stream continues."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT):
                await self._news.wait()
        self._news.clear()
        return not self._over

    def _take(self) -> list[Told]:
        # A stream may begin after the reader's position.
        told = [one for one in self._told if one.position > self.position]
        self._told.clear()
        self.position = max(self.position, self._heard)
        return told
