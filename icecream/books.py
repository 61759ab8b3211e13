"""Stock and totals: every movement, in one lock order (flavors by id, then totals sorted)."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from icecream import database, errors
from icecream.tables import DayTotal, Flavor, FlavorDay, FlavorTotal


class Line(Struct, frozen=True):
    """So much of a flavor at that price each, in minor units."""

    flavor: int
    quantity: int
    unit_price: int

    @property
    def total(self) -> int:
        """In minor units."""
        return self.quantity * self.unit_price


async def take(wanted: dict[int, int]) -> list[Line]:
    """Take these quantities, by flavor id, from the stock, at today's prices.

    Raises:
        errors.ValidationFailed: a flavor does not exist, or is no longer sold.
        errors.InsufficientStock: there is less left than wanted.
    """
    rows = await Flavor.select(Flavor.id, Flavor.price, Flavor.stock).where(
        Flavor.id.is_in(list(wanted)), Flavor.archived.eq(False)
    )
    flavors = {row["id"]: row for row in rows}
    for flavor in wanted:
        if flavor not in flavors:
            detail = f"There is no flavor {flavor}."
            raise errors.ValidationFailed("/flavor", "unknown-flavor", detail)
    for flavor in sorted(wanted):
        # Only counted stock is locked: orders for the others need not stand in line.
        if flavors[flavor]["stock"] is not None:
            await _take_counted(flavor, wanted[flavor])
    return [Line(flavor, n, flavors[flavor]["price"]) for flavor, n in wanted.items()]


async def _take_counted(flavor: int, quantity: int) -> None:
    taken = (
        await Flavor.update({Flavor.stock: Flavor.stock - quantity})
        .where(Flavor.id == flavor, Flavor.stock >= quantity)
        .returning(Flavor.id)
    )
    if not taken:
        left = await Flavor.select(Flavor.stock).where(Flavor.id == flavor).first()
        available = left["stock"] if left else 0
        raise errors.InsufficientStock(
            f"Only {available} left of flavor {flavor}.",
            lines=[{"flavor": flavor, "quantity": quantity, "available": available}],
        )


async def give_back(lines: Sequence[Line]) -> None:
    """Return what an order took, where stock is counted."""
    for line in sorted(lines, key=lambda line: line.flavor):
        await Flavor.update({Flavor.stock: Flavor.stock + line.quantity}).where(
            Flavor.id == line.flavor, Flavor.stock.is_not_null()
        )


async def count(lines: Sequence[Line], placed: datetime, changes: dict[str, int]) -> None:
    """Add an order to the totals of a status (1), take it from another's (-1).

    Totals belong to the UTC day on which the order was placed, whatever becomes of it later.
    """
    day = placed.date()
    by_flavor = sorted(
        (line.flavor, status, sign * line.quantity, sign * line.total)
        for line in lines
        for status, sign in changes.items()
    )
    await database.add(
        FlavorTotal,
        keys=(FlavorTotal.flavor, FlavorTotal.status),
        sums=(FlavorTotal.quantity, FlavorTotal.revenue),
        rows=by_flavor,
    )
    await database.add(
        FlavorDay,
        keys=(FlavorDay.flavor, FlavorDay.status, FlavorDay.day),
        sums=(FlavorDay.quantity, FlavorDay.revenue),
        rows=[(flavor, status, day, *sums) for flavor, status, *sums in by_flavor],
    )
    total = sum(line.total for line in lines)
    await database.add(
        DayTotal,
        keys=(DayTotal.day, DayTotal.status),
        sums=(DayTotal.orders, DayTotal.revenue),
        rows=[(day, status, sign, sign * total) for status, sign in sorted(changes.items())],
    )
