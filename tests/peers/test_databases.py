"""Test PostgreSQL in other setups: old and new, behind a pooler, read-only, after failover."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import asyncpg
import httpx
import pytest

from icecream import settings
from icecream.database import DB, Postgres, sessions
from icecream.database.sessions import Connector
from tests.conftest import ADMIN_PASSWORD
from tests.peers import databases
from tests.processes import Shop, until

pytestmark = pytest.mark.only("postgres")
DEBIAN = "Debian's PostgreSQL"
CALLERS, ORDERS_EACH = 8, 6


def opened(shop: Shop, *commands: str) -> Shop:
    """Migrate the shop, start these processes and sign in as admin."""
    answer = shop.run("migrate")
    assert answer.returncode == 0, answer.stdout
    shop.ready(*[shop.begin(*command.split()) for command in commands])
    shop.sign_in("admin", ADMIN_PASSWORD)
    return shop


def order(shop: Shop) -> int | None:
    """Place an order; return its id if it was confirmed."""
    try:
        answer = shop.http.post("/api/orders/", json={"quantity": 1, "flavor": 1})
    except httpx.TransportError:
        return None
    assert answer.status_code in (200, 503), answer.text
    return answer.json()["order_id"] if answer.status_code == 200 else None


def ready(shop: Shop) -> str:
    status: str = shop.http.get("/health/ready").json()["status"]
    return status


def order_at_once(shop: Shop) -> None:
    with ThreadPoolExecutor(CALLERS) as pool:
        orders = list(pool.map(lambda _: shop.order(), range(CALLERS * ORDERS_EACH)))
    assert len(set(orders)) == CALLERS * ORDERS_EACH


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.needs(name)) for name in (DEBIAN, "PostgreSQL 18")],
)
def test_the_service_works_on_other_versions(tmp_path: Path, name: str) -> None:
    with (
        databases.postgres(name, tmp_path / "postgres") as cluster,
        Shop(tmp_path / "shop", cluster.url) as shop,
    ):
        opened(shop, "serve", "worker")
        assert ready(shop) == "ok"
        order_at_once(shop)
        shop.all_ended()
        _restart_under_load(shop, cluster)
        names = {row["application_name"] for row in databases.ask(cluster.url, NAMES)}
        assert names >= {"icecream serve", "icecream worker"}
        answer = shop.run("doctor")
        assert answer.returncode == 0, answer.stdout


def _restart_under_load(shop: Shop, cluster: databases.Cluster) -> None:
    """Restart like `pg_ctl restart -m fast`; a client of the event feed keeps its stream."""
    received: set[int] = set()
    last, stopping = 0, Event()
    with shop.http.stream("GET", "/api/events/") as events, ThreadPoolExecutor(9) as pool:

        def listen() -> None:
            for line in events.iter_lines():
                if line.startswith("data:"):
                    received.add(json.loads(line[5:])["order"])
                if last in received:
                    return

        def call() -> None:
            while not stopping.wait(0.05):
                order(shop)

        listening = pool.submit(listen)
        callers = [pool.submit(call) for _ in range(CALLERS)]
        until(lambda: received, "events arrive")
        cluster.restart()
        until(lambda: order(shop), "orders are taken again")
        stopping.set()
        for caller in callers:
            caller.result()
        last = shop.order()
        listening.result()
    shop.all_ended()


NAMES = "SELECT application_name FROM pg_stat_activity"


@pytest.fixture
async def empty(opened: None, tmp_path: Path) -> str:
    """Create an empty database on the suite's server and return its URL."""
    name = f"pooled_{tmp_path.name.translate({ord('-'): '_'})}".lower()
    await DB.run_ddl(f"CREATE DATABASE {name}")
    return settings.load().database_url.rpartition("/")[0] + f"/{name}"


@pytest.mark.needs("pgbouncer")
@pytest.mark.parametrize(("mode", "connections"), [("session", "8"), ("transaction", "20")])
def test_twenty_pgbouncer_connections_serve_two_servers_and_two_workers(
    tmp_path: Path, empty: str, mode: str, connections: str
) -> None:
    with (
        databases.pgbouncer(empty, tmp_path / "pgbouncer", mode) as url,
        Shop(tmp_path / "shop", url, ICECREAM_DATABASE_CONNECTIONS=connections) as shop,
    ):
        opened(shop, "serve --workers 2", "worker --processes 2")
        order_at_once(shop)
        shop.all_ended()
        assert ready(shop) == "ok"
        books = shop.books()
        assert len(books["orders"]) == CALLERS * ORDERS_EACH
        assert {one["state"] for one in books["payments"]} <= {"succeeded", "declined"}


@pytest.mark.needs("pgbouncer")
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_the_pool_mode_is_detected_while_others_use_the_pooler(
    tmp_path: Path, empty: str, mode: str
) -> None:
    with databases.pgbouncer(empty, tmp_path / "pgbouncer", mode) as url:

        async def look() -> set[bool]:
            at_once = [Connector(url) for _ in range(8)]
            await asyncio.gather(*(one.detect_pooler() for one in at_once))
            return {one.shared for one in at_once}

        for _ in range(5):
            assert asyncio.run(look()) == {mode == "transaction"}


@contextmanager
def taken(url: str, count: int) -> Iterator[None]:
    """Keep `count` transactions open."""
    with asyncio.Runner() as runner:

        async def take() -> list[asyncpg.Connection]:
            found = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(count)]
            for one in found:
                await one.execute("BEGIN")
            return found

        async def close(found: list[asyncpg.Connection]) -> None:
            for one in found:
                await one.close()

        found = runner.run(take())
        try:
            yield
        finally:
            runner.run(close(found))


@pytest.mark.needs("pgbouncer")
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_an_exhausted_pooler_is_reported_in_one_line(tmp_path: Path, empty: str, mode: str) -> None:
    with (
        databases.pgbouncer(empty, tmp_path / "pgbouncer", mode, size=2) as url,
        Shop(tmp_path / "shop", url) as shop,
        taken(url, 2),
    ):
        for answer in shop.run_all([["doctor"], ["migrate"]]):
            assert answer.returncode == 1
            (line,) = answer.stdout.splitlines()
            assert line.startswith("icecream: cannot use the database")


@pytest.mark.needs("pgbouncer")
def test_a_slow_query_continues_while_the_pooler_is_exhausted(
    tmp_path: Path, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAX_SILENCE_SECONDS", "CHECK_INTERVAL_SECONDS", "MAX_TRANSIT_SECONDS"):
        monkeypatch.setattr(sessions, name, 0.1)
    with databases.pgbouncer(empty, tmp_path / "pgbouncer", "session", size=2) as url:

        async def both() -> list[object]:
            engine = Postgres(url, 2)
            await engine.start()
            try:
                await asyncio.gather(*(engine.run_ddl("SELECT pg_sleep(0.1)") for _ in range(2)))
                # Both connections are open. From now on, a wait for a third connection is short.
                monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 0.3)
                slow = (engine.run_ddl("SELECT 1 AS one, pg_sleep(1.5)") for _ in range(2))
                return [rows[0]["one"] for rows in await asyncio.gather(*slow)]
            finally:
                await engine.stop()

        assert asyncio.run(both()) == [1, 1]


@pytest.mark.needs(DEBIAN)
def test_a_failover_loses_no_confirmed_order_and_needs_no_restart(tmp_path: Path) -> None:
    with (
        databases.postgres(
            DEBIAN, tmp_path / "primary", "--synchronous_standby_names=*", "--wal_level=replica"
        ) as primary,
        databases.standby(primary, tmp_path / "standby") as standby,
    ):
        synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        until(lambda: databases.ask(primary.url, synchronous), "the standby is synchronous")
        hosts = f"127.0.0.1:{primary.server.port},127.0.0.1:{standby.server.port}"
        url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
        with Shop(tmp_path / "shop", url) as shop:
            opened(shop, "serve", "worker")
            _turn_read_only_and_back(shop, primary)
            _lose_the_standby_for_a_while(shop, standby)
            confirmed = _order_while_it_dies(shop, primary)
            until(lambda: ready(shop) != "ok", "it is not ready")
            answer = shop.run("migrate")
            assert (answer.returncode, len(answer.stdout.splitlines())) == (1, 1), answer.stdout
            standby.run("pg_ctl", "promote", f"-D{standby.data}")
            until(lambda: ready(shop) == "ok", "it is ready again")
            order_at_once(shop)
            shop.all_ended()
            stored = {one["id"] for one in shop.books()["orders"]}
            assert confirmed <= stored


def _turn_read_only_and_back(shop: Shop, primary: databases.Cluster) -> None:
    """Make the primary read-only, then writable, with connections of both times in the pools."""
    writable = f"{primary.url}?default_transaction_read_only=off"
    setting = "default_transaction_read_only"
    databases.ask(writable, f"ALTER DATABASE postgres SET {setting} = on")
    databases.ask(writable, ENDED)
    until(lambda: ready(shop) != "ok", "it is not ready")
    assert order(shop) is None
    databases.ask(writable, f"ALTER DATABASE postgres RESET {setting}")
    until(lambda: ready(shop) == "ok", "it is ready again")
    assert order(shop)


ENDED = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name LIKE 'icecream%'"""


def _lose_the_standby_for_a_while(shop: Shop, standby: databases.Cluster) -> None:
    """Stop the standby: no commit ends, although the primary answers and takes writes."""
    standby.server.stop()
    until(lambda: ready(shop) == "the database takes too long to write", "it is not ready")
    standby.server.start()
    until(lambda: ready(shop) == "ok", "it is ready again")


def _order_while_it_dies(shop: Shop, primary: databases.Cluster) -> set[int]:
    """Stop the primary while 8 callers place orders; return the confirmed orders."""
    confirmed: list[int] = []

    def call(_: int) -> None:
        while (number := order(shop)) is not None:
            confirmed.append(number)

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call, n) for n in range(CALLERS)]
        until(lambda: len(confirmed) > 5 * CALLERS, "orders are confirmed")
        primary.server.stop()
        for caller in callers:
            caller.result()
    return set(confirmed)
