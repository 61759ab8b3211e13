"""Test the database engines: no locked database, no leaked connections, and retries on conflict."""

import asyncio
import contextlib
import logging
import re
import sqlite3
from contextvars import Context
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from piccolo.columns import Column
from piccolo.querystring import QueryString

from icecream import database, settings
from icecream.database import DB, transactions
from icecream.tables import CustomerDay, Flavor, StockMove
from tests.conftest import WHICH, Caller, new_flavor, records_of

pytestmark = pytest.mark.anyio


async def exists(name: str) -> bool:
    return await Flavor.exists().where(Flavor.name == name)


def row(name: str) -> Flavor:
    return Flavor(name=name, price=1)


COLUMNS = (Flavor.name, Flavor.description, Flavor.price, Flavor.archived, Flavor.version)


def line(name: str) -> tuple[str, str, int, bool, int]:
    return name, "", 1, False, 1


@pytest.mark.slow
async def test_fifty_concurrent_writers_lose_no_update(flavor: int) -> None:
    async def once() -> None:
        assert await Flavor.select(Flavor.price).where(Flavor.id == flavor).first()
        await Flavor.update({Flavor.price: Flavor.price + 1}).where(Flavor.id == flavor)

    async def write() -> None:
        for _ in range(10):
            await database.transaction(once)

    await asyncio.gather(*(write() for _ in range(50)))
    after = await Flavor.select(Flavor.price).where(Flavor.id == flavor).first()
    assert after == {"price": 250 + 500}


async def test_an_error_rolls_back_and_releases_the_connection() -> None:
    for _ in range(30):
        with pytest.raises(ValueError, match="mine"):
            async with DB.transaction():
                await Flavor.insert(row("Rolled back"))
                raise ValueError("mine")
    assert not await exists("Rolled back")


async def test_a_failed_commit_releases_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(DB.transaction())

    async def broken(self: Any) -> None:
        raise database.DatabaseUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(kind, "commit", broken)
        for _ in range(30):
            with pytest.raises(database.CommitOutcomeUnknown):
                async with DB.transaction():
                    await Flavor.insert(row("Never committed"))
    assert not await exists("Never committed")
    async with DB.transaction():
        await Flavor.insert(row("Committed after all"))
    assert await exists("Committed after all")


async def test_a_failed_begin_releases_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Any) -> None:
        raise sqlite3.OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(type(DB.transaction()), "begin", broken)
        for _ in range(30):
            with pytest.raises(sqlite3.OperationalError):
                async with DB.transaction():
                    pass
    async with DB.transaction():
        assert await Flavor.exists()


async def test_a_cancelled_transaction_leaves_nothing_behind() -> None:
    reached = asyncio.Event()

    async def slow() -> None:
        async with DB.transaction():
            await Flavor.insert(row("Cancelled"))
            reached.set()
            await asyncio.sleep(60)

    for _ in range(30):
        task = asyncio.create_task(slow())
        await reached.wait()
        reached.clear()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert not await exists("Cancelled")


async def test_canceling_begin_ends_the_transaction_and_logs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def enter(block: contextlib.AbstractAsyncContextManager[object]) -> None:
        async with block:
            await asyncio.sleep(60)

    for open_block in (DB.transaction, DB.snapshot):
        for steps in range(20):
            task = asyncio.create_task(enter(open_block()))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    async with DB.transaction():
        await Flavor.insert(row("After canceled transactions"))
    async with DB.snapshot():
        assert await exists("After canceled transactions")
    assert records_of(caplog, logging.getLogger("asyncio")) == []


async def test_a_query_in_a_task_started_within_a_transaction_is_refused() -> None:
    async def write() -> None:
        await Flavor.insert(row("Astray"))

    async def begin() -> None:
        async with DB.transaction():
            await write()

    for work in (write, begin):
        async with DB.transaction():
            with pytest.raises(
                database.QueryOutsideTransaction, match=r"asyncio\.timeout instead of wait_for"
            ):
                await asyncio.create_task(work())
            with pytest.raises(database.QueryOutsideTransaction):
                await asyncio.gather(work(), exists("Astray"))
            await Flavor.insert(row(f"Not astray: {work.__name__}"))
        assert await exists(f"Not astray: {work.__name__}")
    assert not await exists("Astray")
    with pytest.raises(database.QueryOutsideTransaction):
        await database.snapshot(lambda: asyncio.create_task(write()))


async def test_a_query_in_a_task_with_its_own_context_or_after_the_transaction_is_allowed() -> None:
    may_go = asyncio.Event()

    async def later() -> bool:
        await may_go.wait()
        return await exists("Committed first")

    async with DB.transaction():
        patient = asyncio.create_task(later())
        await Flavor.insert(row("Committed first"))
        independent = asyncio.create_task(exists("Committed first"), context=Context())
        assert not await independent
    may_go.set()
    async with DB.transaction():
        assert await patient
    assert await asyncio.create_task(exists("Committed first"))


async def test_a_transaction_within_a_transaction_joins_it() -> None:
    with pytest.raises(ValueError, match="outer"):
        async with DB.transaction():
            async with DB.transaction():
                await Flavor.insert(row("Joined"))
            raise ValueError("outer")
    assert not await exists("Joined")


async def test_only_a_whole_transaction_is_retried() -> None:
    tries = {"outer": 0, "inner": 0}
    name = "Whole"

    async def inner() -> None:
        tries["inner"] += 1
        if tries["inner"] < 3:
            raise database.RetryTransaction

    async def outer() -> None:
        tries["outer"] += 1
        await Flavor.insert(row(name))
        await database.transaction(inner)

    await database.transaction(outer)
    assert tries == {"outer": 3, "inner": 3}
    assert await Flavor.count().where(Flavor.name == name) == 1


async def test_work_is_retried_when_the_database_requires_it() -> None:
    tries = 0

    async def work() -> str:
        nonlocal tries
        tries += 1
        await Flavor.insert(row("Again"))
        if tries < 4:
            raise database.RetryTransaction
        return "done"

    assert await database.transaction(work) == "done"
    assert tries == 4
    assert await Flavor.count().where(Flavor.name == "Again") == 1


async def test_work_is_not_retried_forever_or_for_other_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transactions, "MAX_PAUSE_SECONDS", 0)
    tries = 0

    async def work(error: type[Exception]) -> None:
        nonlocal tries
        tries += 1
        raise error

    with pytest.raises(database.RetryTransaction):
        await database.transaction(lambda: work(database.RetryTransaction))
    assert tries == transactions.MAX_ATTEMPTS
    with pytest.raises(database.DatabaseUnavailable):
        await database.transaction(lambda: work(database.DatabaseUnavailable))
    assert tries == transactions.MAX_ATTEMPTS + 1


@pytest.mark.only("postgres")
async def test_a_single_statement_is_retried_too(
    flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = DB
    real, answers = engine._run_once, [database.RetryTransaction, database.RetryTransaction]

    async def run(*args: Any) -> Any:
        if answers:
            raise answers.pop()
        return await real(*args)

    monkeypatch.setattr(engine, "_run_once", run)
    assert await Flavor.select(Flavor.id).where(Flavor.id == flavor) == [{"id": flavor}]
    assert answers == []


async def test_a_commit_with_unknown_outcome_is_never_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, tries = type(DB.transaction()), 0
    real = kind.commit

    async def work() -> None:
        nonlocal tries
        tries += 1
        await Flavor.insert(row("Committed, answer lost"))

    async def lost(self: Any) -> None:
        await real(self)
        raise asyncpg.ConnectionDoesNotExistError("lost")

    with monkeypatch.context() as patched:
        patched.setattr(kind, "commit", lost)
        with pytest.raises(database.CommitOutcomeUnknown):
            await database.transaction(work)
    assert tries == 1
    assert await exists("Committed, answer lost")


async def test_two_transactions_that_deadlock_both_succeed() -> None:
    first, second = await new_flavor(), await new_flavor()
    ready = asyncio.Barrier(2)

    async def cross(one: int, other: int) -> None:
        waited = False

        async def work() -> None:
            nonlocal waited
            await Flavor.update({Flavor.price: Flavor.price + 1}).where(Flavor.id == one)
            if WHICH == "postgres" and not waited:
                waited = True
                await ready.wait()
            await Flavor.update({Flavor.price: Flavor.price + 1}).where(Flavor.id == other)

        await database.transaction(work)

    await asyncio.gather(cross(first, second), cross(second, first))
    prices = await Flavor.select(Flavor.price).where(Flavor.id.is_in([first, second]))
    assert [one["price"] for one in prices] == [252, 252]


async def test_combined_statements_are_all_run_and_return_the_main_result() -> None:
    add = database.insert(Flavor, COLUMNS)
    answering = database.insert(Flavor, COLUMNS, returning=(Flavor.name,))
    (answer,) = await database.run_together(
        (add, [line("One"), line("Two")]), (add, []), (answering, [line("Three")]), main=2
    )
    assert answer["name"] == "Three"
    assert [await exists(name) for name in ("One", "Two", "Three")] == [True] * 3
    assert await database.run_together((answering, []), (add, [line("Four")])) == []
    assert await exists("Four")
    assert await database.run_together((add, []), (answering, [])) == []


async def test_combined_statements_take_their_locks_in_their_order() -> None:
    """Two transactions with the same statements must not deadlock."""
    add = database.insert(Flavor, COLUMNS, returning=(Flavor.id,))
    for main in range(3):
        names = [f"In order {main} {n}" for n in range(3)]
        await database.run_together(*((add, [line(name)]) for name in names), main=main)
        rows = await Flavor.select(Flavor.name).where(Flavor.name.is_in(names)).order_by(Flavor.id)
        found = [row["name"] for row in rows]
        first = names if WHICH == "sqlite" else [names[main], *names[:main], *names[main + 1 :]]
        assert found == first


async def test_combined_queries_return_their_results() -> None:
    row = (Flavor.id, Flavor.name, Flavor.price)
    for name in ("Lemon", "Mint"):
        await Flavor.insert(Flavor(name=name, price=3))
    by_name = database.select_unique((Flavor.name, Flavor.price), row)
    found, ids, none = await database.read_together(
        (by_name, [("Mint", 3), ("Lemon", 4), ("Lemon", 3)]),
        (database.new_ids(Flavor), [(3,)]),
        (database.new_ids(Flavor), [(0,)]),
    )
    assert sorted(one["name"] for one in found) == ["Lemon", "Mint"]
    numbers = [one["id"] for one in ids]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    assert numbers[0] > max(one["id"] for one in found)
    assert none == []
    by_id = database.select_by(Flavor.id, row, where="NOT archived", lock="KEY SHARE")
    wanted = sorted((one["id"] for one in found), reverse=True)
    (rows,) = await database.read_together((by_id, [(n,) for n in [*wanted, 0]]))
    assert [one["id"] for one in rows] == wanted[::-1]


async def test_the_largest_value_is_found_for_each_key(flavor: int) -> None:
    largest = database.select_max(StockMove.flavor, StockMove.quantity)
    for quantity in (3, 5, 4):
        move = StockMove(flavor=flavor, quantity=quantity, why="test", at=datetime.now(UTC))
        await StockMove.insert(move)
    rows = await largest([(flavor,), (0,)])
    assert {row["flavor"]: row["max"] for row in rows} == {flavor: 5, 0: None}
    await StockMove.delete().where(StockMove.flavor == flavor)


async def test_the_time_now_is_never_after_the_clock_of_a_statement() -> None:
    is_due = f"SELECT {{}} <= {database.NOW_SQL} AS is_due"
    for _ in range(100):
        for at in (await database.now(), database.seconds_from_now(0)):
            (row,) = await DB.run_querystring(QueryString(is_due, at))
            assert row["is_due"]


def change_at_known_price(column: Column) -> database.Statement:
    """Return a statement that must be complete: it changes flavors that have the known price."""
    return database.update_rows(
        {"known": Flavor.price, "new_value": column},
        {column: "{new_value}"},
        where="price = {known}",
        returning=("id",),
        complete=True,
    )


async def test_statements_are_run_only_if_all_that_must_be_complete_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transactions, "MAX_ATTEMPTS", 3)
    add = database.insert(Flavor, COLUMNS)
    rename = change_at_known_price(Flavor.name)
    one, other = await new_flavor(), await new_flavor()

    async def write(name: str, *prices: int) -> None:
        changes = [
            (flavor, price, f"{name} {flavor}")
            for flavor, price in zip((one, other), prices, strict=False)
        ]

        async def work() -> None:
            await database.write_together((add, [line(name)]), (rename, changes))

        await database.optimistic_transaction(work)

    await write("Known", 250, 250)
    assert [await exists(name) for name in ("Known", f"Known {one}", f"Known {other}")] == [
        True
    ] * 3
    await write("Nothing to check")
    assert await exists("Nothing to check")
    with pytest.raises(database.RetryTransaction):
        await database.transaction(lambda: write("Inside", 250, 251))
    with pytest.raises(database.RetryTransaction):
        await write("Changed", 250, 251)
    for name in ("Inside", "Changed"):
        assert not await exists(name)
        assert not await exists(f"{name} {one}")


async def test_an_optimistic_transaction_is_repeated_with_what_it_reads_then(flavor: int) -> None:
    set_price = change_at_known_price(Flavor.price)
    ended: list[None] = []

    async def raise_price() -> None:
        (found,) = await Flavor.select(Flavor.price).where(Flavor.id == flavor)
        await asyncio.sleep(0)
        await database.write_together((set_price, [(flavor, found["price"], found["price"] + 1)]))

    with database.on_commit(lambda: ended.append(None)):
        await asyncio.gather(*(database.optimistic_transaction(raise_price) for _ in range(5)))
    (found,) = await Flavor.select(Flavor.price).where(Flavor.id == flavor)
    assert found["price"] == 255
    assert len(ended) == 5


@pytest.mark.only("postgres")
async def test_a_checked_write_waits_for_a_lock_for_a_limited_time(flavor: int) -> None:
    lock = database.lock_matching(
        Flavor.id, {"known": Flavor.price}, where="price = {known}", lock="UPDATE"
    )
    holding, stop = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        await lock([(flavor, 250)])
        holding.set()
        await stop.wait()

    holder = asyncio.create_task(database.transaction(hold))
    await holding.wait()
    with pytest.raises(database.LockTimeout):
        await database.write_together((lock, [(flavor, 250)]), lock_timeout=0.05)
    stop.set()
    await holder
    (row,) = await DB.run_ddl("SHOW lock_timeout")
    assert row["lock_timeout"] == "0"


@pytest.mark.only("postgres")
async def test_an_acknowledged_commit_is_on_the_disk() -> None:
    (answer,) = await DB.run_ddl("SHOW synchronous_commit")
    assert answer["synchronous_commit"] == "on"


async def test_a_snapshot_sees_one_moment_while_others_write(flavor: int) -> None:
    async def price() -> int:
        rows = await Flavor.select(Flavor.price).where(Flavor.id == flavor)
        found: int = rows[0]["price"]
        return found

    async def raise_price() -> None:
        await Flavor.update({Flavor.price: Flavor.price + 1}).where(Flavor.id == flavor)

    async def look() -> list[int]:
        before = await price()
        # Run it like another request: in its own context.
        await asyncio.create_task(database.transaction(raise_price), context=Context())
        return [before, await price()]

    assert await database.snapshot(look) == [250, 250]
    assert await price() == 251


async def test_snapshots_release_their_connections(flavor: int) -> None:
    async def fail() -> None:
        await Flavor.count()
        raise ValueError("mine")

    for _ in range(30):
        with pytest.raises(ValueError, match="mine"):
            await database.snapshot(fail)
    assert await Flavor.exists().where(Flavor.id == flavor)


async def test_a_snapshot_writes_nothing(flavor: int) -> None:
    async def write() -> None:
        await Flavor.update({Flavor.price: 1}).where(Flavor.id == flavor)

    with pytest.raises(database.DatabaseReadOnly):
        await database.snapshot(write)


@pytest.mark.only("postgres")
async def test_connections_that_the_server_closed_are_replaced_and_raise_only_unavailable() -> None:
    engine: Any = database.Postgres(settings.load().database_url)
    await engine.start()
    try:
        for _ in range(15):
            pids = await asyncio.gather(*(engine.run_ddl(WAITING) for _ in range(8)))
            ids = ", ".join(str(one["pid"]) for (one,) in pids)
            await DB.run_ddl(f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY[{ids}]) AS pid")
            answers = [engine.run_ddl("SELECT 1") for _ in range(8)]
            for answer in await asyncio.gather(*answers, return_exceptions=True):
                assert isinstance(answer, list | database.DatabaseUnavailable), repr(answer)
            assert await engine.run_ddl("SELECT 1")
    finally:
        await engine.stop()


WAITING = "SELECT pg_backend_pid() AS pid, pg_sleep(0.01)"


@pytest.mark.parametrize(
    ("of", "starts"),
    [
        ("day", ["2023-12-31", "2024-01-01", "2024-02-29", "2024-03-03", "2024-03-04"]),
        ("week", ["2023-12-25", "2024-01-01", "2024-02-26", "2024-02-26", "2024-03-04"]),
        ("month", ["2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01", "2024-03-01"]),
    ],
)
async def test_the_first_day_of_a_week_or_month_is_found(
    of: str, starts: list[str], customer: Caller
) -> None:
    days = ["2023-12-31", "2024-01-01", "2024-02-29", "2024-03-03", "2024-03-04"]
    nothing = {"status": "paid", "quantity": 0, "orders": 0, "revenue": 0, "refunded": 0}
    for day in map(date.fromisoformat, days):
        await CustomerDay.insert(
            CustomerDay(user=customer.user.id, day=day, local_day=day, **nothing)
        )
    start = database.start_of_period(of, CustomerDay.day).as_alias("start")
    rows = CustomerDay.select(start).where(CustomerDay.user == customer.user.id)
    assert [str(row["start"]) for row in await rows.order_by(CustomerDay.day)] == starts


@pytest.mark.only("postgres")
async def test_a_command_without_a_time_limit_waits_for_a_slow_statement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("icecream.database.postgres.COMMAND_TIMEOUT_SECONDS", 0.2)
    for patient in (True, False):
        engine = database.Postgres(settings.load().database_url)
        await engine.start(no_time_limit=patient)
        try:
            with (
                contextlib.nullcontext() if patient else pytest.raises(database.DatabaseUnavailable)
            ):
                await engine.run_ddl("SELECT pg_sleep(0.5)")
        finally:
            await engine.stop()


UNIQUE_INDEXES = """
    SELECT t.relname AS name, array_agg(a.attname::text ORDER BY k.place) AS columns
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k (number, place)
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number
    WHERE i.indisunique AND i.indpred IS NULL AND t.relnamespace = 'public'::regnamespace
    GROUP BY i.indexrelid, t.relname HAVING count(*) > 1"""


@pytest.mark.only("postgres")
async def test_a_search_in_an_empty_table_uses_all_columns_of_a_unique_index() -> None:
    """Without statistics, another index that begins with the same column looks as good."""
    indexes = await DB.run_ddl(UNIQUE_INDEXES)
    assert {"name": "imported_key", "columns": ["kind", "key"]} in map(dict, indexes)
    for index in indexes:
        wanted = " AND ".join(
            f'"{column}" = (SELECT "{column}" FROM "{index["name"]}" LIMIT 1)'
            for column in index["columns"]
        )
        async with DB.transaction():
            await DB.run_ddl(
                f'CREATE TEMP TABLE probe (LIKE "{index["name"]}" INCLUDING INDEXES) ON COMMIT DROP'
            )
            explained = await DB.run_ddl(f"EXPLAIN SELECT 1 FROM probe WHERE {wanted}")
        plan = "\n".join(row["QUERY PLAN"] for row in explained)
        (condition,) = re.findall(r"probe .*\n\s+Index Cond: (.*)", plan)
        assert all(re.search(rf"\b{column}\b", condition) for column in index["columns"]), plan
