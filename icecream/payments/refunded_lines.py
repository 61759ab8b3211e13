"""The quantities of an order's lines that refunds are about: delivered short, melted, taken back.

They are stored with the refund's payment, so a declined refund needs no correction: it counts no
more. Goods that were put back into the stock stay there, even if the refund is declined.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from icecream import database
from icecream.tables import OrderLine, Payment, RefundLine

# A refund in one of these states moved no money.
VOID_STATES = ("declined", "void")


class RefundedQuantity(Struct, frozen=True):
    """A quantity of a line that is refunded, or put back."""

    line: int
    quantity: int


async def read_quantities(orders: Collection[int]) -> dict[int, Counter[int]]:
    """Return the refunded quantities of orders, by order and flavor."""
    if not orders:
        return {}
    refunds = await Payment.select(Payment.id, Payment.order).where(
        database.is_any(Payment.order, sorted(orders)),
        Payment.kind == "refund",
        Payment.state.not_in(list(VOID_STATES)),
    )
    order_of = {row["id"]: row["order"] for row in refunds}
    found: dict[int, Counter[int]] = {}
    if order_of:
        columns = (RefundLine.payment, RefundLine.line.flavor.as_alias("flavor"))
        rows = await RefundLine.select(*columns, RefundLine.quantity).where(
            database.is_any(RefundLine.payment, sorted(order_of))
        )
        for row in rows:
            quantities = found.setdefault(order_of[row["payment"]], Counter())
            quantities[row["flavor"]] += row["quantity"]
    return found


async def read_restocked(order: int) -> Counter[int]:
    """Return the quantities of an order that were put back into the stock, by flavor."""
    quantities: Counter[int] = Counter()
    columns = (RefundLine.line.flavor.as_alias("flavor"), RefundLine.quantity)
    lines = OrderLine.select(OrderLine.id).where(OrderLine.order == order)
    for row in await RefundLine.select(*columns).where(
        RefundLine.line.is_in(lines), RefundLine.restocked.eq(True)
    ):
        quantities[row["flavor"]] += row["quantity"]
    return quantities


async def record_refund(
    payment: int, reason_code: str | None, lines: Sequence[RefundedQuantity], *, restocked: bool
) -> None:
    """Store with a refund why it was made and for which quantities, within its transaction."""
    if reason_code is not None:
        await Payment.update({Payment.reason_code: reason_code}).where(Payment.id == payment)
    if lines:
        await RefundLine.insert(
            *(
                RefundLine(
                    payment=payment, line=one.line, quantity=one.quantity, restocked=restocked
                )
                for one in lines
            )
        )


def subtract_quantities(ordered: Mapping[int, int], refunded: Mapping[int, int]) -> dict[int, int]:
    """Return the quantities that are left, by flavor, without those that are 0."""
    left = {flavor: n - refunded.get(flavor, 0) for flavor, n in ordered.items()}
    return {flavor: n for flavor, n in left.items() if n > 0}
