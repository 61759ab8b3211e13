"""Test that outages and killed processes lose no order and charge none twice."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from icecream.runtime import shutdown
from tests import servers
from tests.conftest import ADMIN_PASSWORD, WHICH
from tests.processes import Process, Shop, freeze, stop, until

at_scale = pytest.mark.only("postgres")
# Each of our processes must end within so many seconds after SIGTERM.
BOUND = 10
# With this setting the sweep runs too rarely to find anything during a test.
NO_SWEEP = {"ICECREAM_SWEEP": "600"}
# Payments that are in flight long enough for a test to disturb the process that makes them.
SLOW = {
    "ICECREAM_PAYMENT_DELAY": "5",
    "ICECREAM_PAYMENT_TIMEOUT": "6",
    "ICECREAM_LEASE": "7",
}


def migrated(folder: Path, url: str) -> str:
    with Shop(folder / "migrate", url) as shop:
        answer = shop.run("migrate")
        assert answer.returncode == 0, answer.stdout
    return url


@pytest.fixture(scope="module")
def migrated_database(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> str:
    """The URL of the database that these tests share."""
    return migrated(tmp_path_factory.mktemp("outages"), database_url)


@pytest.fixture
def shop(tmp_path: Path, migrated_database: str) -> Iterator[Shop]:
    """A shop without running processes."""
    with Shop(tmp_path / "shop", migrated_database) as shop:
        yield shop


@pytest.fixture
def redis(tmp_path: Path, shop: Shop) -> Iterator[servers.Server]:
    """The shop's Redis for notifications; a shop with SQLite uses none."""
    with servers.redis(tmp_path / "redis") as server:
        if WHICH == "postgres":
            shop.environment["ICECREAM_REDIS_URL"] = server.url
        yield server


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A PostgreSQL that can be stopped and started again."""
    folder = tmp_path_factory.mktemp("postgres")
    server = servers.postgres_server(folder)
    with servers.running(server):
        migrated(folder, server.url)
        yield server


def opened_with(shop: Shop, *commands: str, **settings: str) -> list[Process]:
    """Start processes (SQLite: only `serve`), wait until they are ready, and sign an admin in."""
    embedded = WHICH == "sqlite"
    processes = [
        shop.begin(*command.split(), **settings)
        for command in (["serve"] if embedded else commands)
    ]
    shop.ready(*processes)
    shop.sign_in("admin", ADMIN_PASSWORD)
    return processes


def ordered(shop: Shop, count: int) -> list[int]:
    return [shop.order() for _ in range(count)]


def in_flight(shop: Shop, orders: list[int]) -> bool:
    payments = shop.books()["payments"]
    return all(one["state"] == "sent" for one in payments if one["order"] in orders)


def ended(shop: Shop) -> dict[str, Any] | None:
    books = shop.books()
    return None if books["jobs"] else books


def check_books(shop: Shop) -> None:
    """Check that every order has ended and was settled once."""
    books = until(lambda: ended(shop), "all payments end")
    assert books is not None
    assert "pending" not in {one["status"] for one in books["orders"]}
    assert {one["state"] for one in books["payments"]} <= {"succeeded", "declined"}
    settled = sorted(one["order"] for one in books["payments"])
    assert settled == [one["id"] for one in books["orders"]]


def warnings(shop: Shop) -> list[str]:
    answer = shop.http.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    found: list[str] = answer.json()["warnings"]
    return found


@pytest.fixture
def cut_off(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Process]]:
    """A server and a worker whose PostgreSQL no longer answers; no processes with SQLite."""
    if WHICH == "sqlite":
        yield []
        return
    postgres: servers.Server = request.getfixturevalue("postgres")
    with Shop(tmp_path / "cut off", postgres.url) as shop:
        shop.troubled = True
        processes = opened_with(shop, "serve", "worker", ICECREAM_PAYMENT_DELAY="0.5")
        ordered(shop, 10)
        pid = int((postgres.log.parent / "postgres/postmaster.pid").read_text().split()[0])
        with freeze(pid):
            yield processes
        assert shop.books()["jobs"]


def test_all_processes_stop_in_time_and_payments_in_flight_settle_after_a_restart(
    shop: Shop, redis: servers.Server, cut_off: list[Process]
) -> None:
    commands = "serve --workers 2", "worker --concurrency 5", "worker --processes 2"
    processes = opened_with(shop, *commands, **SLOW)
    orders = ordered(shop, 10)
    until(lambda: in_flight(shop, orders), "the payments are in flight")
    redis.stop()
    # Without an answer of the database a process may have to force its stop.
    codes = {0, shutdown.FORCED_STOP_EXIT_CODE} if cut_off else {0}
    assert stop(*processes, *cut_off, codes=codes) < BOUND
    assert {process.wait() for process in processes} == {0}
    shop.ready(shop.begin(processes[-1].words[0]))
    check_books(shop)


@at_scale
def test_a_killed_worker_is_replaced_and_no_process_outlives_a_killed_supervisor(
    shop: Shop,
) -> None:
    server, workers = (
        shop.begin("serve", "--workers", "2"),
        shop.begin("worker", "--processes", "2"),
    )
    supervisors = server, workers
    shop.ready(*supervisors)
    until(lambda: workers.output.count("Charging payments") == 2, "both work")
    os.kill(next(pid for pid in workers.left_behind() if pid != workers.pid), signal.SIGKILL)
    until(lambda: workers.output.count("Charging payments") == 3, "a new one works")
    for supervisor in supervisors:
        supervisor.kill()
    until(lambda: not any(one.left_behind() for one in supervisors), "all end", BOUND)


@at_scale
def test_outages_of_redis_lose_no_order(shop: Shop, redis: servers.Server) -> None:
    redis.stop()
    with socket.create_server(("127.0.0.1", redis.port)):
        _, worker = opened_with(shop, "serve", "worker")
        ordered(shop, 5)
        shop.all_ended()
        until(lambda: warnings(shop), "the warning")
    ordered(shop, 5)
    shop.all_ended()
    (warning,) = warnings(shop)
    assert warning.startswith("Redis is unavailable (")
    assert warning.endswith("; payments continue with the sweep.")
    redis.start()
    worker.says("Redis is available again")
    until(lambda: ordered(shop, 1) and not warnings(shop), "the server notifies again")
    shop.all_ended()
    check_books(shop)
    assert stop(worker) < BOUND

    shop.worker(**NO_SWEEP)
    for _ in range(3):
        shop.order()
        shop.all_ended()
        with Redis.from_url(redis.url) as client:
            client.flushall()


@at_scale
def test_a_restart_of_postgresql_without_redis_loses_no_order(
    tmp_path: Path, postgres: servers.Server
) -> None:
    with Shop(tmp_path / "shop", postgres.url, ICECREAM_LOG_FORMAT="json") as shop:
        processes = opened_with(shop, "serve", "worker")
        ordered(shop, 10)
        shop.all_ended()
        postgres.stop()
        for method, path in REFUSED * 40:
            answer = shop.http.request(method, path, json={"quantity": 1, "flavor": 1})
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert int(answer.headers["Retry-After"]) > 0
        assert shop.http.get("/health/ready").status_code == 503
        assert shop.http.get("/health/live").status_code == 200
        postgres.start()
        for process in processes:
            process.says("The database is available again")
            check_lines_of_outage(process.output)
        until(lambda: shop.http.get("/health/ready").status_code == 200, "it is ready again")
        ordered(shop, 5)
        shop.all_ended()
        check_books(shop)
        assert warnings(shop) == []
        for process in processes:
            process.signal(signal.SIGINT)
        assert [process.wait() for process in processes] == [0, 0]


def check_lines_of_outage(output: str) -> None:
    """Check that an outage logs only a few lines, each of them JSON, for any number of requests."""
    begin = output.rindex("\n", 0, output.index("The database is unavailable"))
    lines = [msgspec.json.decode(line) for line in output[begin:].splitlines() if line]
    assert len(lines) < 20, output
    lines_of_outage = [line["event"] for line in lines if line["logger"] == "icecream.database"]
    assert ["is unavailable" in lines_of_outage[0], "available again" in lines_of_outage[-1]] == [
        True,
        True,
    ]


REFUSED = [
    ("POST", "/api/orders/"),
    ("GET", "/api/orders/"),
    ("GET", "/api/my-orders/"),
    ("GET", "/api/flavors/"),
    ("GET", "/api/stats/"),
]
