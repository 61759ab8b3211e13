"""What happened to an order, in the order in which it happened."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from icecream import database
from icecream.tables import Event


class Beginning(Struct, frozen=True):
    """A new order, who placed it, and what happened to it at once: kinds with their payloads."""

    order: int
    by: int
    happened: Sequence[tuple[str, dict[str, Any]]]


async def begin(orders: Iterable[Beginning], *, at: datetime) -> None:
    """Open the histories of new orders, within the transaction that places them."""
    await database.insert(
        Event,
        (Event.order, Event.seq, Event.type, Event.payload, Event.by, Event.at),
        [
            # What a customer does is by them; what follows of itself is by nobody.
            (one.order, seq, kind, _json(payload), one.by if seq == 1 else None, at)
            for one in orders
            for seq, (kind, payload) in enumerate(one.happened, start=1)
        ],
    )


def _json(payload: dict[str, Any]) -> str:
    return msgspec.json.encode(payload).decode()


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
            payload=_json(payload),
            by=by,
            at=at,
        )
    )
