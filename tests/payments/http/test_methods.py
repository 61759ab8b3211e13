"""Test a user's payment method: a provider's reference, set here or elsewhere, never a card."""

import asyncio
import logging
from typing import Any

import pytest

from icecream.payments.http import methods as methods_http
from icecream.tables import Payment, User
from tests.conftest import Caller

pytestmark = pytest.mark.anyio
METHOD = "/api/payment-method/"
# Card numbers for tests from card networks and providers, written as people write them.
CARDS = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "4242.4242.4242.4242",
    "378282246310005",
    "3782 822463 10005",
    "6011111111111117",
    "5555555555554444",
    "4222222222222",
    "6304000000000000000",
    " 4242424242424242 ",
    "card:4242424242424242",
    "4242424242424242|12/34|123",
    "pm_4242424242424242",
]
REFERENCES = [
    "pm_1N3T00LkdIwHu7ixt44h1F8k",
    "pm_card_visa",
    "8415736344864225",
    "4242424242424243",
    "424242424242",
    "tok-5f0c9d1a-2f6b-4e1e-9d58-0f3a2b1c4d5e",
    "x" * 255,
    "!",
]
NONE_AT_ALL = ["", " ", "a b", "a\tb", "a\nb", "\u00e9", "\x7f", "x" * 256, "pm_1\n", "\u0664" * 16]


@pytest.mark.parametrize("text", REFERENCES)
def test_a_providers_reference_stays_as_it_is(text: str) -> None:
    assert methods_http.validate_reference(text) == text


@pytest.mark.parametrize("text", CARDS)
def test_a_card_number_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="looks like a card number") as refusal:
        methods_http.validate_reference(text)
    assert text not in str(refusal.value)


@pytest.mark.parametrize("text", NONE_AT_ALL)
def test_a_reference_is_visible_ascii(text: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        methods_http.validate_reference(text)


async def stored(user: User) -> Any:
    rows = await User.select(User.payment_method).where(User.id == user.id)
    return rows[0]["payment_method"]


async def put(caller: Caller, body: Any) -> Any:
    return await caller.request("PUT", METHOD, json=body)


async def test_each_user_has_one_method_or_none(customer: Caller, stranger: Caller) -> None:
    first, second = (f"pm_{customer.user.id}{letter}" for letter in "ab")
    assert (await customer.get(METHOD)).json() == {"reference": None}
    answer = await put(customer, {"reference": first})
    assert (answer.status_code, answer.json()) == (200, {"reference": first})
    assert (await customer.get(METHOD)).json() == {"reference": first}
    assert (await stranger.get(METHOD)).json() == {"reference": None}
    assert (await put(customer, {"reference": None})).json() == {"reference": None}
    await customer.request("PUT", METHOD, data={"reference": second})
    assert await stored(customer.user) == second
    for _ in range(2):
        answer = await customer.request("DELETE", METHOD)
        assert (answer.status_code, answer.content) == (204, b"")
    assert await stored(customer.user) is None


@pytest.mark.parametrize(
    "body", [*({"reference": text} for text in CARDS + NONE_AT_ALL), {}, {"reference": 1}, []]
)
async def test_any_other_text_is_refused_and_neither_stored_nor_repeated(
    customer: Caller, caplog: pytest.LogCaptureFixture, body: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await put(customer, body)
    assert answer.status_code == 400
    problem = answer.json()["errors"][0]
    assert problem["pointer"] == ("/reference" if isinstance(body, dict) else "")
    if isinstance(body, dict) and len(str(body.get("reference", "")).strip()) > 1:
        for text in (body["reference"], body["reference"].strip()):
            assert text not in answer.text
            assert text not in caplog.text
    assert await stored(customer.user) is None


async def test_the_very_next_order_is_paid_with_it(customer: Caller, flavor: int) -> None:
    order = {"flavor": flavor, "quantity": 1}
    for method in (f"pm_{customer.user.id}a", f"pm_{customer.user.id}b", None):
        # The authentication of concurrent calls must not restore the old method.
        others = [asyncio.create_task(customer.get("/api/flavors/")) for _ in range(10)]
        await put(customer, {"reference": method})
        number = (await customer.post("/api/orders/", order)).json()["order_id"]
        rows = await Payment.select(Payment.method).where(Payment.order == number)
        assert rows == [{"method": method}]
        await asyncio.gather(*others)


async def test_a_method_set_in_another_process_counts_within_a_second(
    customer: Caller, flavor: int
) -> None:
    """Another process makes the change and cannot notify this one."""
    assert (await customer.get("/api/orders/")).status_code == 200
    await User.update({User.payment_method: "pm_there"}).where(User.id == customer.user.id)
    assert (await customer.get(METHOD)).json() == {"reference": "pm_there"}
    await asyncio.sleep(1)
    await customer.post("/api/orders/", {"flavor": flavor, "quantity": 1})
    (row,) = await Payment.select(Payment.method).where(Payment.order.user == customer.user.id)
    assert row == {"method": "pm_there"}


async def test_a_method_belongs_to_the_first_customer_who_set_it(
    customer: Caller, stranger: Caller
) -> None:
    number = customer.user.id
    saved, method = f"cus_{number}/pm_{number}c", f"pm_{number}c"
    assert (await put(customer, {"reference": saved})).status_code == 200
    assert (await put(customer, {"reference": None})).status_code == 200
    # Neither the method, nor another method of that customer at the provider.
    for reference in (saved, method, f"cus_{number}", f"cus_{number}/pm_{number}d"):
        answer = await put(stranger, {"reference": reference})
        assert (answer.status_code, answer.json()["code"]) == (409, "payment-method-taken")
        assert reference not in answer.text
        assert await stored(stranger.user) is None
    # A refused request binds nothing.
    for reference in (saved, method, f"pm_{number}d"):
        assert (await put(customer, {"reference": reference})).status_code == 200


async def test_of_two_customers_at_once_one_gets_the_method(
    customer: Caller, stranger: Caller
) -> None:
    for n in range(5):
        reference = f"cus_{customer.user.id}x{n}/pm_{customer.user.id}x{n}"
        answers = await asyncio.gather(
            *(put(caller, {"reference": reference}) for caller in (customer, stranger))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_all_customers_may_use_stripes_methods_for_tests(
    customer: Caller, stranger: Caller
) -> None:
    for caller in (customer, stranger):
        assert (await put(caller, {"reference": "pm_card_visa"})).status_code == 200
