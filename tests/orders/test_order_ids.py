"""Test batches that are written at once, with what this process knows and ids taken ahead."""

import asyncio
import time

import pytest

from icecream import errors
from icecream.catalogue import inventory
from icecream.idempotency import keys
from icecream.orders import order_ids, placing
from icecream.tables import Flavor, Order
from tests import ledger
from tests.conftest import Caller, new_flavor

pytestmark = [pytest.mark.anyio, pytest.mark.only("postgres")]


@pytest.fixture(autouse=True)
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, a batch may take longer than ids are used, or than a pause."""
    monkeypatch.setattr(order_ids, "MAX_AGE_SECONDS", 60.0)
    monkeypatch.setattr(order_ids, "PAUSE_SECONDS", 60.0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the batches that were read before they were written."""
    sizes, real = list[int](), placing._read

    async def read(requests: list[placing.OrderRequest]) -> placing._BatchData:
        sizes.append(len(requests))
        return await real(requests)

    monkeypatch.setattr(placing, "_read", read)
    return sizes


class Placer:
    """Places the orders of one customer for one flavor, like a process under load."""

    def __init__(self, customer: Caller, flavor: int) -> None:
        self.user, self.flavor = customer.user.id, flavor
        self.ids = order_ids.IdSupply()

    async def place(
        self, *quantities: int, key: keys.RequestKey | None = None
    ) -> list[placing.PlacedOrder | Exception]:
        requests = [placing.OrderRequest(self.user, {self.flavor: n}, key) for n in quantities]
        return await placing.place_in_transaction(requests, self.ids)

    async def place_one(self, quantity: int = 1) -> placing.PlacedOrder:
        (placed,) = await self.place(quantity)
        assert isinstance(placed, placing.PlacedOrder)
        return placed


@pytest.fixture
def placer(customer: Caller, flavor: int) -> Placer:
    return Placer(customer, flavor)


async def test_later_batches_do_not_read(placer: Placer, reads: list[int]) -> None:
    orders = [await placer.place(1, 2, 3) for _ in range(4)]
    assert reads == [3]
    placed = [one for batch in orders for one in batch if isinstance(one, placing.PlacedOrder)]
    assert len({one.order for one in placed}) == len({one.payment for one in placed}) == 12
    assert [one.order for one in placed] == sorted(one.order for one in placed)
    await ledger.check()


async def test_a_batch_with_too_few_ids_reads(placer: Placer, reads: list[int]) -> None:
    await placer.place(1)
    assert len(await placer.place(*[1] * 5)) == 5
    assert reads == [1, 5]


async def test_old_ids_are_not_used(
    placer: Placer, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer order would have a smaller id than an older one of another process."""
    await placer.place_one()
    monkeypatch.setattr(order_ids, "MAX_AGE_SECONDS", 0)
    await placer.place_one()
    assert reads == [1, 1]


def test_the_age_of_ids_begins_before_the_write_that_takes_them() -> None:
    """A commit may wait for the disk, while other processes place orders with larger ids."""
    ids = order_ids.IdSupply()
    ids.add(
        [order_ids.OrderIds(1, 1)],
        taken_at=time.monotonic() - order_ids.MAX_AGE_SECONDS - 0.01,
    )
    assert ids.take(1) is None


async def test_a_flavor_that_was_never_read_is_read(
    placer: Placer, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await placer.place_one()
    placer.flavor = await new_flavor()
    await placer.place_one()
    assert reads == [1, 1]


async def test_a_changed_price_counts_at_once_and_the_process_reads_for_a_while(
    placer: Placer, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await placer.place_one()
    await Flavor.update({Flavor.price: 400}).where(Flavor.id == placer.flavor)
    for _ in range(3):
        placed = await placer.place_one(2)
        row = await Order.select(Order.total).where(Order.id == placed.order).first()
        assert row == {"total": 800}
    assert reads == [1, 1, 1, 1]
    monkeypatch.setattr(placer.ids, "_paused_until", 0.0)
    for _ in range(2):
        await placer.place_one()
    assert reads == [1] * 5
    await ledger.check()


async def test_only_what_is_read_now_refuses_an_order(customer: Caller, reads: list[int]) -> None:
    placer = Placer(customer, await new_flavor(stock=3))
    await placer.place_one()
    await inventory.receive_stock(placer.flavor, 10, reason="delivery", by=placer.user)
    await placer.place_one(7)
    assert reads == [1, 1]
    (refused,) = await placer.place(6)
    assert isinstance(refused, errors.InsufficientStock)
    assert refused.members["lines"] == [{"flavor": placer.flavor, "quantity": 6, "available": 5}]
    await ledger.check()


async def test_the_last_stock_is_sold_once(customer: Caller, reads: list[int]) -> None:
    """This process knows a larger stock than there is."""
    placer = Placer(customer, await new_flavor(stock=10))
    await placer.place_one(6)
    sold, refused = await placer.place(3, 3)
    assert isinstance(sold, placing.PlacedOrder)
    assert isinstance(refused, errors.InsufficientStock)
    assert reads == [1, 2]
    await ledger.check()


async def test_an_archived_flavor_is_refused(placer: Placer, reads: list[int]) -> None:
    await placer.place_one()
    await Flavor.update({Flavor.archived: True}).where(Flavor.id == placer.flavor)
    for _ in range(2):
        (refused,) = await placer.place(1)
        assert isinstance(refused, inventory.UnknownFlavor)
    assert reads == [1, 1, 1]


async def test_a_repeated_request_gets_the_first_answer(placer: Placer, reads: list[int]) -> None:
    key = keys.RequestKey(placer.user, f"known {placer.flavor}", "one")
    (first,) = await placer.place(1, key=key)
    (second,) = await placer.place(1, key=key)
    assert isinstance(first, placing.PlacedOrder) and isinstance(second, placing.PlacedOrder)
    assert (first.order, first.replayed, second.replayed) == (second.order, False, True)
    assert reads == [1, 1]
    await ledger.check()


async def test_only_a_busy_process_takes_ids_ahead(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the ids of orders would have gaps."""
    given, real = list[bool](), placing.place_in_transaction

    async def place(requests: list[placing.OrderRequest], ids: object) -> object:
        given.append(ids is not None)
        return await real(requests)

    monkeypatch.setattr(placing, "place_in_transaction", place)

    async def ignore(payments: list[int], customers: object = ()) -> None:
        pass

    placer = placing.OrderPlacer(ignore)
    await placer.place(customer.user.id, {flavor: 1})
    assert given == [False]
    await asyncio.gather(*(placer.place(customer.user.id, {flavor: 1}) for _ in range(40)))
    assert given == [False, True, True]
    await placer.close()
