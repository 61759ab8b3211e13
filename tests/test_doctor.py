"""The doctor finds what is wrong: each rule is broken once, and no other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from icecream import doctor, payments
from icecream.database import DB
from icecream.gateway import Charged, Declined
from icecream.tables import Order
from tests.conftest import Caller, new_flavor, place

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ids(customer: Caller) -> AsyncIterator[dict[str, Any]]:
    """A pending, a paid and a failed order; whatever the test breaks is undone."""
    flavor = await new_flavor(price=100)
    placed = [await place(customer.user.id, {flavor: n}) for n in (1, 2, 3)]
    claims = await payments.claim(
        [one.payment for one in placed[1:] if one.payment], limit=2, lease=9
    )
    for claim, answer in zip(claims, (Charged(f"doctor {flavor}"), Declined("no")), strict=True):
        await payments.settle([payments.Verdict(claim, answer)])
    pending, paid, failed = placed
    yield {
        "flavor": flavor,
        "pending": pending.order,
        "open": pending.payment,
        "paid": paid.order,
        "charged": paid.payment,
        "failed": failed.order,
        "declined": failed.payment,
    }


class Undo(Exception):
    """Ends the transaction in which something was broken."""


BREAKS = {
    "a pending order has an open charge": [
        "UPDATE payment SET state = 'void' WHERE id = {open}",
        "DELETE FROM job WHERE subject = {open}",
    ],
    "an open payment has its job": ["DELETE FROM job WHERE subject = {open}"],
    "a job has its open payment": [
        "INSERT INTO job (kind, subject, run_at, tries) SELECT kind, {charged}, run_at, 0 FROM job"
        " WHERE subject = {open}"
    ],
    "an open charge belongs to a pending order": [
        "UPDATE payment SET state = 'unknown' WHERE id = {declined}",
        "INSERT INTO job (kind, subject, run_at, tries) SELECT kind, {declined}, run_at, 0 FROM job"
        " WHERE subject = {open}",
    ],
    "an order is charged once when it was paid, and never otherwise": [
        "UPDATE payment SET state = 'succeeded' WHERE id = {declined}"
    ],
    "a charge is for the order's total": ["UPDATE payment SET amount = 1 WHERE id = {charged}"],
    "an order's total is the sum of its lines": [
        "UPDATE orders SET total = 1 WHERE id = {failed}",
        "UPDATE payment SET amount = 1 WHERE id = {declined}",
        "UPDATE day_total SET revenue = revenue - 299 WHERE status = 'failed'"
        " AND CAST(day AS text) = (SELECT substr(CAST(created_at AS text), 1, 10) FROM orders"
        " WHERE id = {failed})",
    ],
    "a history has no gaps": ['DELETE FROM event WHERE "order" = {paid} AND seq = 1'],
    "counted stock is what came in less what live orders took": [
        "UPDATE flavor SET stock = 5 WHERE id = {flavor}"
    ],
    "totals by flavor equal a recount": [
        "UPDATE flavor_total SET quantity = quantity + 1"
        " WHERE flavor = {flavor} AND status = 'paid'"
    ],
    "totals by flavor and day equal a recount": [
        "UPDATE flavor_day SET revenue = revenue + 1 WHERE flavor = {flavor} AND status = 'pending'"
    ],
    "totals by day equal a recount": ["UPDATE day_total SET orders = orders + 1"],
}


def test_every_rule_is_broken_here() -> None:
    assert list(BREAKS) == list(doctor.RULES)


async def test_a_sound_installation_is_found_sound(ids: dict[str, Any]) -> None:
    assert await doctor.examine() == {}


@pytest.mark.parametrize("rule", BREAKS)
async def test_what_is_broken_is_found_and_nothing_else(ids: dict[str, Any], rule: str) -> None:
    with pytest.raises(Undo):
        async with DB.transaction():
            for statement in BREAKS[rule]:
                await Order.raw(statement.format(**ids))
            assert list(await doctor.examine()) == [rule]
            raise Undo
    assert await doctor.examine() == {}
