"""Test connections to PostgreSQL: several hosts, dead connections, and session settings."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from icecream import database, settings
from icecream.database import DB, sessions
from tests import servers
from tests.conftest import until
from tests.relay import Relay, relay

pytestmark = [pytest.mark.anyio, pytest.mark.only("postgres")]
# Long enough that several such queries at once use one connection each.
WAITING = "SELECT pg_backend_pid() AS pid, pg_sleep(0.02)"
# The limit for steps that take seconds if all is well.
PATIENCE = 25


@asynccontextmanager
async def engine_at(place: str = "", query: str = "", **options: Any) -> AsyncIterator[Any]:
    """Yield an engine for one test, at these hosts and ports."""
    whole = urlsplit(settings.load().database_url)
    netloc = f"postgres@{place}" if place else whole.netloc
    engine = database.Postgres(whole._replace(netloc=netloc, query=query).geturl(), **options)
    await engine.start("icecream test")
    try:
        yield engine
    finally:
        await engine.stop()


def port() -> int:
    found = urlsplit(settings.load().database_url).port
    assert found
    return found


def shorten_checks(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for name in ("MAX_SILENCE_SECONDS", "CHECK_INTERVAL_SECONDS", "MAX_TRANSIT_SECONDS"):
        monkeypatch.setattr(sessions, name, seconds)


@asynccontextmanager
async def engine_behind_relay() -> AsyncIterator[tuple[database.Postgres, Relay]]:
    """An engine on connections that can die silently."""
    async with (
        asyncio.timeout(PATIENCE),
        relay(port()) as between,
        engine_at(f"127.0.0.1:{between.port}", "sslmode=disable") as engine,
    ):
        yield engine, between


async def test_connections_that_died_silently_are_detected_and_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten_checks(monkeypatch, 0.1)
    async with engine_behind_relay() as (engine, between):
        await asyncio.gather(*(engine.run_ddl(WAITING) for _ in range(8)))
        between.lose()
        asked = (engine.run_ddl("SELECT 1") for _ in range(3))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(one) for one in answers} == {database.DatabaseUnavailable}
        # The other five connections were not used since they died.
        await asyncio.gather(*(engine.run_ddl("SELECT 1") for _ in range(8)))


async def test_the_outcome_on_a_dead_connection_is_unknown_only_at_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten_checks(monkeypatch, 0.1)
    async with engine_behind_relay() as (engine, between):
        with pytest.raises(database.CommitOutcomeUnknown):
            async with engine.transaction():
                await engine.run_ddl("SELECT 1")
                between.lose()
        with pytest.raises(database.DatabaseUnavailable) as unavailable:
            async with engine.transaction():
                between.lose()
                await engine.run_ddl("SELECT 1")
        assert unavailable.type is database.DatabaseUnavailable
        assert await engine.run_ddl("SELECT 1")
        with pytest.raises(database.CommitOutcomeUnknown):
            between.lose()
            await engine.commit_query("SELECT 1", [])


async def test_an_error_of_the_server_means_that_nothing_was_written() -> None:
    async with engine_at() as engine:
        with pytest.raises(database.DatabaseUnavailable) as canceled:
            await engine.commit_query("SELECT pg_cancel_backend(pg_backend_pid())", [])
        assert canceled.type is database.DatabaseUnavailable
        with pytest.raises(asyncpg.DivisionByZeroError):
            await engine.commit_query("SELECT 1 / 0", [])
        with pytest.raises(database.CommitOutcomeUnknown):
            await engine.commit_query("SELECT pg_terminate_backend(pg_backend_pid())", [])


async def test_a_query_of_a_canceled_task_ends_also_after_a_second_cancellation() -> None:
    async with engine_at() as engine:
        query = asyncio.create_task(engine.run_ddl("SELECT pg_sleep(60)"))
        await until(lambda: _is_sleeping(engine))
        query.cancel()
        # The task now returns its connection, which waits for the end of the query.
        await asyncio.sleep(0)
        query.cancel()
        await asyncio.wait({query})
        await until(lambda: _is_awake(engine))


async def _is_sleeping(engine: database.Postgres) -> bool:
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
    )
    return bool(await engine.run_ddl(query))


async def _is_awake(engine: database.Postgres) -> bool:
    return not await _is_sleeping(engine)


async def test_a_slow_query_is_not_mistaken_for_a_dead_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten_checks(monkeypatch, 0.05)
    looked, real = asyncio.Event(), sessions.Connector._close_dead_connections

    async def look(
        self: sessions.Connector, late: dict[sessions.MonitoredConnection, float]
    ) -> None:
        await real(self, late)
        looked.set()

    monkeypatch.setattr(sessions.Connector, "_close_dead_connections", look)
    async with engine_at() as engine:
        assert await engine.run_ddl("SELECT pg_sleep(1)")
    assert looked.is_set()


async def test_a_busy_event_loop_is_not_mistaken_for_dead_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("MAX_SILENCE_SECONDS", "CHECK_INTERVAL_SECONDS"):
        monkeypatch.setattr(sessions, name, 0.05)
    # Each turn of the loop takes longer than half of what a new connection may take.
    monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 0.4)
    async with engine_at() as engine:
        await engine.run_ddl("SELECT 1")
        query = asyncio.create_task(engine.run_ddl("SELECT pg_sleep(2)"))
        while not query.done():
            time.sleep(0.25)  # noqa: ASYNC251  # another task that computes
            await asyncio.sleep(0)
        assert await query
    assert "dead" not in caplog.text


async def test_a_query_with_several_round_trips_is_not_mistaken_for_a_dead_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server was idle just when it was looked at, between two parts of a query."""
    async with engine_at() as engine:
        # Long enough for a round trip between the two looks, also on a busy machine.
        monkeypatch.setattr(sessions, "MAX_TRANSIT_SECONDS", 2)
        async with engine.transaction() as transaction:
            connection = transaction.connection
            looking = asyncio.create_task(engine.connector._find_working([connection.pid]))
            while not looking.done():
                await connection.fetch("SELECT 1")
                await asyncio.sleep(0.05)
            assert await looking == {connection.pid}
            monkeypatch.setattr(sessions, "MAX_TRANSIT_SECONDS", 0.3)
            assert await engine.connector._find_working([connection.pid]) == set()


async def test_tcp_keepalive_is_enabled() -> None:
    async with engine_at() as engine, engine.transaction() as transaction:
        one = transaction.connection._transport.get_extra_info("socket")
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000


async def test_the_first_of_several_hosts_that_accepts_writes_is_used() -> None:
    place = f"127.0.0.1:{servers.free_port()},127.0.0.1:{port()}"
    async with engine_at(place, "target_session_attrs=read-write") as engine:
        assert await engine.run_ddl("SELECT 1")
        assert engine.connector.hosts[0] == {"host": "127.0.0.1", "port": port()}
    with pytest.raises(database.DatabaseUnavailable, match="target attribute"):
        async with engine_at(query="target_session_attrs=standby"):
            pass


async def test_a_database_that_accepts_no_connections_is_unavailable() -> None:
    whole = urlsplit(settings.load().database_url)
    # Every PostgreSQL has this database, and it accepts no connections.
    opening = sessions.Connector(whole._replace(path="/template0").geturl()).open(None)
    with pytest.raises(database.DatabaseUnavailable, match="not currently accepting connections"):
        await opening


async def test_a_connection_has_the_name_of_its_command_and_durable_commits() -> None:
    (row,) = await DB.run_ddl("SHOW application_name")
    assert row["application_name"] == "icecream"
    async with engine_at() as engine:
        (row,) = await engine.run_ddl("SHOW application_name")
        assert row["application_name"] == "icecream test"
        assert engine.warnings() == []
    async with engine_at(query="application_name=shop") as engine:
        (row,) = await engine.run_ddl("SHOW application_name")
        assert row["application_name"] == "shop"


@pytest.mark.parametrize(("level", "then"), [("remote_apply", "remote_apply"), ("local", "on")])
async def test_a_commit_waits_at_least_for_the_disk(level: str, then: str) -> None:
    async with engine_at(query=f"synchronous_commit={level}") as engine:
        (row,) = await engine.run_ddl("SHOW synchronous_commit")
        assert row["synchronous_commit"] == then


async def test_a_setting_that_cannot_be_changed_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "SERVING_SETUP_SQL", sessions.SESSION_READ_SQL)
    async with engine_at(query="synchronous_commit=remote_write") as engine:
        durability, planner = engine.warnings()
        assert "synchronous_commit is remote_write" in durability
        assert "enable_seqscan = off" in planner


async def test_a_lock_that_takes_longer_than_the_database_allows_is_unavailable() -> None:
    connection = await asyncpg.connect(settings.load().database_url)
    try:
        async with engine_at(query="lock_timeout=50") as engine, connection.transaction():
            await connection.execute("LOCK TABLE flavor")
            with pytest.raises(database.DatabaseUnavailable, match="lock timeout"):
                await engine.run_ddl("SELECT * FROM flavor")
    finally:
        await connection.close()
