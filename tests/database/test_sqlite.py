"""Test SQLite as a server's database: no read waits for a write, no commit copies the log."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import Context
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from piccolo.querystring import QueryString

from icecream import database
from icecream.database import sqlite
from icecream.feed import order_history
from icecream.idempotency import keys
from icecream.tables import Flavor
from tests.conftest import PATIENCE, Caller, until

pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]


def size(path: str) -> int:
    """Return the size of a file, 0 if there is none."""
    file = Path(path)
    return file.stat().st_size if file.exists() else 0


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[sqlite.SQLite]:
    """An open database of its own, with a log that is copied often."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_INTERVAL_SECONDS", 0.001)
    engine = sqlite.SQLite(tmp_path / "log.sqlite")
    await engine.start()
    yield engine
    await engine.stop()


async def test_an_acknowledged_commit_is_on_the_disk(engine: sqlite.SQLite) -> None:
    async with engine.transaction():
        assert await engine.run_ddl("PRAGMA synchronous") == [{"synchronous": 2}]
    assert await engine.run_ddl("PRAGMA journal_mode") == [{"journal_mode": "wal"}]


async def test_reads_do_not_wait_for_the_writer(customer: Caller, flavor: int) -> None:
    async def read() -> None:
        async with asyncio.timeout(PATIENCE):
            for path in ("/api/flavors/", "/api/stats/", "/api/orders/", f"/api/flavors/{flavor}/"):
                answer = await customer.get(path)
                assert answer.status_code == 200
                assert "Not committed" not in answer.text

    async with database.DB.transaction():
        await Flavor.update({Flavor.name: "Not committed"}).where(Flavor.id == flavor)
        # Run it like another request: in its own context.
        await asyncio.create_task(read(), context=Context())
        await Flavor.update({Flavor.name: f"Committed {flavor}"}).where(Flavor.id == flavor)


async def test_the_log_is_copied_in_the_background(engine: sqlite.SQLite) -> None:
    assert await engine.run_ddl("PRAGMA wal_autocheckpoint") == [{"wal_autocheckpoint": 10_000}]
    await engine.run_ddl("CREATE TABLE filler (content BLOB)")
    for _ in range(3):
        await engine.run_ddl("INSERT INTO filler VALUES (zeroblob(1000000))")

    async def is_copied() -> bool:
        return size(engine.path) > 3_000_000

    await until(is_copied)


async def test_the_writer_pauses_only_for_a_long_log(
    engine: sqlite.SQLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths, paused = [5, sqlite.MAX_LOG_PAGES + 1, 5, 5], list[bool]()

    async def checkpoint(_: Any) -> int:
        paused.append(engine._writer_lock.locked())
        return lengths.pop(0) if lengths else 0

    monkeypatch.setattr(engine, "_checkpoint", checkpoint)

    async def is_over() -> bool:
        return not lengths

    await until(is_over)
    assert paused[:4] == [False, False, True, False]


async def test_no_copying_remains_after_a_stop(engine: sqlite.SQLite) -> None:
    task = engine._checkpoints
    assert task is not None
    await engine.stop()
    assert task.done()
    assert not size(f"{engine.path}-wal")


@pytest.mark.parametrize("microsecond", [0, 1000, 120_000, 999_999])
async def test_equal_times_are_equal_however_they_were_written(microsecond: int) -> None:
    at = datetime(2026, 11, 30, 20, 0, 0, microsecond, UTC)
    elsewhere = at.astimezone(timezone(timedelta(hours=-5)))
    written_by_sql = "substr(strftime('%Y-%m-%d %H:%M:%f', {}), 1, 23) || {} || '+00:00'"
    rest = f"{microsecond % 1000:03}"
    exact = at.replace(microsecond=microsecond // 1000 * 1000).isoformat()
    query = f"SELECT {{}} = {written_by_sql} AS is_equal"
    for time in (at, elsewhere):
        (row,) = await database.DB.run_querystring(QueryString(query, time, exact, rest))
        assert row["is_equal"]


async def test_a_migration_adds_microseconds_to_times_without_them(customer: Caller) -> None:
    await database.DB.run_ddl(
        "INSERT INTO job (kind, subject, run_at, tries) VALUES"
        " ('charge', -1, '2020-01-01 10:00:00+00:00', 0),"
        " ('charge', -2, '2020-01-01 10:00:00.500000+00:00', 0)"
    )
    user = f"WHERE id = {customer.user.id} RETURNING CAST(last_login AS text) AS at"
    await database.DB.run_ddl(f"UPDATE users SET last_login = '2020-01-01 10:00:00' {user}")
    module = import_module("piccolo_migrations.icecream_2026_11_30t20_00_00_000000")
    await (await module.forwards()).run()
    jobs = await database.DB.run_ddl(
        "DELETE FROM job WHERE subject < 0 RETURNING CAST(run_at AS text) AS at"
    )
    users = await database.DB.run_ddl(f"UPDATE users SET active = active {user}")
    assert sorted(row["at"] for row in jobs) == [
        "2020-01-01 10:00:00.000000+00:00",
        "2020-01-01 10:00:00.500000+00:00",
    ]
    assert [row["at"] for row in users] == ["2020-01-01 10:00:00.000000"]


@pytest.mark.parametrize(
    ("statement", "rows", "table"),
    [
        (order_history._INSERT_UNPUBLISHED, [(1, 1), (2, 1)], "event"),
        (keys._FIND_RESPONSES, [(1, "a"), (1, "b")], "idempotency_key"),
    ],
)
async def test_rows_with_several_keys_are_found_by_an_index(
    opened: None, statement: database.Statement, rows: database.ValueRows, table: str
) -> None:
    """With two rows, because SQLite finds a single one in any case."""
    text = f"EXPLAIN QUERY PLAN {statement._text_with_values(len(rows))}"
    steps = await statement.run(text, [value for row in rows for value in row])
    plan = [step["detail"] for step in steps]
    assert any(f"SEARCH {table} USING" in step for step in plan), plan
    assert not any(f"SCAN {table}" in step for step in plan), plan
