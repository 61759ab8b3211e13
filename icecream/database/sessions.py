"""Connections to PostgreSQL: how they are opened, and how dead ones are detected."""

import asyncio
import concurrent.futures
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from weakref import WeakSet

import asyncpg

from icecream.database import failures

T = TypeVar("T")
log = logging.getLogger(__name__)
# Seconds to connect to a host if there is another one, and to check on other connections.
CONNECT_SECONDS = 3.0
# Seconds to connect to the only host, or to the last one: a busy process that opens all its
# connections at once needs some time for each.
CONNECT_AT_LAST_SECONDS = 10.0
# TCP keepalive probes for idle connections, and the time limit for acknowledging sent data.
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT = 5, 2, 3
UNACKNOWLEDGED_MILLISECONDS = 5_000
# The database ends a transaction that is open and idle for this long, because others wait for its
# locks, for example on an order or the feed.
IDLE_IN_TRANSACTION_MILLISECONDS = 5_000
# A query that takes longer than SILENCE_SECONDS may be on a dead connection, so that is checked. An
# answer that the server has sent arrives within ANSWER_ON_ITS_WAY_SECONDS.
SILENCE_SECONDS, LOOK_EVERY_SECONDS, ANSWER_ON_ITS_WAY_SECONDS = 1.5, 0.5, 0.5
# Sent after connecting, because a pooler such as PgBouncer drops such connection parameters.
SET_UP = f"""
    SELECT pg_backend_pid() AS pid,
        set_config('idle_in_transaction_session_timeout',
            '{IDLE_IN_TRANSACTION_MILLISECONDS}', false),
        set_config('synchronous_commit', CASE current_setting('synchronous_commit')
            WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false) AS synchronous_commit"""
# Where each transaction may get another session, nothing can be set for a session.
READ_BACK = "SELECT NULL AS pid, current_setting('synchronous_commit') AS synchronous_commit"
# With these values, an acknowledged commit is on the disk.
DURABLE = ("on", "remote_apply")
# How often two connections are compared to detect the kind of pooler.
POOLER_ROUNDS = 10
# The busy server processes, and since when the others are idle.
ACTIVITY = """
    SELECT pid, state NOT LIKE 'idle%' AS working, state_change
    FROM pg_stat_activity WHERE pid = ANY($1)"""


class Session(asyncpg.Connection):  # type: ignore[misc]  # asyncpg carries no types
    """A connection that records how long it has been waiting for an answer."""

    # The PID of the server process; None where a pooler may use another process each time.
    pid: int | None = None
    asked_at: float | None = None
    # When the server last reported the process as active.
    seen_at = 0.0

    def __init__(self, protocol: Any, transport: Any, *more: Any) -> None:
        super().__init__(protocol, transport, *more)
        self.heard_at = time.monotonic()
        _notice_silence(transport.get_extra_info("socket"))

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._answer(super().fetch(query, *args, **options))

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._answer(super().execute(query, *args, **options))

    async def _answer(self, asked: Awaitable[Any]) -> Any:
        self.asked_at = time.monotonic()
        try:
            answer = await asked
        finally:
            self.asked_at = None
        self.heard_at = time.monotonic()
        return answer


def _notice_silence(connected: socket.socket) -> None:
    """Make the system close a connection whose other end is gone, for example behind a NAT."""
    if connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MILLISECONDS),
    ):
        if hasattr(socket, name):  # Not every system has all of them.
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _hosts(url: str) -> list[dict[str, Any]]:
    places = urlsplit(url).netloc.rpartition("@")[2].split(",")
    if len(places) == 1:
        return [{}]
    parts = [urlsplit(f"//{place}") for place in places]
    return [{"host": one.hostname, "port": one.port or 5432} for one in parts]


async def _connected(**options: Any) -> Session:
    try:
        session: Session = await asyncpg.connect(**options)
    except asyncpg.PostgresError as error:
        # A server that accepts no connection is unavailable, for any reason.
        raise failures.Unavailable(str(error)) from error
    return session


async def _served_by(session: Session) -> int:
    pid: int = await session.fetchval("SELECT pg_backend_pid()")
    return pid


async def _share(one: Session, other: Session) -> bool:
    """Return whether a pooler uses any free session for each transaction of these connections.

    A pooler usually picks the session that was used last. The check runs several times, because
    other clients use the pooler too.
    """
    seen: dict[Session, set[int]] = {one: set(), other: set()}
    for holder, asker in [(one, other), (other, one)] * POOLER_ROUNDS:
        async with holder.transaction():
            for session in (holder, asker):
                seen[session].add(await _served_by(session))
        if any(len(pids) > 1 for pids in seen.values()):
            return True
    return False


async def _in_a_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` in another event loop; the process does not wait for it when it stops."""
    future = concurrent.futures.Future[T]()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(asyncio.run(work()))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, name="watch of connections", daemon=True).start()
    return await asyncio.wrap_future(future)


class Sessions:
    """Opens connections to the database at a URL, and watches them."""

    def __init__(self, url: str) -> None:
        self.hosts, self._query = _hosts(url), parse_qs(urlsplit(url).query)
        self.synchronous_commit = "on"
        # `pooled`: there is a pooler. `shared`: it may use another session for each transaction, as
        # PgBouncer does in transaction mode. Then nothing may be kept in a session: no settings and
        # no prepared statements.
        self.shared = self.pooled = False
        self._options: dict[str, Any] = {
            "dsn": url,
            "connection_class": Session,
            # PgBouncer keeps application_name and timezone separate for each of its clients.
            "server_settings": {"timezone": "UTC"},
        }
        self._open: WeakSet[Session] = WeakSet()

    def name(self, name: str) -> None:
        """Set the name that the database shows for its connections, unless the URL sets one."""
        if "application_name" not in self._query:
            self._options["server_settings"]["application_name"] = name

    async def open(self, command_seconds: float | None) -> Session:
        """Connect to the first host that answers and matches `target_session_attrs`."""
        session = await self._connect(CONNECT_AT_LAST_SECONDS, command_timeout=command_seconds)
        try:
            query = READ_BACK if self.shared else SET_UP
            row = await session.fetchrow(query, timeout=CONNECT_AT_LAST_SECONDS)
        except BaseException:
            session.terminate()
            raise
        session.pid, self.synchronous_commit = row["pid"], row["synchronous_commit"]
        self._open.add(session)
        return session

    async def _connect(self, seconds: float = CONNECT_SECONDS, **options: Any) -> Session:
        """Connect to one host after the other; `seconds` is the limit for the last one."""
        options = self._options | options
        if self.shared:
            options["statement_cache_size"] = 0
        *others, last = self.hosts
        for host in others:
            try:
                return await _connected(**options | host, timeout=CONNECT_SECONDS)
            except (*failures.DRIVER_ERRORS, failures.Unavailable):
                # Next time this host is tried last.
                self.hosts.remove(host)
                self.hosts.append(host)
        return await _connected(**options | last, timeout=seconds)

    async def find_out_whether_shared(self) -> None:
        """Find out whether a pooler may serve one connection with different sessions."""
        options = {"command_timeout": CONNECT_SECONDS, "statement_cache_size": 0}
        async with contextlib.AsyncExitStack() as stack:
            one = await self._connect(**options)
            stack.callback(one.terminate)
            if await _served_by(one) == one.get_server_pid():
                return
            self.pooled = True
            other = await self._connect(**options)
            stack.callback(other.terminate)
            self.shared = await _share(one, other)

    async def watch(self) -> None:
        """Drop connections that died silently, until this task is cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            before = time.monotonic() - SILENCE_SECONDS
            late = {
                one: one.asked_at
                for one in self._open
                if one.pid and one.asked_at and max(one.asked_at, one.seen_at) < before
            }
            if late:
                await self._drop_the_dead(late)

    async def _drop_the_dead(self, late: dict[Session, float]) -> None:
        pids = [one.pid for one in late]
        # This event loop may be busy. That it is late is no sign of a dead connection.
        working = await _in_a_thread(lambda: self._working(pids))
        # Let this loop read the answers that have arrived.
        await asyncio.sleep(ANSWER_ON_ITS_WAY_SECONDS)
        for one in late:
            if working is None or one.pid in working:
                one.seen_at = time.monotonic()
        if working is None:
            return
        dead = [one for one, at in late.items() if one.asked_at == at and one.pid not in working]
        if not dead:
            return
        # Idle connections that have received nothing since then have probably died too.
        since = min(late[one] for one in dead)
        old = [one for one in self._open if one.asked_at is None and one.heard_at < since]
        log.warning("%d connections to the database were dead, and are replaced.", len(dead + old))
        for one in dead + old:
            one.terminate()

    async def _working(self, pids: list[int | None]) -> set[int] | None:
        """Return which of these server processes are active; None if the server is only too busy.

        Any answer to the other sessions has arrived when this returns. A process that was idle at
        two moments, and worked in between, is active too: some queries take several round trips.
        """
        try:
            session = await self._connect(command_timeout=CONNECT_SECONDS)
            try:
                before = await session.fetch(ACTIVITY, pids)
                await asyncio.sleep(ANSWER_ON_ITS_WAY_SECONDS)
                unchanged = {tuple(row) for row in before}
                after = await session.fetch(ACTIVITY, pids)
            finally:
                session.terminate()
        except TimeoutError:
            # Perhaps the pooler just has no session left.
            return None if self.pooled else set()
        except (OSError, asyncpg.InternalClientError):
            return set()
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        return {row["pid"] for row in after if row["working"] or tuple(row) not in unchanged}
