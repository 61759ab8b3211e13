"""Test that a search may skip deleted rows at the start of a queue, and misses no other row."""

import math
from collections.abc import AsyncIterator

import asyncpg
import pytest
from piccolo.columns import BigSerial, Text
from piccolo.table import Table

from icecream import database, settings
from icecream.database import queue_start
from icecream.database.queue_start import QueueStart

pytestmark = pytest.mark.anyio


class Entry(Table, tablename="test_entry"):
    """An entry of a queue."""

    id = BigSerial(primary_key=True)
    events = Text()


@pytest.fixture(autouse=True)
async def table(opened: None) -> AsyncIterator[None]:
    await Entry.create_table()
    yield
    await Entry.alter().drop_table()


INSERT = "INSERT INTO test_entry (events) VALUES ('[]') RETURNING id"
# More refreshes than the start needs to move.
MANY = 5


def new_start(max_wait: float = math.inf) -> QueueStart:
    end = "(SELECT last_value FROM test_entry_id_seq)"
    return QueueStart(Entry.id, end=end, margin=0, max_wait=max_wait)


@pytest.fixture(autouse=True)
def refresh_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_start, "REFRESH_INTERVAL_SECONDS", 0)


async def finds(start: QueueStart, row: int) -> bool:
    for _ in range(MANY):
        conditions = await start.conditions()
    return bool(await Entry.exists().where(Entry.id == row, *conditions))


async def skips(start: QueueStart, row: int) -> bool:
    """Return whether a search would not see a row with this id."""
    for _ in range(MANY):
        conditions = await start.conditions()
    return any(condition.value > row for condition in conditions)


@pytest.mark.only("postgres")
async def test_a_search_skips_deleted_rows_but_no_row_of_a_running_transaction() -> None:
    start = new_start()
    one, other = [await asyncpg.connect(settings.load().database_url) for _ in range(2)]
    try:
        running = one.transaction()
        await running.start()
        late = await one.fetchval(INSERT)
        for _ in range(MANY):
            deleted = await other.fetchval(INSERT)
            await other.execute("DELETE FROM test_entry WHERE id = $1", deleted)
            assert not await skips(start, late)
        await running.commit()
        assert await finds(start, late)
        await other.execute("DELETE FROM test_entry WHERE id = $1", late)
        assert await skips(start, deleted - 1)
        new = await other.fetchval(INSERT)
        assert await finds(start, new)
    finally:
        await one.close()
        await other.close()


@pytest.mark.only("postgres")
async def test_a_row_before_the_start_is_found_later(monkeypatch: pytest.MonkeyPatch) -> None:
    start = new_start()
    await Entry.raw(INSERT)
    await Entry.delete(force=True)
    assert await skips(start, 0)
    await Entry.raw("INSERT INTO test_entry (id, events) VALUES (-1, '[]')")
    assert not await finds(start, -1)
    monkeypatch.setattr(start, "_search_all_at", 0.0)
    assert await finds(start, -1)


@pytest.mark.only("postgres")
async def test_a_search_of_the_whole_queue_that_failed_is_not_repeated_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = new_start()
    await Entry.raw(INSERT)
    await Entry.delete(force=True)
    assert await skips(start, 0)
    await Entry.raw("INSERT INTO test_entry (id, events) VALUES (-1, '[]')")

    async def takes_too_long(query: object) -> None:
        raise database.DatabaseUnavailable

    monkeypatch.setattr(start, "_search_all_at", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(database.DB, "run_querystring", takes_too_long)
        with pytest.raises(database.DatabaseUnavailable):
            await start.conditions()
    assert not await finds(start, -1)


@pytest.mark.only("postgres")
async def test_a_start_may_wait_only_for_a_limited_time() -> None:
    patient, limited = new_start(), new_start(max_wait=0)
    other = await asyncpg.connect(settings.load().database_url)
    try:
        running = other.transaction()
        await running.start()
        late = await other.fetchval(INSERT)
        await Entry.raw(INSERT)
        await Entry.delete(force=True)
        assert await skips(limited, late)
        assert not await skips(patient, late)
        await running.commit()
    finally:
        await other.close()


@pytest.mark.only("sqlite")
async def test_sqlite_has_no_deleted_rows_to_skip() -> None:
    assert await new_start().conditions() == []
