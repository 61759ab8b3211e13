"""Test the health checks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from icecream import bootstrap, database, settings
from icecream.database import DB, batching
from icecream.http import health
from tests.conftest import Caller, until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def looked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MIN_CHECK_INTERVAL_SECONDS", 0)


@asynccontextmanager
async def read_only() -> AsyncIterator[None]:
    """Make the database read-only, as during maintenance by its administrator."""
    if isinstance(DB, database.SQLite):
        await DB.run_ddl("PRAGMA query_only = 1")
        try:
            yield
        finally:
            await DB.run_ddl("PRAGMA query_only = 0")
        return
    writable = {"default_transaction_read_only": "off"}
    connection = await asyncpg.connect(settings.load().database_url, server_settings=writable)
    try:
        await connection.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        # The setting does not affect open connections, so expire them.
        assert DB.pool is not None
        await DB.pool.expire_connections()
        yield
    finally:
        await connection.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        await connection.close()


async def test_a_process_that_answers_is_live(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/live")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_a_migrated_database_is_ready(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "warnings": []})


async def test_many_requests_at_once_cost_one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate limit does not count them."""
    monkeypatch.setattr(health, "MIN_CHECK_INTERVAL_SECONDS", 3600)
    checks: list[str] = []

    async def check_database() -> str:
        checks.append("database")
        return "ok"

    async def redis_warnings() -> list[str]:
        checks.append("redis")
        return ["Redis is unavailable."]

    monkeypatch.setattr(health, "_check_database", check_database)
    readiness = health.Readiness()
    readiness.redis_warnings = redis_warnings
    found = await asyncio.gather(*(readiness.check() for _ in range(50)))
    assert found == [health.Health("ok", ["Redis is unavailable."])] * 50
    assert checks == ["database", "redis"]


async def test_a_process_with_a_stuck_batch_is_not_ready(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def work(calls: list[int]) -> list[int]:
        await gate.wait()
        return calls

    line = batching.BatchQueue(work, name="orders", max_weight=1, max_waiting=1)
    asked = asyncio.create_task(line.submit(1))
    await until(lambda: asyncio.sleep(0, line.seconds > 0))
    with monkeypatch.context() as patched:
        patched.setattr(batching, "STUCK_SECONDS", 0.0)
        answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["status"] == "a batch of orders has taken 0 seconds"
    gate.set()
    assert await asked == 1
    assert (await client.get("/health/ready")).status_code == 200


async def test_a_read_only_database_is_not_ready_until_it_accepts_writes_again(
    client: httpx.AsyncClient, customer: Caller, flavor: int
) -> None:
    order = {"quantity": 1, "flavor": flavor}
    async with read_only():
        # Several reads, so that the pool opens several connections while the database is read-only.
        reads = (customer.get("/api/orders/") for _ in range(5))
        assert {one.status_code for one in await asyncio.gather(*reads)} == {200}
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "the database is read-only")
        assert (await customer.post("/api/orders/", order)).status_code == 503
    # The first check may use a connection from the read-only time. The pool then replaces that
    # connection and all others of the same age.
    await client.get("/health/ready")
    assert (await client.get("/health/ready")).status_code == 200
    answers = (customer.post("/api/orders/", order) for _ in range(5))
    assert {one.status_code for one in await asyncio.gather(*answers)} == {200}


@pytest.mark.only("postgres")
async def test_commits_that_do_not_wait_for_the_disk_are_a_warning(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(DB, database.Postgres)
    monkeypatch.setattr(DB.connector, "synchronous_commit", "local")
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    (warning,) = answer.json()["warnings"]
    assert warning.startswith("synchronous_commit is local")


async def test_a_database_with_pending_migrations_is_not_ready(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "all_migrations", lambda: ["2099-01-01T00:00:00:000000"])
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (
        503,
        "the database has pending migrations",
    )


async def test_an_unavailable_database_is_not_ready(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> list[str]:
        raise database.DatabaseUnavailable

    monkeypatch.setattr(bootstrap, "pending_migrations", away)
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "the database does not answer")
