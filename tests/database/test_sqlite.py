"""Test SQLite as a server's database: no read waits for a write, no commit copies the log."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest

from icecream import database
from icecream.database import sqlite
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
