"""Test refunds of lines: their amount, their reason, and the goods that go back into the stock."""

from typing import Any, get_args

import httpx
import pytest

from icecream import states
from icecream.fulfilment import packing_list
from icecream.orders.http import actions as http_actions
from icecream.payments import refunded_lines
from icecream.payments.providers import Declined
from icecream.tables import Flavor, StockMove
from tests import ledger
from tests.conftest import Caller, carry_out, new_flavor, place

pytestmark = pytest.mark.anyio


class TwoLines:
    """A paid order of 4 out of 10 at 250, and of 2 at 100 whose stock is not counted."""

    def __init__(self, staff: Caller, counted: int, other: int, order: int) -> None:
        self.staff, self.counted, self.other, self.order = staff, counted, other, order

    async def refund(self, *lines: tuple[int, int], **body: Any) -> httpx.Response:
        if lines:
            body["lines"] = [{"flavor": flavor, "quantity": n} for flavor, n in lines]
        path = f"/api/orders/{self.order}/refund/"
        return await self.staff.post(path, {"reason": "soft at the door", **body})

    async def view(self) -> dict[str, Any]:
        view: dict[str, Any] = (await self.staff.get(f"/api/orders/{self.order}/")).json()
        return view

    async def stock(self) -> int:
        (row,) = await Flavor.select(Flavor.stock).where(Flavor.id == self.counted)
        return int(row["stock"])


@pytest.fixture
async def paid(customer: Caller, staff: Caller) -> TwoLines:
    counted, other = await new_flavor(stock=10), await new_flavor(price=100)
    order = (await place(customer.user.id, {counted: 4, other: 2})).order
    await carry_out(order)
    return TwoLines(staff, counted, other, order)


def pointer_of(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["errors"][0]["pointer"])


def test_the_reasons_are_those_of_the_table() -> None:
    assert get_args(http_actions.ReasonCode) == states.REFUND_REASONS


async def test_lines_are_refunded_at_their_prices_with_a_reason(paid: TwoLines) -> None:
    answer = await paid.refund((paid.counted, 1), (paid.other, 2), reason_code="melted")
    assert (answer.status_code, answer.json()["status"]) == (202, "paid")
    (refund,) = (await carry_out(paid.order)).asked
    assert refund.amount == 450
    view = await paid.view()
    assert view["refunded"] == 450
    assert [line.get("refunded_quantity") for line in view["lines"]] == [1, 2]
    requested = view["history"][2]
    assert requested["type"] == "refund-requested"
    assert (requested["amount"], requested["reason"]) == (450, "soft at the door")
    assert (requested["reason_code"], requested["restocked"]) == ("melted", False)
    assert requested["lines"] == [
        {"flavor": paid.counted, "quantity": 1},
        {"flavor": paid.other, "quantity": 2},
    ]
    assert await paid.stock() == 6
    payments = (await paid.staff.get(f"/api/payments/?order={paid.order}")).json()
    assert [one["reason_code"] for one in payments if one["order"] == paid.order] == [
        *(None, "melted")
    ]
    await ledger.check()


async def test_a_reason_code_is_possible_without_lines(paid: TwoLines) -> None:
    assert (await paid.refund(amount=100, reason_code="other")).status_code == 202
    view = await paid.view()
    assert view["history"][-1]["reason_code"] == "other"
    assert "lines" not in view["history"][-1]
    assert all("refunded_quantity" not in line for line in view["lines"])


async def test_no_more_of_a_line_is_refunded_than_is_left(paid: TwoLines) -> None:
    await paid.refund((paid.counted, 3))
    await carry_out(paid.order)
    answer = await paid.refund((paid.other, 1), (paid.counted, 2))
    assert (answer.status_code, answer.json()["code"]) == (409, "refunded-quantity-too-large")
    missing = {"flavor": paid.counted, "quantity": 2, "available": 1}
    assert answer.json()["lines"] == [missing]
    assert (await paid.refund((paid.counted, 1))).status_code == 202
    await carry_out(paid.order)
    await ledger.check()


async def test_lines_cannot_cost_more_than_the_money_that_is_left(paid: TwoLines) -> None:
    await paid.refund(amount=1100)
    await carry_out(paid.order)
    answer = await paid.refund((paid.counted, 1))
    assert (answer.status_code, answer.json()["left"]) == (409, 100)


async def test_a_declined_refund_of_lines_counts_no_more(paid: TwoLines) -> None:
    await paid.refund((paid.counted, 4))
    await carry_out(paid.order, Declined("account closed"))
    view = await paid.view()
    assert all("refunded_quantity" not in line for line in view["lines"])
    assert (await paid.refund((paid.counted, 4))).status_code == 202
    await carry_out(paid.order)
    assert (await paid.view())["lines"][0]["refunded_quantity"] == 4
    await ledger.check()


async def test_all_lines_together_end_the_order(paid: TwoLines) -> None:
    await paid.refund((paid.counted, 4), (paid.other, 2), restock=True)
    await carry_out(paid.order)
    assert (await paid.view())["status"] == "refunded"
    assert await paid.stock() == 10
    await ledger.check()


async def test_goods_go_back_into_the_stock_where_it_is_counted(paid: TwoLines) -> None:
    await paid.refund((paid.counted, 1), (paid.other, 1), reason_code="wrong-item", restock=True)
    # At once: the goods are here, whatever the provider answers.
    assert await paid.stock() == 7
    (other,) = await Flavor.select(Flavor.stock).where(Flavor.id == paid.other)
    assert other["stock"] is None
    moves = await StockMove.select(StockMove.quantity, StockMove.why, StockMove.by).where(
        StockMove.flavor == paid.counted, StockMove.by.is_not_null()
    )
    why = f"order {paid.order}: wrong-item"
    assert moves == [{"quantity": 1, "why": why, "by": paid.staff.user.id}]
    assert (await paid.view())["history"][-1]["restocked"] is True
    await carry_out(paid.order)
    await ledger.check()


async def test_goods_go_back_only_once(paid: TwoLines) -> None:
    await paid.refund((paid.counted, 3), restock=True)
    await carry_out(paid.order, Declined("account closed"))
    assert await paid.stock() == 9
    assert pointer_of(await paid.refund((paid.counted, 3), restock=True)) == "/restock"
    assert (await paid.refund((paid.counted, 3))).status_code == 202
    await carry_out(paid.order)
    assert await paid.stock() == 9
    await ledger.check()


async def test_all_that_is_left_can_go_back_without_naming_it(paid: TwoLines) -> None:
    await paid.refund((paid.counted, 1))
    await carry_out(paid.order)
    await paid.refund(restock=True, reason_code="other")
    await carry_out(paid.order)
    view = await paid.view()
    assert (view["status"], view["refunded"]) == ("refunded", 1200)
    assert [line["refunded_quantity"] for line in view["lines"]] == [4, 2]
    assert await paid.stock() == 9
    await ledger.check()


async def test_an_order_whose_goods_went_back_is_not_canceled(paid: TwoLines) -> None:
    await paid.refund((paid.counted, 1), restock=True)
    await carry_out(paid.order)
    assert (await paid.view())["actions"] == ["refund"]
    answer = await paid.staff.post(f"/api/orders/{paid.order}/cancel/")
    assert (answer.status_code, answer.json()["code"]) == (409, "already-restocked")
    assert await paid.stock() == 7
    await ledger.check()


async def test_the_goods_of_a_canceled_order_do_not_go_back_twice(paid: TwoLines) -> None:
    await paid.refund(amount=100)
    await paid.staff.post(f"/api/orders/{paid.order}/cancel/")
    # The cancellation is withdrawn only if its refund is declined.
    await carry_out(paid.order)
    answer = await paid.refund(restock=True)
    assert answer.status_code == 409
    await carry_out(paid.order)
    assert await paid.stock() == 10
    await ledger.check()


async def test_the_packing_list_has_what_is_left(customer: Caller, paid: TwoLines) -> None:
    await paid.refund((paid.counted, 3), (paid.other, 2))
    found = await packing_list.load(None)
    mine = next(one for one in found.customers if one.user == customer.user.id)
    left = [(line.article.flavor, line.quantity) for line in mine.orders[0].lines]
    assert left == [(paid.counted, 1)]
    sums = {one.article.flavor: one.quantity for one in found.flavors}
    assert (sums[paid.counted], sums.get(paid.other)) == (1, None)


async def test_no_order_has_no_refunded_quantities(paid: TwoLines) -> None:
    assert await refunded_lines.read_quantities([]) == {}
    assert await refunded_lines.read_quantities([paid.order]) == {}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"lines": []}, "/lines"),
        ({"lines": [{"flavor": 1}]}, "/lines/0/quantity"),
        ({"lines": [{"flavor": 999_999, "quantity": 1}]}, "/lines/0/flavor"),
        ({"lines": [{"flavor": 1, "quantity": 1}, {"flavor": 1, "quantity": 1}]}, "/lines"),
        ({"lines": [{"flavor": 1, "quantity": 0}]}, "/lines/0/quantity"),
        ({"lines": [{"flavor": 1, "quantity": 1}], "amount": 1}, "/amount"),
        ({"restock": True, "amount": 1}, "/restock"),
        ({"restock": 1}, "/restock"),
        ({"reason_code": "stolen"}, "/reason_code"),
    ],
)
async def test_a_wrong_refund_is_refused_and_named(
    paid: TwoLines, body: dict[str, Any], pointer: str
) -> None:
    assert pointer_of(await paid.refund(**body)) == pointer
    assert [one["type"] for one in (await paid.view())["history"]] == ["placed", "paid"]


async def test_lines_that_cost_nothing_are_not_refunded(customer: Caller, staff: Caller) -> None:
    free, dear = await new_flavor(price=0), await new_flavor()
    order = (await place(customer.user.id, {free: 1, dear: 1})).order
    await carry_out(order)
    assert pointer_of(await TwoLines(staff, dear, free, order).refund((free, 1))) == "/lines"
