"""Connections to PostgreSQL: opening them, and detecting dead ones."""

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
CONNECT_TIMEOUT_SECONDS = 3.0
# Seconds to connect to the only host, or to the last one: a busy process that opens all its
# connections at once needs some time for each.
LAST_HOST_CONNECT_TIMEOUT_SECONDS = 10.0
# TCP keepalive probes for idle connections, and the time limit for acknowledging sent data.
KEEPALIVE_IDLE_SECONDS = 5
KEEPALIVE_INTERVAL_SECONDS = 2
KEEPALIVE_COUNT = 3
TCP_USER_TIMEOUT_MILLISECONDS = 5_000
# The database ends a transaction that is open and idle for this long, because others wait for its
# locks, for example on an order or the feed.
IDLE_IN_TRANSACTION_MILLISECONDS = 5_000
# A connection may be dead if a query has had no answer for this long, so it is checked.
MAX_SILENCE_SECONDS = 1.5
CHECK_INTERVAL_SECONDS = 0.5
# An answer that the server has sent arrives within this time.
MAX_TRANSIT_SECONDS = 0.5
# The planner's settings for servers and workers: each statement has one plan, which uses an index.
# With its defaults, PostgreSQL reads whole tables, or all dead entries of an index, when it has no
# statistics yet or when many rows are dead. It would also plan some statements for each call, and
# compile those that it considers slow, or start processes for them, which takes longer than the
# statement itself.
PLANNER_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
# Sent after connecting, because a pooler such as PgBouncer drops such connection parameters.
SESSION_SETUP_SQL = f"""
    SELECT pg_backend_pid() AS pid,
        set_config('idle_in_transaction_session_timeout',
            '{IDLE_IN_TRANSACTION_MILLISECONDS}', false),
        set_config('synchronous_commit', CASE current_setting('synchronous_commit')
            WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false) AS synchronous_commit,
        true AS uses_indexes"""
SERVING_SETUP_SQL = SESSION_SETUP_SQL + "".join(
    f", set_config('{name}', '{value}', false)" for name, value in PLANNER_SETTINGS.items()
)
# Where each transaction may get another session, nothing can be set for a session.
SESSION_READ_SQL = """
    SELECT NULL AS pid, current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('enable_seqscan') = 'off' AS uses_indexes"""
# With these values, an acknowledged commit is on the disk.
DURABLE_COMMIT_LEVELS = ("on", "remote_apply")
# How often two connections are compared to detect the kind of pooler.
POOLER_DETECTION_ROUNDS = 10
# The busy server processes, and the time since which the others are idle.
ACTIVITY_SQL = """
    SELECT pid, state NOT LIKE 'idle%' AS working, state_change
    FROM pg_stat_activity WHERE pid = ANY($1)"""


class MonitoredConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg carries no types
    """A connection that records how long it has been waiting for an answer."""

    # The PID of the server process; None where a pooler may use another process each time.
    pid: int | None = None
    query_started_at: float | None = None
    # When the server last reported the process as active.
    active_at = 0.0

    def __init__(self, protocol: Any, transport: Any, *arguments: Any) -> None:
        super().__init__(protocol, transport, *arguments)
        self.answered_at = time.monotonic()
        _enable_keepalive(transport.get_extra_info("socket"))

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._run_query(super().fetch(query, *args, **options))

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._run_query(super().execute(query, *args, **options))

    async def _run_query(self, query: Awaitable[Any]) -> Any:
        self.query_started_at = time.monotonic()
        try:
            answer = await query
        finally:
            self.query_started_at = None
        self.answered_at = time.monotonic()
        return answer


def _enable_keepalive(connection: socket.socket) -> None:
    """Make the system close a connection whose other end is gone, for example behind a NAT."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", TCP_USER_TIMEOUT_MILLISECONDS),
    ):
        if hasattr(socket, name):  # Not every system has all of them.
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _parse_hosts(url: str) -> list[dict[str, Any]]:
    addresses = urlsplit(url).netloc.rpartition("@")[2].split(",")
    if len(addresses) == 1:
        return [{}]
    parts = [urlsplit(f"//{address}") for address in addresses]
    return [{"host": part.hostname, "port": part.port or 5432} for part in parts]


async def _connect_to_host(**options: Any) -> MonitoredConnection:
    try:
        session: MonitoredConnection = await asyncpg.connect(**options)
    except asyncpg.PostgresError as error:
        # A server that accepts no connection is unavailable, for any reason.
        raise failures.DatabaseUnavailable(str(error)) from error
    return session


async def _backend_pid(session: MonitoredConnection) -> int:
    pid: int = await session.fetchval("SELECT pg_backend_pid()")
    return pid


async def _share_backends(one: MonitoredConnection, other: MonitoredConnection) -> bool:
    """Return whether a pooler uses any free session for each transaction of these connections.

    A pooler usually picks the session that was used last. The check runs several times, because
    other clients use the pooler too.
    """
    seen: dict[MonitoredConnection, set[int]] = {one: set(), other: set()}
    for holder, asker in [(one, other), (other, one)] * POOLER_DETECTION_ROUNDS:
        async with holder.transaction():
            for session in (holder, asker):
                seen[session].add(await _backend_pid(session))
        if any(len(pids) > 1 for pids in seen.values()):
            return True
    return False


async def _run_in_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` in another event loop; the process does not wait for it when it stops."""
    future = concurrent.futures.Future[T]()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(asyncio.run(work()))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, name="check of connections", daemon=True).start()
    return await asyncio.wrap_future(future)


class Connector:
    """Opens connections to the database at a URL, and watches them."""

    def __init__(self, url: str) -> None:
        self.hosts, self._query = _parse_hosts(url), parse_qs(urlsplit(url).query)
        self.synchronous_commit = "on"
        # Whether the planner has our settings.
        self.uses_indexes = True
        # Whether there is a pooler.
        self.pooled = False
        # Whether the pooler may use another session for each transaction, as PgBouncer does in
        # transaction mode. Then a session can hold no settings and no prepared statements.
        self.shared = False
        self._options: dict[str, Any] = {
            "dsn": url,
            "connection_class": MonitoredConnection,
            # PgBouncer keeps application_name and timezone separate for each of its clients.
            "server_settings": {"timezone": "UTC"},
        }
        self._open: WeakSet[MonitoredConnection] = WeakSet()

    def set_application_name(self, name: str) -> None:
        """Set the name that the database shows for its connections, unless the URL sets one."""
        if "application_name" not in self._query:
            self._options["server_settings"]["application_name"] = name

    async def open(self, command_seconds: float | None) -> MonitoredConnection:
        """Connect to the first host that answers and matches `target_session_attrs`."""
        session = await self._connect(
            LAST_HOST_CONNECT_TIMEOUT_SECONDS, command_timeout=command_seconds
        )
        try:
            # A command without a time limit, such as the doctor, does read whole tables.
            setup = SESSION_SETUP_SQL if command_seconds is None else SERVING_SETUP_SQL
            query = SESSION_READ_SQL if self.shared else setup
            row = await session.fetchrow(query, timeout=LAST_HOST_CONNECT_TIMEOUT_SECONDS)
        except BaseException:
            session.terminate()
            raise
        session.pid, self.synchronous_commit = row["pid"], row["synchronous_commit"]
        self.uses_indexes = row["uses_indexes"]
        self._open.add(session)
        return session

    async def _connect(
        self, seconds: float = CONNECT_TIMEOUT_SECONDS, **options: Any
    ) -> MonitoredConnection:
        """Connect to one host after the other; `seconds` is the limit for the last one."""
        options = self._options | options
        if self.shared:
            options["statement_cache_size"] = 0
        *others, last = self.hosts
        for host in others:
            try:
                return await _connect_to_host(**options | host, timeout=CONNECT_TIMEOUT_SECONDS)
            except (*failures.DRIVER_ERRORS, failures.DatabaseUnavailable):
                # Next time this host is tried last.
                self.hosts.remove(host)
                self.hosts.append(host)
        return await _connect_to_host(**options | last, timeout=seconds)

    async def detect_pooler(self) -> None:
        """Find out whether a pooler may serve one connection with different sessions."""
        options = {"command_timeout": CONNECT_TIMEOUT_SECONDS, "statement_cache_size": 0}
        async with contextlib.AsyncExitStack() as stack:
            one = await self._connect(**options)
            stack.callback(one.terminate)
            if await _backend_pid(one) == one.get_server_pid():
                return
            self.pooled = True
            other = await self._connect(**options)
            stack.callback(other.terminate)
            self.shared = await _share_backends(one, other)

    async def close_dead_connections(self) -> None:
        """Close connections that died silently, until this task is canceled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)
            before = time.monotonic() - MAX_SILENCE_SECONDS
            late = {
                session: session.query_started_at
                for session in self._open
                if session.pid
                and session.query_started_at
                and max(session.query_started_at, session.active_at) < before
            }
            if late:
                await self._close_dead_connections(late)

    async def _close_dead_connections(self, late: dict[MonitoredConnection, float]) -> None:
        pids = [session.pid for session in late]
        # Use another event loop: this one may be busy, which is no sign of a dead connection.
        working = await _run_in_thread(lambda: self._find_working(pids))
        # Let this loop read the answers that have arrived.
        await asyncio.sleep(MAX_TRANSIT_SECONDS)
        for session in late:
            if working is None or session.pid in working:
                session.active_at = time.monotonic()
        if working is None:
            return
        dead = [
            session
            for session, started_at in late.items()
            if session.query_started_at == started_at and session.pid not in working
        ]
        if not dead:
            return
        # Idle connections that have received nothing since then have probably died too.
        since = min(late[session] for session in dead)
        idle = [
            session
            for session in self._open
            if session.query_started_at is None and session.answered_at < since
        ]
        log.warning("Replacing %d dead connections to the database.", len(dead + idle))
        for session in dead + idle:
            session.terminate()

    async def _find_working(self, pids: list[int | None]) -> set[int] | None:
        """Return those of these server processes that are active; None if the server is too busy.

        Any answer to the other sessions has arrived when this returns. A process that was idle at
        two moments, and worked in between, is active too: some queries take several round trips.
        """
        try:
            session = await self._connect(command_timeout=CONNECT_TIMEOUT_SECONDS)
            try:
                before = await session.fetch(ACTIVITY_SQL, pids)
                await asyncio.sleep(MAX_TRANSIT_SECONDS)
                unchanged = {tuple(row) for row in before}
                after = await session.fetch(ACTIVITY_SQL, pids)
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
