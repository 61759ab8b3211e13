"""Stock and totals: every movement, in one lock order (flavors by id, then totals sorted)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

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


class Shelf:
    """The flavors that some orders ask for, their counted stock held until the transaction ends."""

    def __init__(self, prices: dict[int, int], stock: dict[int, int]) -> None:
        self._prices, self._stock = prices, stock
        self._taken: Counter[int] = Counter()

    def take(self, wanted: dict[int, int]) -> list[Line]:
        """Take these quantities, by flavor id, at today's prices; `save` writes them all.

        Raises:
            errors.ValidationFailed: a flavor does not exist, or is no longer sold.
            errors.InsufficientStock: there is less left than wanted; nothing was taken.
        """
        for flavor in wanted:
            if flavor not in self._prices:
                detail = f"There is no flavor {flavor}."
                raise errors.ValidationFailed("/flavor", "unknown-flavor", detail)
        if short := [
            {"flavor": flavor, "quantity": quantity, "available": left}
            for flavor, quantity in sorted(wanted.items())
            if (left := self._left(flavor)) is not None and left < quantity
        ]:
            first = short[0]
            raise errors.InsufficientStock(
                f"Only {first['available']} left of flavor {first['flavor']}.", lines=short
            )
        self._taken.update({flavor: n for flavor, n in wanted.items() if flavor in self._stock})
        return [Line(flavor, n, self._prices[flavor]) for flavor, n in wanted.items()]

    def _left(self, flavor: int) -> int | None:
        return self._stock[flavor] - self._taken[flavor] if flavor in self._stock else None

    async def save(self) -> None:
        """Write what was taken."""
        await database.move(Flavor.stock, [(flavor, -n) for flavor, n in self._taken.items()])


async def shelf(wanted: Iterable[int]) -> Shelf:
    """Read these flavors, and hold the stock of those where it is counted.

    The others are not held: orders for them need not stand in line.
    """
    rows = await Flavor.select(Flavor.id, Flavor.price, Flavor.stock).where(
        Flavor.id.is_in(sorted(wanted)), Flavor.archived.eq(False)
    )
    counted = sorted(row["id"] for row in rows if row["stock"] is not None)
    held = Flavor.select(Flavor.id, Flavor.stock).order_by(Flavor.id)
    stock = await database.locked(held.where(Flavor.id.is_in(counted))) if counted else []
    return Shelf(
        prices={row["id"]: row["price"] for row in rows},
        stock={row["id"]: row["stock"] for row in stock if row["stock"] is not None},
    )


async def give_back(lines: Sequence[Line]) -> None:
    """Return what orders took, where stock is counted."""
    back: Counter[int] = Counter()
    for line in lines:
        back[line.flavor] += line.quantity
    if back:
        flavors = sorted(back)
        await database.locked(
            Flavor.select(Flavor.id).order_by(Flavor.id).where(Flavor.id.is_in(flavors))
        )
        # Where it is not counted, it is null and stays so.
        await database.move(Flavor.stock, [(flavor, back[flavor]) for flavor in flavors])


class Move(Struct, frozen=True):
    """An order that enters a status (1) or leaves one (-1), and the moment it was placed."""

    lines: Sequence[Line]
    placed: datetime
    changes: dict[str, int]


async def count(moves: Sequence[Move]) -> None:
    """Add orders to the totals of a status, and take them from another's.

    Totals belong to the UTC day on which an order was placed, whatever becomes of it later.
    """
    flavors, flavor_days, days = (_Sums() for _ in range(3))
    for move in moves:
        day = move.placed.date()
        for status, sign in move.changes.items():
            for line in move.lines:
                sums = (sign * line.quantity, sign * line.total)
                flavors.add((line.flavor, status), sums)
                flavor_days.add((line.flavor, status, day), sums)
            days.add((day, status), (sign, sign * sum(line.total for line in move.lines)))
    await database.add(
        FlavorTotal,
        keys=(FlavorTotal.flavor, FlavorTotal.status),
        sums=(FlavorTotal.quantity, FlavorTotal.revenue),
        rows=flavors.rows(),
    )
    await database.add(
        FlavorDay,
        keys=(FlavorDay.flavor, FlavorDay.status, FlavorDay.day),
        sums=(FlavorDay.quantity, FlavorDay.revenue),
        rows=flavor_days.rows(),
    )
    await database.add(
        DayTotal,
        keys=(DayTotal.day, DayTotal.status),
        sums=(DayTotal.orders, DayTotal.revenue),
        rows=days.rows(),
    )


class _Sums:
    """Pairs of sums by key."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, ...], tuple[int, int]] = {}

    def add(self, key: tuple[Any, ...], values: tuple[int, int]) -> None:
        first, second = self._sums.get(key, (0, 0))
        self._sums[key] = (first + values[0], second + values[1])

    def rows(self) -> list[tuple[Any, ...]]:
        """Keys and sums in one row each, sorted by key."""
        return [(*key, *sums) for key, sums in sorted(self._sums.items())]
