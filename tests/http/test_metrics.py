"""Test what `/metrics` counts, what it reports during outages, and that it covers all processes."""

import asyncio
import os
import platform
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from icecream import __version__, database, errors, settings
from icecream.catalogue import inventory
from icecream.http import metrics
from icecream.idempotency import keys
from icecream.orders import actions, placing
from icecream.payments import leases
from icecream.payments.providers import Declined, OutcomeUnknown, RetryLater, Succeeded
from icecream.tables import Job, Order
from tests import servers
from tests.conftest import (
    ADMIN_PASSWORD,
    METRICS_HEADERS,
    METRICS_TOKEN,
    Caller,
    carry_out,
    ignore_notification,
    new_flavor,
    parked,
    payment_id,
    place,
)
from tests.processes import Process, Shop, freeze, stop, until

pytestmark = pytest.mark.anyio
Figures = Counter[tuple[str, ...]]


def read(text: str) -> Figures:
    """Return the figures by metric name (without the prefix) and label values.

    The label values are in the order of the label names.
    """
    return Counter(
        {
            (
                sample.name.removeprefix("icecream_"),
                *(sample.labels[name] for name in sorted(sample.labels)),
            ): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


ReadFigures = Callable[[], Awaitable[Figures]]


@pytest.fixture
def read_figures(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> ReadFigures:
    """Return a function that reads the current figures."""
    monkeypatch.setattr(metrics, "CACHE_SECONDS", 0)

    async def read_figures() -> Figures:
        answer = await client.get("/metrics", headers=METRICS_HEADERS)
        assert answer.status_code == 200
        return read(answer.text)

    return read_figures


async def test_the_page_is_prometheus_text_only_with_its_token(
    client: httpx.AsyncClient, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await client.get("/metrics", headers=METRICS_HEADERS)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "ratelimit" not in answer.headers
    assert read(answer.text)["build_info", platform.python_version(), __version__] == 1
    assert "/metrics" not in (await client.get("/schema/openapi.json")).json()["paths"]
    for value in ("", "Bearer", "Bearer x", f"Basic {METRICS_TOKEN}", METRICS_TOKEN, "\xff"):
        answer = await client.get("/metrics", headers={"Authorization": value.encode("latin-1")})
        assert (answer.status_code, answer.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert (await staff.get("/metrics")).status_code == 401
    # Without a token in the settings there is no page.
    unset = msgspec.structs.replace(settings.load(), metrics_token=None)
    monkeypatch.setattr(settings, "load", lambda: unset)
    for headers in ({}, METRICS_HEADERS):
        assert (await client.get("/metrics", headers=headers)).status_code == 404


async def test_the_page_is_cached_for_a_moment(client: httpx.AsyncClient) -> None:
    first, second = await asyncio.gather(
        client.get("/metrics", headers=METRICS_HEADERS),
        client.get("/metrics", headers=METRICS_HEADERS),
    )
    assert first.text == second.text


async def test_requests_are_counted_by_path_template(
    client: httpx.AsyncClient, read_figures: ReadFigures
) -> None:
    before = await read_figures()
    for n in range(1500):
        await client.post(f"/api/payments/webhooks/somebody{n}/")
    for n in range(10):
        await client.get(f"/nowhere/{n}")
        await client.get(f"/admin/assets/nothing{n}.js")
        await client.request(f"BREW{n}", "/health/live")
    after = await read_figures()
    count = "request_duration_seconds_count"
    assert {key[1:]: value for key, value in (after - before).items() if key[0] == count} == {
        ("POST", "/api/payments/webhooks/{provider}", "404"): 1500,
        ("GET", "unknown", "404"): 10,
        ("GET", "/admin", "404"): 10,
        ("other", "unknown", "405"): 10,
        ("GET", "/metrics", "200"): 1,
    }
    spent = ("request_duration_seconds_sum", "POST", "/api/payments/webhooks/{provider}", "404")
    assert 0 < after[spent] - before[spent] < 60


async def test_orders_are_counted_by_outcome(customer: Caller, read_figures: ReadFigures) -> None:
    before, user = await read_figures(), customer.user.id
    flavor, line = await new_flavor(stock=3), placing.OrderPlacer(ignore_notification)
    key = keys.RequestKey(user, "twice", "an order")
    await asyncio.gather(*(line.place(user, {flavor: 1}, key) for _ in range(3)))
    with pytest.raises(errors.InsufficientStock):
        await line.place(user, {flavor: 3})
    with pytest.raises(inventory.UnknownFlavor):
        await line.place(user, {2**40: 1})
    await line.close()
    with pytest.raises(errors.Unavailable):
        await line.place(user, {flavor: 1})
    new = await read_figures() - before
    assert {key[1]: value for key, value in new.items() if key[0] == "orders_total"} == {
        "placed": 1,
        "replayed": 2,
        "insufficient-stock": 1,
        "unknown-flavor": 1,
        "unavailable": 1,
    }
    assert (new["batch_size_sum", "orders"], new["batch_size_count", "orders"]) == (5, 3)
    assert new["batch_size_bucket", "2.0", "orders"] == 2
    assert new["batch_duration_seconds_count", "orders"] == 3


async def test_payment_attempts_are_counted_by_result(
    customer: Caller, read_figures: ReadFigures
) -> None:
    before = await read_figures()
    answers: list[Any] = [
        "well",
        Declined("no"),
        OutcomeUnknown(),
        TimeoutError(),
        RetryLater("too many"),
        Succeeded("another amount", 1, "EUR"),
    ]
    for answer in answers:
        order = (await place(customer.user.id, {await new_flavor(): 1})).order
        await carry_out(order, answer)
    paid = await Order.select(Order.id).where(
        Order.user == customer.user.id, Order.status == "paid"
    )
    await database.transaction(
        lambda: actions.refund_order(paid[0]["id"], None, reason="test", by=customer.user.id)
    )
    await carry_out(paid[0]["id"])
    new, count = await read_figures() - before, "payment_attempt_duration_seconds_count"
    assert {key[1:]: value for key, value in new.items() if key[0] == count} == {
        ("charge", "succeeded"): 1,
        ("charge", "declined"): 1,
        ("charge", "unknown"): 2,
        ("charge", "later"): 1,
        ("charge", "parked"): 1,
        ("refund", "succeeded"): 1,
    }
    assert new["payment_attempt_duration_seconds_sum", "charge", "succeeded"] > 0.005
    assert new["batch_size_sum", "settlements"] == 4


async def test_the_gauges_show_the_current_queue(
    customer: Caller, read_figures: ReadFigures
) -> None:
    # Jobs of earlier tests must not be due: move them to a date far in the future.
    await Job.update({Job.run_at: datetime(2099, 1, 1, tzinfo=UTC)}, force=True)
    before = await read_figures()
    assert (before["jobs_due",], before["oldest_due_job_age_seconds",]) == (0, 0)
    taken, *_ = [await place(customer.user.id, {await new_flavor(): 1}) for _ in range(3)]
    await parked(customer)
    await leases.acquire_leases([payment_id(taken)], limit=1, lease_seconds=20)
    await asyncio.sleep(0.01)
    after = await read_figures()
    assert (after["database_up",], after["jobs_due",]) == (1, 2)
    assert 0.01 < after["oldest_due_job_age_seconds",] < 60
    new = after - before
    assert (new["jobs_in_flight",], new["payments_parked",]) == (1, 1)


async def test_the_page_reports_an_unavailable_database_and_all_other_metrics(
    read_figures: ReadFigures, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise database.DatabaseUnavailable("away")

    monkeypatch.setattr(Job, "raw", away)
    figures = await read_figures()
    assert figures["database_up",] == 0
    absent = {"redis_away", *metrics.GAUGE_HELP}
    assert not absent & {name for name, *_ in figures}
    assert figures["orders_total", "placed"] >= 0


async def test_a_hanging_query_delays_no_scrape_and_is_repeated_only_after_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "QUERY_TIMEOUT_SECONDS", 0.05)
    asked, thaw = 0, asyncio.Event()

    async def hang() -> bool:
        nonlocal asked
        asked += 1
        while not thaw.is_set():
            with suppress(asyncio.CancelledError):
                await thaw.wait()
        return True

    question, began = metrics.SharedQuery(hang), time.monotonic()
    assert [await question.result() for _ in range(3)] == [None, None, None]
    assert time.monotonic() - began < 5
    assert asked == 1
    monkeypatch.setattr(metrics, "HUNG_QUERY_SECONDS", 0)
    assert (await question.result(), asked) == (None, 2)
    thaw.set()
    assert (await question.result(), asked) == (True, 3)


# Tests with real processes.


class Together:
    """A shop with two server processes and two worker processes, and the pages of both commands."""

    def __init__(self, shop: Shop) -> None:
        port = servers.free_port()
        self.shop, self.addresses = shop, (shop.port, port)
        self.server = shop.begin("serve", "--workers", "2")
        self.worker = shop.begin("worker", "--processes", "2", "--metrics-port", str(port))
        shop.ready(self.server, self.worker)
        until(lambda: self.worker.output.count("Charging payments") == 2, "both work")
        shop.sign_in("admin", ADMIN_PASSWORD)

    @property
    def is_running(self) -> bool:
        return self.server.running and self.worker.running

    def pages(self) -> list[Figures]:
        """Return the figures of the server and of the worker; any of their processes may answer."""
        answers = [
            httpx.get(f"http://127.0.0.1:{port}/metrics", headers=METRICS_HEADERS, timeout=5)
            for port in self.addresses
        ]
        assert [one.status_code for one in answers] == [200, 200]
        heads = [httpx.head(one.request.url, headers=METRICS_HEADERS, timeout=5) for one in answers]
        assert [(one.status_code, one.content) for one in heads] == [(200, b""), (200, b"")]
        return [read(one.text) for one in answers]

    def order(self, count: int) -> None:
        """Place orders, each over a new connection, so that all processes get some."""
        for _ in range(count):
            httpx.post(
                f"http://127.0.0.1:{self.shop.port}/api/orders/",
                json={"quantity": 1, "flavor": 1},
                headers=self.shop.http.headers,
            ).raise_for_status()

    def folder(self, process: Process) -> Path:
        environment = Path(f"/proc/{self.children(process)[0]}/environ").read_bytes()
        fields = dict(one.split(b"=", 1) for one in environment.split(b"\0") if one)
        return Path(os.fsdecode(fields[b"PROMETHEUS_MULTIPROC_DIR"]))

    def children(self, process: Process) -> list[int]:
        """Return the ids of the processes that serve or work."""
        words, found = (b"spawn_main", b"--kept"), []
        for pid in process.left_behind():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except FileNotFoundError:
                continue  # It has just ended.
            found += [pid] if any(word in command for word in words) else []
        return found


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A PostgreSQL server for these tests, and its process id."""
    folder = tmp_path_factory.mktemp("pg")
    with servers.postgres(folder) as url:
        pid = (folder / "postgres/postmaster.pid").read_text().split()[0]
        yield url, int(pid)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, postgres: tuple[str, int], redis: servers.Server
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with Shop(folder, postgres[0], ICECREAM_REDIS_URL=redis.url) as shop:
        shop.troubled = True
        answer = shop.run("migrate")
        assert answer.returncode == 0, answer.stdout
        yield shop


@pytest.fixture(scope="module")
def started() -> list[Together]:
    return []


@pytest.fixture
def together(installation: Shop, started: list[Together]) -> Together:
    """The processes that the previous test left, or new ones if it ended them."""
    if not started or not started[-1].is_running:
        started.append(Together(installation))
    return started[-1]


def orders(figures: Figures) -> float:
    return figures["orders_total", "placed"]


def attempts(figures: Figures) -> float:
    return sum(
        value
        for (name, *_), value in figures.items()
        if name == "payment_attempt_duration_seconds_count"
    )


@pytest.mark.only("postgres")
def test_any_process_reports_all_counts_even_of_killed_processes(together: Together) -> None:
    together.order(20)
    together.shop.all_ended()
    folders = [together.folder(one) for one in (together.server, together.worker)]
    files = [sorted(folder.iterdir()) for folder in folders]
    for command in (together.server, together.worker):
        before = together.children(command)
        os.kill(before[0], signal.SIGKILL)
        until(
            lambda: len(now := together.children(command)) == 2 and before[0] not in now,  # noqa: B023
            "another takes its place",
        )
    until(lambda: together.worker.output.count("Charging payments") == 3, "it works")
    together.order(10)
    together.shop.all_ended()
    time.sleep(metrics.CACHE_SECONDS)
    for _ in range(10):
        served, worked = together.pages()
        assert (orders(served), attempts(worked)) == (30, 30)
        assert worked["batch_size_sum", "settlements"] == 30
    assert [sorted(folder.iterdir()) for folder in folders] == files
    server, worker = (f"http://127.0.0.1:{port}/metrics" for port in together.addresses)
    assert httpx.get(server).status_code == 401
    # The port of the workers needs no token, but no proxy may forward to it.
    assert httpx.get(worker).status_code == 200
    assert httpx.get(worker, headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 404
    stop(together.server, together.worker)
    assert not any(folder.exists() for folder in folders)


@pytest.mark.only("postgres")
def test_both_pages_report_an_outage_of_redis_or_the_database(
    together: Together, redis: servers.Server, postgres: tuple[str, int]
) -> None:
    def both(name: str, value: float) -> Callable[[], bool]:
        return lambda: [page[name,] for page in together.pages()] == [value, value]

    assert both("redis_away", 0)()
    redis.stop()
    until(both("redis_away", 1), "both miss Redis")
    redis.start()
    until(both("redis_away", 0), "both find it again")
    assert both("database_up", 1)()
    with freeze(postgres[1]):
        until(both("database_up", 0), "both miss the database")
        for page in together.pages():
            assert "jobs_due" not in {name for name, *_ in page}
    until(both("database_up", 1), "both find it again")


@pytest.mark.only("postgres")
def test_a_killed_supervisor_leaves_no_files(together: Together) -> None:
    commands = together.server, together.worker
    folders = [together.folder(one) for one in commands]
    for command in commands:
        command.kill()
    until(lambda: not any(one.left_behind() for one in commands), "all end")
    assert not any(folder.exists() for folder in folders)


@pytest.mark.only("sqlite")
def test_the_single_process_with_sqlite_reports_orders_and_payments(tmp_path: Path) -> None:
    with Shop(tmp_path / "shop", f"sqlite:///{tmp_path}/shop.sqlite") as shop:
        server = shop.serve(ICECREAM_ADMIN_PASSWORD=ADMIN_PASSWORD)
        shop.sign_in("admin", ADMIN_PASSWORD)
        shop.order()
        shop.all_ended()
        figures = read(shop.http.get("/metrics", headers=METRICS_HEADERS).text)
        assert (orders(figures), attempts(figures), figures["jobs_due",]) == (1, 1, 0)
        stop(server)


@pytest.mark.only("postgres")
async def test_a_worker_reports_that_its_port_is_in_use(
    empty_database: str, tmp_path: Path
) -> None:
    with (
        Shop(tmp_path / "shop", empty_database) as shop,
        servers.redis(tmp_path / "redis") as taken,
    ):
        answer = shop.run("worker", "--metrics-port", str(taken.port))
    assert answer.returncode == 1
    assert answer.stdout == (
        f"icecream: cannot listen on 127.0.0.1:{taken.port} (Address already in use): "
        "set --metrics-port to a free port, --metrics-host to an address of this machine.\n"
    )
