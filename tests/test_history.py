"""Test that totals and stock equal a recount after random concurrent actions."""

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
import pytest

from icecream import database
from icecream.payments import executor
from icecream.payments.providers import Answer, Declined, OutcomeUnknown, Request
from icecream.tables import CurrentFlavorTotal, Event, Flavor, Job, Order, OrderLine, Payment
from tests import ledger
from tests.conftest import Caller, Provider, apply_all, new_flavor, success_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


class Fickle(Provider):
    """A provider that succeeds, declines or gives no answer, by chance."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    async def _answer(self, request: Request) -> Answer:
        await asyncio.sleep(0.001)
        happens = self._chance.random()
        if happens < 0.3:
            raise self._chance.choice((OutcomeUnknown, ConnectionResetError))
        return Declined("No money.") if happens < 0.5 else success_of(request, f"ref {request.key}")


class History:
    """Random concurrent actions of a customer, staff and the provider on some flavors."""

    def __init__(self, seed: int, flavors: list[int], customer: Caller, staff: Caller) -> None:
        self._chance, self._flavors = random.Random(seed), flavors
        self._customer, self._staff = customer, staff
        self._executor = executor.Executor(
            Fickle(self._chance), slots=5, lease_seconds=30, timeout=5
        )
        self.answers: Counter[int] = Counter()

    async def go_on(self, rounds: int) -> None:
        steps = [self._order] * 7 + [self._charge] * 3
        steps += [self._cancel, self._pay, self._refund, self._receive, self._edit]
        for _ in range(rounds):
            await asyncio.gather(*(step() for step in self._chance.choices(steps, k=12)))
        await self._executor.close(5)

    async def _order(self) -> None:
        lines = [
            {"flavor": flavor, "quantity": self._chance.randint(1, 4)}
            for flavor in self._chance.choices(self._flavors, k=self._chance.randint(1, 3))
        ]
        word = self._chance.randint(1, 400)
        await self._ask("POST", "/api/orders/", {"lines": lines}, {"Idempotency-Key": f"k{word}"})

    async def _cancel(self) -> None:
        for order in await self._some(Order.user == self._customer.user.id):
            await self._ask("POST", f"/api/orders/{order}/cancel/")

    async def _pay(self) -> None:
        for order in await self._some(Order.status == "failed"):
            await self._ask("POST", f"/api/orders/{order}/pay/")

    async def _refund(self) -> None:
        for order in await self._some(Order.status == "paid"):
            body = self._chance.choice([{}, {"amount": 1}]) | {"reason": "by chance"}
            self._count(await self._staff.post(f"/api/orders/{order}/refund/", body))

    async def _some(self, which: Any) -> list[int]:
        """Return a few of the newest orders of the customer that match the condition."""
        mine = Order.select(Order.id).where(Order.user == self._customer.user.id, which)
        rows = await mine.order_by(Order.id, ascending=False).limit(8)
        return [row["id"] for row in self._chance.sample(rows, min(3, len(rows)))]

    async def _charge(self) -> None:
        rows = await Payment.select(Payment.id, Payment.state).where(
            Payment.order.user == self._customer.user.id,
            Payment.state.is_in(["new", "unknown"]),
        )
        some = self._chance.sample(rows, min(3, len(rows)))
        # Make payments without an answer due again at once.
        if again := [row["id"] for row in some if row["state"] == "unknown"]:
            await Job.update({Job.run_at: await database.now()}).where(Job.subject.is_in(again))
        await self._executor.execute([row["id"] for row in some])

    async def _receive(self) -> None:
        receipt = {"quantity": self._chance.choice((-3, 5, 9)), "reason": "by chance"}
        path = f"/api/flavors/{self._chance.choice(self._flavors)}/stock/"
        self._count(await self._staff.post(path, receipt))

    async def _edit(self) -> None:
        price = {"price": self._chance.randint(0, 3)}
        change = self._chance.choice([price, {"archived": True}, {"archived": False}])
        change = {"stock": None} if self._chance.random() < 0.2 else change
        path = f"/api/flavors/{self._chance.choice(self._flavors)}/"
        self._count(await self._staff.request("PATCH", path, json=change))

    async def _ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> None:
        more = {"headers": headers or {}} | ({"json": body} if body else {})
        self._count(await self._customer.request(method, path, **more))

    def _count(self, answer: httpx.Response) -> None:
        self.answers[answer.status_code] += 1


async def recounted(flavors: list[int]) -> dict[tuple[int, str], tuple[int, int]]:
    """Compute quantity and revenue by flavor and status from the order lines."""
    sums: Counter[tuple[int, str]] = Counter()
    revenues: Counter[tuple[int, str]] = Counter()
    line = OrderLine
    for row in await line.select(
        line.flavor, line.quantity, line.unit_price, line.order.status.as_alias("status")
    ).where(line.flavor.is_in(flavors)):
        sums[row["flavor"], row["status"]] += row["quantity"]
        revenues[row["flavor"], row["status"]] += row["quantity"] * row["unit_price"]
    return {key: (sums[key], revenues[key]) for key in sums}


async def stored(flavors: list[int]) -> dict[tuple[int, str], tuple[int, int]]:
    """Return the same from the totals, without zeros."""
    sums: Counter[tuple[int, str]] = Counter()
    revenues: Counter[tuple[int, str]] = Counter()
    total = CurrentFlavorTotal
    for row in await total.select(total.flavor, total.status, total.quantity, total.revenue).where(
        total.flavor.is_in(flavors)
    ):
        sums[row["flavor"], row["status"]] += row["quantity"]
        revenues[row["flavor"], row["status"]] += row["revenue"]
    return {key: (sums[key], revenues[key]) for key in sums if sums[key] or revenues[key]}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_totals_equal_a_recount_after_any_history(
    customer: Caller, staff: Caller, seed: int
) -> None:
    flavors = [await new_flavor(stock=stock, price=2) for stock in (60, 20, None, None)]
    history = History(seed, flavors, customer, staff)
    await history.go_on(rounds=40)
    await ledger.check()
    counted = await recounted(flavors)
    for _ in range(2):
        assert await stored(flavors) == counted
        await apply_all()
    names = {
        row["name"]: row["id"]
        for row in await Flavor.select(Flavor.id, Flavor.name).where(Flavor.id.is_in(flavors))
    }
    stats = (await customer.get("/api/stats/")).json()
    sold = {row["flavor__name"]: row["total_qty_ordered"] for row in stats}
    for name, flavor in names.items():
        assert sold[name] == sum(n for (one, _), (n, _) in counted.items() if one == flavor)
    # The history contained every kind of response and event.
    assert history.answers.keys() >= {200, 400, 409, 422}
    happened = await Event.select(Event.type).where(Event.order.user == customer.user.id)
    assert {row["type"] for row in happened} >= {"paid", "failed", "canceled", "refunded"}
