"""Test that figures are exact before, while and after changes are applied to the totals."""

import asyncio
from typing import Any

import pytest

from icecream import database
from icecream.database import queue_start
from icecream.reporting import applying, by_status, sales
from icecream.tables import CurrentFlavorTotal, FlavorTotal, TotalChange, TotalProgress
from tests import ledger
from tests.conftest import PATIENCE, Caller, apply_all, new_flavor, place

pytestmark = pytest.mark.anyio


async def quantity(table: type[FlavorTotal] | type[CurrentFlavorTotal], flavor: int) -> int:
    rows = await table.select(table.quantity).where(table.flavor == flavor)
    return sum(row["quantity"] for row in rows)


@pytest.fixture(autouse=True)
async def nothing_to_apply(opened: None) -> None:
    await apply_all()


async def totals_of_all_orders() -> sales.Figures:
    return by_status.sum_up(await by_status.load_sums(sales.Span()))


async def test_a_change_counts_at_once_and_moves_to_the_totals(
    customer: Caller, flavor: int
) -> None:
    await place(customer.user.id, {flavor: 2})
    await place(customer.user.id, {flavor: 3})
    assert await quantity(CurrentFlavorTotal, flavor) == 5
    assert await quantity(FlavorTotal, flavor) == 0
    before = await totals_of_all_orders()
    assert await applying.apply_changes() is False
    assert await quantity(CurrentFlavorTotal, flavor) == 5
    assert await quantity(FlavorTotal, flavor) == 5
    assert await totals_of_all_orders() == before
    assert not await TotalChange.exists()
    await ledger.check()


async def test_figures_are_exact_while_orders_are_placed_and_changes_applied(
    customer: Caller, flavor: int
) -> None:
    seen: list[int] = []
    placed = 0

    async def order() -> None:
        nonlocal placed
        await place(customer.user.id, {flavor: 1})
        placed += 1

    async def apply() -> None:
        for _ in range(10):
            await applying.apply_changes()
            await asyncio.sleep(0)

    async def read() -> None:
        for _ in range(20):
            least = placed
            seen.append(await quantity(CurrentFlavorTotal, flavor))
            assert least <= seen[-1] <= 30

    await asyncio.gather(*(order() for _ in range(30)), apply(), apply(), read())
    assert seen == sorted(seen)
    assert await quantity(CurrentFlavorTotal, flavor) == 30
    await ledger.check()


async def test_the_number_of_changes_applied_at_once_is_limited(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavors = {await new_flavor(): 1 for _ in range(4)}
    await place(customer.user.id, flavors)
    for name in ("_POSTGRES_STATEMENT", "_SQLITE_STATEMENTS"):
        monkeypatch.setattr(applying, name, limited(getattr(applying, name)))
    monkeypatch.setattr(applying, "MAX_CHANGES_PER_BATCH", 3)
    counts = []
    for more in (True, False):
        assert await applying.apply_changes() is more
        counts.append(await TotalChange.count())
        await ledger.check()
    assert counts == [2, 0]


def limited(text: Any) -> Any:
    """Return the same SQL for three changes."""
    if isinstance(text, tuple):
        return tuple(map(limited, text))
    return text.replace(f"LIMIT {applying.MAX_CHANGES_PER_BATCH}", "LIMIT 3")


async def test_changes_stay_if_a_process_dies_while_it_applies_them(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place(customer.user.id, {flavor: 2})

    def die(place: str) -> None:
        if place == "totals.applying":
            raise ConnectionResetError

    monkeypatch.setattr(applying, "reach_failpoint", die)
    with pytest.raises(ConnectionResetError):
        await applying.apply_changes()
    assert await quantity(CurrentFlavorTotal, flavor) == 2
    assert await quantity(FlavorTotal, flavor) == 0
    monkeypatch.undo()
    await applying.apply_changes()
    assert await quantity(CurrentFlavorTotal, flavor) == 2
    assert await quantity(FlavorTotal, flavor) == 2


@pytest.mark.only("postgres")
async def test_one_process_at_a_time_applies_changes_and_orders_do_not_wait(
    customer: Caller, flavor: int
) -> None:
    await place(customer.user.id, {flavor: 2})
    locked, release = asyncio.Event(), asyncio.Event()

    async def apply_and_wait() -> None:
        await applying._apply_batch(None)
        locked.set()
        await release.wait()

    other = asyncio.create_task(database.transaction(apply_and_wait))
    await locked.wait()
    # Neither an order nor another process waits, and nothing is counted twice or not at all.
    await place(customer.user.id, {flavor: 1})
    async with asyncio.timeout(PATIENCE):
        assert await applying.apply_changes() is False
    assert await quantity(CurrentFlavorTotal, flavor) == 3
    release.set()
    await other
    assert await quantity(CurrentFlavorTotal, flavor) == 3
    # A serializable transaction may be repeated, and then finds the second order too.
    assert await quantity(FlavorTotal, flavor) in (2, 3)
    await ledger.check()


async def stored_start() -> int:
    (row,) = await TotalProgress.select(TotalProgress.start)
    start: int = row["start"]
    return start


@pytest.fixture
def own_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Determine the start of the changes at every call."""
    monkeypatch.setattr(queue_start, "REFRESH_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(queue_start, "MIN_FULL_SEARCH_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(queue_start, "MAX_FULL_SEARCH_SHARE", float("inf"))
    last = "(SELECT last_value FROM total_change_id_seq)"
    start = queue_start.QueueStart(TotalChange.id, end=last, margin=0)
    monkeypatch.setattr(applying, "_QUEUE_START", start)


@pytest.mark.only("postgres")
async def test_the_start_follows_the_applied_changes_in_long_steps(
    customer: Caller, flavor: int, own_start: None
) -> None:
    async def place_and_apply() -> None:
        await place(customer.user.id, {flavor: 1})
        await apply_all()

    # Other tests may have left the start far behind.
    for _ in range(5):
        await place_and_apply()
    first = await stored_start()
    for _ in range(5):
        await place_and_apply()
    assert await stored_start() == first
    await skip_ids(applying.MIN_START_ADVANCE)
    for _ in range(5):
        await place_and_apply()
    start = await stored_start()
    assert start >= first + applying.MIN_START_ADVANCE
    assert await quantity(CurrentFlavorTotal, flavor) == 15
    assert start <= (await newest_id()) + 1
    await ledger.check()


@pytest.mark.only("postgres")
async def test_the_start_goes_back_to_a_row_that_came_late(
    customer: Caller, flavor: int, own_start: None
) -> None:
    """For example from an operator, or because a sequence was set back."""
    await skip_ids(applying.MIN_START_ADVANCE)
    for _ in range(5):
        await place(customer.user.id, {flavor: 1})
        await apply_all()
    assert await stored_start() > 2
    columns = "flavor, day, local_day, quarter, status, quantity, orders, revenue, refunded"
    key = f"{flavor}, '2001-02-03', '2001-02-03', 1090000, 'paid'"
    insert = f"INSERT INTO total_change ({columns}, id) VALUES ({key}"
    await TotalChange.raw(f"{insert}, 7, 0, 0, 0, 1)")
    await apply_all()
    assert await stored_start() == 1
    assert await quantity(CurrentFlavorTotal, flavor) == 12
    await TotalChange.raw(f"{insert}, -7, 0, 0, 0, 2)")
    await ledger.check()


async def skip_ids(number: int) -> None:
    await TotalChange.raw(f"SELECT setval('total_change_id_seq', {await newest_id() + number})")


async def newest_id() -> int:
    (row,) = await TotalChange.raw("SELECT last_value FROM total_change_id_seq")
    newest: int = row["last_value"]
    return newest
