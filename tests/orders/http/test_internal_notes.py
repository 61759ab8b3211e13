"""Test the internal notes of the steps that staff take: staff see them, the customer never does."""

from typing import Any

import pytest

from icecream.feed import events
from icecream.payments.providers import Succeeded
from tests.conftest import (
    Caller,
    carry_out,
    new_flavor,
    parked,
    payment_id,
    place,
    publish_all,
)

pytestmark = pytest.mark.anyio
REASON, NOTE = "melted on the way", "the driver was rude; see ticket 9"
WORDS = {"reason": REASON, "internal_note": f"  {NOTE} "}


async def paid(customer: Caller) -> int:
    order = (await place(customer.user.id, {await new_flavor(): 2})).order
    await carry_out(order)
    return order


async def take_step(step: str, customer: Caller, staff: Caller) -> int:
    """Let staff take a step with a note; return its order."""
    body: dict[str, Any] = dict(WORDS)
    if step == "fulfilment":
        order = await paid(customer)
        path, body = "/api/orders/fulfilment/", body | {"orders": [order], "to": "packed"}
    elif step == "refund":
        order = await paid(customer)
        path = f"/api/orders/{order}/refund/"
    else:
        answers = {"refund a charge": [Succeeded(f"odd {customer.user.id}", 900, "EUR")]}
        placed = await parked(customer, *answers.get(step, []))
        order = placed.order
        path = f"/api/payments/{payment_id(placed)}/{step.split()[0]}/"
    assert (await staff.post(path, body)).status_code in (200, 202)
    return order


@pytest.mark.parametrize("step", ["fulfilment", "refund", "retry", "release", "refund a charge"])
async def test_only_staff_see_the_note_of_a_step(
    step: str, customer: Caller, staff: Caller
) -> None:
    order = await take_step(step, customer, staff)
    entries = (await staff.get(f"/api/orders/{order}/")).json()["history"]
    (noted,) = [entry for entry in entries if "internal_note" in entry]
    assert (noted["internal_note"], noted["by"]) == (NOTE, staff.user.id)
    assert noted["reason"] == REASON
    assert await _customer_reads(customer, order, "internal_note", NOTE) == []
    assert await _customer_reads(customer, order, REASON) != []


async def _customer_reads(customer: Caller, order: int, *words: str) -> list[str]:
    """Return what the customer gets that contains one of the words."""
    paths = (f"/api/orders/{order}/", "/api/my-orders/", "/api/my-orders/?format=csv")
    texts = [(await customer.get(path)).text for path in paths]
    assert all(str(order) in text for text in texts)
    await publish_all()
    # The feed and the webhooks of users send these events.
    found = await events.read_events(0, 2**62, user=customer.user.id)
    assert found
    texts += [event.block.decode() for event in found]
    return [text for text in texts if any(word in text for word in words)]


async def test_a_booked_refund_has_a_note(customer: Caller, staff: Caller) -> None:
    order = await paid(customer)
    refund = await staff.post(f"/api/orders/{order}/refund/", {"reason": REASON})
    assert refund.status_code == 202
    await carry_out(order, Succeeded(f"less {order}", 450, "EUR"))
    payments = (await staff.get(f"/api/payments/?order={order}")).json()
    (parked_refund,) = [one for one in payments if one["state"] == "parked"]
    answer = await staff.post(f"/api/payments/{parked_refund['id']}/book/", WORDS)
    assert answer.status_code == 200, answer.text
    history = (await staff.get(f"/api/orders/{order}/")).json()["history"]
    assert [one["internal_note"] for one in history if "internal_note" in one] == [NOTE]
    assert await _customer_reads(customer, order, "internal_note", NOTE) == []


@pytest.mark.parametrize("note", ["", " ", "a\nb", "\u200b", "x" * 201, 7])
async def test_a_note_is_one_visible_line(note: Any, customer: Caller, staff: Caller) -> None:
    order = await paid(customer)
    body = {"reason": REASON, "internal_note": note}
    answer = await staff.post(f"/api/orders/{order}/refund/", body)
    assert answer.status_code == 400
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/internal_note"]
    assert (await staff.get(f"/api/orders/{order}/")).json()["status"] == "paid"
