"""The history of a flavor's stock: its deliveries and losses."""

from datetime import datetime

from msgspec import Struct

from icecream.tables import StockMove

# A page shows no more; the admin lists all of them.
MAX_SHOWN_MOVES = 20


class ReceivedStock(Struct, frozen=True):
    """A delivery, or with a negative quantity a loss, the reason, and who recorded it."""

    quantity: int
    why: str
    by: str | None
    at: datetime


async def load_moves(flavor: int) -> list[ReceivedStock]:
    """Return the latest deliveries and losses of a flavor, the newest first."""
    rows = (
        await StockMove.select(
            *(StockMove.quantity, StockMove.why, StockMove.at),
            StockMove.by.username.as_alias("by"),
        )
        .where(StockMove.flavor == flavor)
        .order_by(StockMove.id, ascending=False)
        .limit(MAX_SHOWN_MOVES)
    )
    return [ReceivedStock(**row) for row in rows]
