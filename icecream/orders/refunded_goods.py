"""The goods that a refund is about: which lines, why, and whether they go back into the stock."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from icecream import errors
from icecream.catalogue import inventory
from icecream.feed.order_history import Details
from icecream.payments import refunded_lines
from icecream.payments.order_transitions import OrderRow
from icecream.payments.refunded_lines import RefundedQuantity
from icecream.tables import MAX_WHY_LENGTH, OrderLine


class RefundedGoods(Struct, frozen=True):
    """Why goods are refunded, and which: `lines` of flavors and quantities, or none.

    `restock` puts the goods of these lines back into the stock; without lines, all goods that
    were not refunded.
    """

    reason_code: str | None = None
    lines: Sequence[tuple[int, int]] = ()
    restock: bool = False


NO_GOODS = RefundedGoods()


class _OpenLine(Struct):
    """A line of an order: its quantity, and the part of it that is not refunded."""

    id: int
    unit_price: int
    quantity: int
    left: int


class ChosenGoods(Struct):
    """The chosen quantities of the lines of an order that the transaction holds, by flavor."""

    goods: RefundedGoods
    lines: dict[int, _OpenLine]
    quantities: dict[int, int]

    @property
    def amount(self) -> int | None:
        """The price of the requested lines, or None if the refund is not for certain lines.

        Raises:
            errors.ValidationFailed: they cost nothing.
        """
        if not self.goods.lines:
            return None
        price = sum(n * self.lines[flavor].unit_price for flavor, n in self.quantities.items())
        if not price:
            raise errors.ValidationFailed("/lines", "invalid", "These lines cost nothing.")
        return price

    @property
    def details(self) -> Details:
        """What the order's history says about the goods."""
        details: Details = {}
        if self.goods.reason_code is not None:
            details["reason_code"] = self.goods.reason_code
        if self.quantities:
            lines = [{"flavor": flavor, "quantity": n} for flavor, n in self.quantities.items()]
            details |= {"lines": lines, "restocked": self.goods.restock}
        return details

    async def record(self, payment: int) -> None:
        """Store the goods with the refund's payment."""
        await refunded_lines.record_refund(
            payment,
            self.goods.reason_code,
            [RefundedQuantity(self.lines[flavor].id, n) for flavor, n in self.quantities.items()],
            restocked=self.goods.restock,
        )

    async def put_back(self, order: OrderRow, *, why: str, by: int, at: datetime | None) -> None:
        """Put the goods back at once, if requested: they are here, even if the refund is declined.

        Raises:
            errors.ValidationFailed: a cancellation returns the stock, or it was returned before.
        """
        if not self.goods.restock:
            return
        if order.status != "paid" or order.cancel_requested:
            detail = "The cancellation of the order returns its stock."
            raise errors.ValidationFailed("/restock", "invalid", detail)
        before = await refunded_lines.read_restocked(order.id)
        for flavor, n in self.quantities.items():
            if before[flavor] + n > self.lines[flavor].quantity:
                detail = f"{before[flavor]} of flavor {flavor} were put back before."
                raise errors.ValidationFailed("/restock", "invalid", detail)
        reason = f"order {order.id}: {why}"[:MAX_WHY_LENGTH]
        await inventory.put_back(self.quantities, reason=reason, by=by, at=at)


async def choose(order: int, goods: RefundedGoods) -> ChosenGoods:
    """Return the chosen lines of an order that the transaction holds.

    Raises:
        errors.RefundedQuantityTooLarge: there is less left of a line.
        errors.ValidationFailed: the order has no such line.
    """
    if not (goods.lines or goods.restock):
        return ChosenGoods(goods, {}, {})
    lines = await _read_lines(order)
    if not goods.lines:
        return ChosenGoods(goods, lines, {n: line.left for n, line in lines.items() if line.left})
    for n, (flavor, quantity) in enumerate(goods.lines):
        if flavor not in lines:
            detail = f"The order has no line of flavor {flavor}."
            raise errors.ValidationFailed(f"/lines/{n}/flavor", "unknown-line", detail)
        left = lines[flavor].left
        if quantity > left:
            missing = {"flavor": flavor, "quantity": quantity, "available": left}
            detail = f"Only {left} of flavor {flavor} can still be refunded."
            raise errors.RefundedQuantityTooLarge(detail, lines=[missing])
    return ChosenGoods(goods, lines, dict(goods.lines))


async def _read_lines(order: int) -> dict[int, _OpenLine]:
    refunded = (await refunded_lines.read_quantities([order])).get(order, Counter())
    rows = await OrderLine.select(
        OrderLine.id, OrderLine.flavor, OrderLine.unit_price, OrderLine.quantity
    ).where(OrderLine.order == order)
    found: dict[int, _OpenLine] = {}
    for row in rows:
        flavor, quantity = row["flavor"], row["quantity"]
        left = quantity - refunded.get(flavor, 0)
        found[flavor] = _OpenLine(row["id"], row["unit_price"], quantity, left)
    return found
