"""What happened to an order, in the order in which it happened."""

from datetime import datetime
from typing import Any

import msgspec

from icecream.tables import Event


async def record(
    order: int,
    kind: str,
    payload: dict[str, Any],
    *,
    at: datetime,
    by: int | None = None,
) -> None:
    """Add to an order's history, within the transaction that made it happen.

    That transaction must hold the order's row, so that nobody else takes the same `seq`. `by` is a
    user's id, or None for the service itself.
    """
    last = (
        await Event.select(Event.seq)
        .where(Event.order == order)
        .order_by(Event.seq, ascending=False)
        .first()
    )
    await Event.insert(
        Event(
            order=order,
            seq=last["seq"] + 1 if last else 1,
            type=kind,
            payload=msgspec.json.encode(payload).decode(),
            by=by,
            at=at,
        )
    )
