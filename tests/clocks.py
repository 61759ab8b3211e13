"""Orders that were placed at given times."""

from datetime import UTC, datetime

import pytest

from tests.conftest import Caller, place


async def place_at(customer: Caller, flavor: int, *moments: str) -> list[int]:
    """Place an order of one unit at each of these times, in UTC; return their ids."""
    placed = []
    with pytest.MonkeyPatch.context() as patched:
        for moment in moments:
            at = datetime.fromisoformat(moment).replace(tzinfo=UTC)

            class Clock(datetime):
                @classmethod
                def now(cls, tz: object = None, at: datetime = at) -> datetime:  # type: ignore[override]  # only this form is used
                    return at

            patched.setattr("icecream.orders.placing.datetime", Clock)
            placed.append((await place(customer.user.id, {flavor: 1})).order)
    return placed
