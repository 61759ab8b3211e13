"""Test that each process applies the changes of all processes to the totals."""

import asyncio

import pytest

from icecream.reporting import applying
from icecream.runtime import background
from icecream.tables import TotalChange
from tasks import totals
from tests.conftest import Caller, apply_all, place, until

pytestmark = pytest.mark.anyio


async def is_applied() -> bool:
    return not await TotalChange.exists()


async def test_changes_are_applied_soon_also_after_a_bug(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply_all()
    real, faults = applying.apply_changes, [RuntimeError("a bug")]

    async def apply() -> bool:
        if faults:
            raise faults.pop()
        return await real()

    monkeypatch.setattr(applying, "apply_changes", apply)
    monkeypatch.setattr(totals, "APPLY_INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(background, "MIN_RESTART_DELAY_SECONDS", 0.05)
    await place(customer.user.id, {flavor: 1})
    async with totals.update_totals():
        await until(lambda: asyncio.sleep(0, background.restart_warnings() != []))
        assert background.restart_warnings() == [
            "The update of the totals failed and will be restarted."
        ]
        await until(is_applied)
        await place(customer.user.id, {flavor: 1})
        await until(is_applied)
