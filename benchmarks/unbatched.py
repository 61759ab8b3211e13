"""Our server without batches: each order starts its own transaction at once."""

from icecream import cli
from icecream.idempotency import keys
from icecream.orders import placing
from icecream.orders.details import NO_DETAILS, OrderDetails


class Unbatched(placing.OrderPlacer):
    """Places each order in its own transaction, without waiting for other orders."""

    async def place(
        self,
        user: int,
        lines: dict[int, int],
        key: keys.RequestKey | None = None,
        method: str | None = None,
        details: OrderDetails = NO_DETAILS,
    ) -> placing.PlacedOrder:
        outcomes = await placing.place_in_transaction(
            [placing.OrderRequest(user, lines, key, method, details)]
        )
        self.after_commit(outcomes)
        (outcome,) = outcomes
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


if __name__ == "__main__":
    placing.OrderPlacer = Unbatched  # type: ignore[misc]  # before the application creates one
    cli.main(["serve"])
