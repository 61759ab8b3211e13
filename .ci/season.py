"""Make up some months of orders in an empty database, for screenshots: python .ci/season.py"""

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from icecream import database, errors, gateway, installation, intake, payments
from icecream.gateway import Answer, Charge
from icecream.tables import Flavor, Payment, StockMove, User

DAYS, ORDERS_A_DAY = 75, 16
FLAVORS = {
    "Choclate": (275, None, 22),
    "Strawberry": (260, 30_000, 17),
    "Pistachio": (340, 1_330, 12),
    "Lemon": (240, None, 10),
    "Hazelnut": (310, 1_060, 9),
    "Mango": (290, 860, 7),
    "Stracciatella": (280, None, 5),
    "Salted caramel": (320, 9_000, 3),
}
SHOPS = ["corner-shop", "harbour-cafe", "the-pier", "lido", "station-kiosk", "old-town", "zoo"]


class Bank(gateway.Simulated):
    """Says yes, sometimes no, and twice something that a person has to look at."""

    def __init__(self) -> None:
        super().__init__((0, 0), 0.06)
        self.odd = 0

    async def charge(self, charge: Charge) -> Answer:
        if self.odd and charge.amount > 4_000:
            self.odd -= 1
            return gateway.Succeeded(f"sim_{self.odd}", charge.amount - 500, charge.currency)
        return await super().charge(charge)


async def _silent(ids: list[int]) -> None:
    """Nobody is told."""


async def _stocked() -> dict[int, int]:
    weights = {1: 15}
    for name, (price, stock, weight) in FLAVORS.items():
        row = (await Flavor.insert(Flavor(name=name, price=price, stock=stock)))[0]
        weights[row["id"]] = weight
        if stock:
            at = datetime.now(UTC)
            await StockMove.insert(StockMove(flavor=row["id"], quantity=stock, why="first", at=at))
    return weights


async def _season(chance: random.Random) -> None:
    weights = await _stocked()
    users = [User(username=name, password="x", active=True) for name in SHOPS]
    for user in users:
        await user.save()
    counter, now = intake.Intake(_silent), datetime.now(UTC)
    bank = Bank()
    desk = payments.Desk(bank, places=20, lease=30, timeout=5)
    for day in range(DAYS, -1, -1):
        bank.odd += day in (1, 2)
        weekday = (now - timedelta(day)).weekday()
        share = (1 + 0.5 * (weekday >= 4)) * chance.uniform(0.8, 1.2) * (1 + (DAYS - day) / DAYS)
        seconds = 86_400 if day else (now - now.replace(hour=0, minute=0)).seconds
        count = round(ORDERS_A_DAY * share * seconds / 86_400)
        midnight = (now - timedelta(day)).replace(hour=0, minute=0, second=0)
        for second in sorted(chance.uniform(0, seconds) for _ in range(count)):
            at = midnight + timedelta(seconds=second)
            flavors = chance.choices(list(weights), list(weights.values()), k=chance.randint(1, 2))
            lines = {flavor: chance.choice((1, 2, 2, 3, 4, 6, 8)) for flavor in flavors}
            clock: Any = SimpleNamespace(now=lambda _, at=at: at)
            sold_out = suppress(errors.InsufficientStock)
            with patch("icecream.intake.datetime", clock), sold_out:
                user = chance.choices(users, range(len(users), 0, -1))[0]
                await counter.place(user.id, lines)
        rows = await Payment.select(Payment.id).where(Payment.state == "new")
        await desk.serve([row["id"] for row in rows])
        await _refunds(desk, chance)


async def _refunds(desk: payments.Desk, chance: random.Random) -> None:
    rows = await Payment.select(Payment.order).where(
        Payment.kind == "charge", Payment.state == "succeeded"
    )
    for row in chance.sample(rows, min(len(rows), chance.choice((0, 0, 1)))):
        order: int = row["order"]
        if await Payment.exists().where(Payment.order == order, Payment.kind == "refund"):
            continue
        staged = await database.transaction(
            lambda order=order: payments.refund(order, None, why="melted", by=1)
        )
        await desk.serve(staged)


async def main() -> None:
    async with database.running():
        await installation.migrate(lambda line: None)
        await _season(random.Random(5))


asyncio.run(main())
