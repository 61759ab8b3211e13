"""Test amounts from the price to the comparison, in currencies that Stripe counts differently."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ADMIN_PASSWORD
from tests.processes import Process, Shop, until
from tests.sandboxes import WEBHOOK_SECRET, Sandbox

pytestmark = pytest.mark.only("sqlite")
# The currency, a price in its minor units, the same at Stripe, and an amount that Stripe refuses.
CURRENCIES = [
    ("HUF", 104_550, 104_550, None),
    ("JPY", 1041, 1041, None),
    ("ISK", 1041, 104_100, None),
    ("UGX", 1041, 104_100, None),
    ("KWD", 1250, 1250, 1255),
    ("MGA", 10_400, 104, 10_450),
]
API_KEY = "sk_test_of_the_tests"
# The comparison leaves out payments that have just been made.
COMPARE_AT_ONCE = """
from datetime import timedelta
from icecream.payments import reconciliation
reconciliation.MIN_PAYMENT_AGE = timedelta(0)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "shop", f"sqlite:///{tmp_path}/shop.sqlite") as shop:
        yield shop


@pytest.fixture
def sandbox(tmp_path: Path, shop: Shop) -> Iterator[Sandbox]:
    """A sandbox whose charges and refunds end later, so that the amounts come from look-ups."""
    url = f"{shop.http.base_url}/api/payments/webhooks/stripe/"
    late = ("--fault", "processing=1", "--late", "0.3")
    running = Sandbox(tmp_path, *late, "--webhook-url", url)
    yield running
    running.end()


def start(shop: Shop, sandbox: Sandbox, currency: str, price: int) -> Process:
    given = {
        "CURRENCY": currency,
        "DEFAULT_PRICE": str(price),
        "PAYMENT_PROVIDER": "stripe",
        "STRIPE_API_KEY": API_KEY,
        "STRIPE_API_BASE": sandbox.url,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
    }
    shop.environment |= {f"ICECREAM_{name}": value for name, value in given.items()}
    return shop.serve()


def order_of(shop: Shop, number: int) -> dict[str, Any]:
    answer = shop.http.get(f"/api/orders/{number}/")
    assert answer.status_code == 200, answer.text
    order: dict[str, Any] = answer.json()
    return order


def pointer(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    found: str = answer.json()["errors"][0]["pointer"]
    return found


def compare(shop: Shop, *words: str) -> str:
    process = shop.begin_altered(COMPARE_AT_ONCE, "reconcile", *words)
    process.wait()
    return process.output


@pytest.mark.parametrize(("currency", "price", "at_stripe", "refused"), CURRENCIES)
def test_an_amount_is_the_same_money_on_both_sides(
    shop: Shop, sandbox: Sandbox, currency: str, price: int, at_stripe: int, refused: int | None
) -> None:
    start(shop, sandbox, currency, price)
    shop.sign_in("admin", ADMIN_PASSWORD)
    assert shop.http.put("/api/payment-method/", json={"reference": "pm_card_visa"}).is_success
    assert shop.http.patch("/api/flavors/1/", json={"price": 3 * price}).is_success
    number = shop.order(quantity=2)
    shop.all_ended()
    paid = order_of(shop, number)
    assert (paid["status"], paid["total"], paid["currency"]) == ("paid", 6 * price, currency)
    if refused is not None:
        assert pointer(shop.http.patch("/api/flavors/1/", json={"price": refused})) == "/price"
        too_fine = {"reason": "Melted", "amount": refused}
        assert pointer(shop.http.post(f"/api/orders/{number}/refund/", json=too_fine)) == "/amount"
    part = {"reason": "Melted", "amount": price}
    assert shop.http.post(f"/api/orders/{number}/refund/", json=part).is_success
    until(lambda: order_of(shop, number)["refunded"] == price, "the refund ends")
    charge, refund = sandbox.executions()
    assert (charge.kind, charge.amount, charge.currency) == ("charge", 6 * at_stripe, currency)
    assert (refund.kind, refund.amount, refund.currency) == ("refund", at_stripe, currency)
    with closing(sqlite3.connect(shop.folder.parent / "shop.sqlite")) as database:
        until(
            lambda: (
                database.execute("SELECT count(*), count(applied_at) FROM notice").fetchone()
                == (4, 4)
            ),
            "each webhook was applied",
        )
    # A refund that is made in Stripe's dashboard.
    form = {"payment_intent": charge.reference, "amount": 2 * at_stripe}
    assert httpx.post(f"{sandbox.url}/v1/refunds", auth=(API_KEY, ""), data=form).is_success
    until(lambda: sandbox.executions()[-1].result == "succeeded", "this refund ends")
    *booked, last = compare(shop, "--yes").splitlines()
    assert (len(booked), last) == (1, "Nothing is left to be done.")
    assert order_of(shop, number)["refunded"] == 3 * price
    assert compare(shop) == "Nothing is left to be done.\n"
