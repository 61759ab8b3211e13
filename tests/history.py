"""Random but reproducible histories of orders, for tests of rules that must always hold."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from icecream import database, errors
from icecream.integrity import doctor
from icecream.orders import actions, placing
from icecream.payments import leases, manual_review, settlement
from icecream.payments.providers import Answer, Declined, Succeeded
from icecream.tables import Payment

CHARGED_ANOTHER_AMOUNT = "an order that was charged another amount is refunded completely"

# The period contains a leap day, the end of a month and the end of an ISO week.
FIRST = datetime(2024, 2, 26, tzinfo=UTC)
DAYS = 9

# Prices and stocks: one flavor is free, and one is scarce.
FLAVORS = ((250, None), (99, 40), (0, None), (333, 10_000))


class Clock:
    """Replaces `datetime` in `placing`."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def now(self, _: object) -> datetime:
        return FIRST + timedelta(seconds=self._chance.randrange(DAYS * 86_400))


class History:
    """Customers order flavors; payments end; orders are canceled, paid again and refunded.

    `clerk` is the user who refunds.
    """

    def __init__(self, seed: int, users: list[int], flavors: list[int], clerk: int) -> None:
        self.chance = random.Random(seed)
        self._users, self._flavors, self._clerk = users, flavors, clerk
        self._placer = placing.OrderPlacer(_silent)
        self.orders: list[int] = []
        self._waiting: list[int] = []
        self._steps = (
            *(self._place, self._place, self._settle, self._settle),
            *(self._change, self._refund, self._decide),
        )

    async def go_on(self, steps: int) -> None:
        """Run this many random steps; some of them are refused."""
        for _ in range(steps):
            try:
                await self.chance.choice(self._steps)()
            except errors.Refusal:
                continue
        await self._refund_other_amounts()

    async def _refund_other_amounts(self) -> None:
        """Refund orders that were charged another amount, as the doctor advises."""
        for order in (await doctor.find_violations()).get(CHARGED_ANOTHER_AMOUNT, ()):
            refund = partial(actions.refund_order, reason="odd", by=self._clerk)
            staged = await database.transaction(partial(refund, int(str(order[0])), None))
            (lease,) = await leases.acquire_leases(staged, limit=1, lease_seconds=0)
            asked = lease.request
            answer = Succeeded(f"history {asked.key}", asked.amount, asked.currency)
            await settlement.settle([settlement.SettlementResult(lease, answer)])

    async def _place(self) -> None:
        wanted = self.chance.sample(self._flavors, self.chance.randint(1, len(self._flavors)))
        lines = {flavor: self.chance.randint(1, 4) for flavor in wanted}
        placed = await self._placer.place(self.chance.choice(self._users), lines)
        self.orders.append(placed.order)
        self._waiting += [placed.payment] if placed.payment else []

    async def _settle(self) -> None:
        """Settle several payments at once, like an executor."""
        now, later = self._waiting[:10], self._waiting[10:]
        acquired = await leases.acquire_leases(now, limit=10, lease_seconds=0) if now else []
        # PostgreSQL returns them in any order; the history must be the same in each run.
        acquired.sort(key=lambda lease: lease.payment)
        verdicts = [
            settlement.SettlementResult(one, answer)
            for one in acquired
            if (answer := self._answer(one))
        ]
        if verdicts:
            await settlement.settle(verdicts)
        answered = {one.lease.payment for one in verdicts}
        self._waiting = [one.payment for one in acquired if one.payment not in answered] + later

    def _answer(self, lease: leases.Lease) -> Answer | settlement.Parked | None:
        asked, reference = lease.request, f"history {lease.payment}"
        return self.chance.choices(
            (
                Succeeded(reference, asked.amount, asked.currency),
                Declined("no"),
                settlement.Parked("unsure"),
                Succeeded(reference, asked.amount + 1, asked.currency),
                None,
            ),
            (6, 3, 1, 1, 1),
        )[0]

    async def _change(self) -> None:
        if self.orders:
            order = self.chance.choice(self.orders)
            if self.chance.random() < 0.5:
                self._waiting += await actions.cancel_order(order, by=self._clerk)
            else:
                self._waiting += await actions.pay_order(order, by=self._clerk, needs_method=False)

    async def _refund(self) -> None:
        if self.orders:
            order, amount = self.chance.choice(self.orders), self.chance.choice((None, 1, 33, 100))
            self._waiting += await database.transaction(
                lambda: actions.refund_order(order, amount, reason="soft", by=self._clerk)
            )

    async def _decide(self) -> None:
        """Decide on a parked payment, like an operator."""
        rows = await Payment.select(Payment.id).where(
            Payment.state == "parked", Payment.order.is_in(self.orders or [0])
        )
        if rows:
            decide = self.chance.choice(
                (
                    manual_review.retry_payment,
                    manual_review.release_payment,
                    manual_review.refund_payment,
                )
            )
            number = min(row["id"] for row in rows)
            self._waiting += await decide(number, reason="looked", by=self._clerk)


async def _silent(payments: list[int], customers: Sequence[int] = ()) -> None:
    """Notify no worker. (As in conftest, whose import would start another database.)"""
