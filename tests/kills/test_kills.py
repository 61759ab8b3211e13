"""Kill processes and servers at random under full load: nothing is lost, nobody is charged twice.

`make kills` runs these tests on both databases. KILLS_SECONDS sets the time under load, and
KILLS_SEED repeats the same choices.
"""

import json
import math
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.kills.customers import Acknowledged, Customer
from tests.kills.installation import Installation, installed

SECONDS = float(os.environ.get("KILLS_SECONDS", "60"))
SEED = int(os.environ.get("KILLS_SEED", random.randrange(10**6)))
CUSTOMERS = 16
STOCK = 1_000_000
# The longest time in which no payment may end: retries wait for up to 12 s, and after an error of
# ours for two minutes. There may be many payments left after the last disturbance.
SECONDS_TO_RECOVER = 120
READ_ORDERS = """
import asyncio, json, sys
from icecream.tables import Order, OrderLine, Payment
async def main():
    order = await Order.select(
        Order.id, Order.user, Order.status, Order.total, Order.refunded, Order.reference
    )
    lines = await OrderLine.select(OrderLine.order, OrderLine.flavor, OrderLine.quantity)
    open_payments = await Payment.select(Payment.order, Payment.state).where(
        Payment.state.is_in(["new", "sent", "unknown", "parked"])
    )
    json.dump({"orders": order, "lines": lines, "open": open_payments}, sys.stdout)
asyncio.run(main())
"""
# Planted bugs, which the checks have to find.
A_NEW_KEY_FOR_EACH_TRY = """
import uuid
from msgspec.structs import replace
from icecream.payments import provider_calls
def send_with_a_new_key(provider, lease, look_up_or_send=provider_calls._look_up_or_send):
    request = replace(lease.request, key=uuid.uuid4().hex)
    return look_up_or_send(provider, replace(lease, request=request))
provider_calls._look_up_or_send = send_with_a_new_key
"""
ONLY_NOTIFIED_PAYMENTS = """
from icecream.payments import executor
async def find_nothing(self):
    return False
executor.Executor.sweep = find_nothing
"""
STOCK_IS_RETURNED_TWICE = """
from icecream.catalogue import inventory
def release_twice(lines, stock, release=inventory.release_statements):
    lines = list(lines)
    return release([*lines, *lines], stock)
inventory.release_statements = release_twice
"""


def under_load(
    installation: Installation, seconds: float
) -> tuple[dict[str, Acknowledged], list[str]]:
    """Order from all sides while things are killed; return the acknowledged orders, and faults."""
    new = [
        {"name": "Not counted", "price": 250},
        *({"name": f"Counted {n}", "price": 100 * n, "stock": STOCK} for n in (1, 2, 3)),
    ]
    flavors = [
        installation.shop.http.post("/api/flavors/add/", json=one).json()["id"] for one in new
    ]
    customers = [
        Customer(installation.shop, installation.ports, flavors, SEED + n) for n in range(CUSTOMERS)
    ]
    end = threading.Event()
    with ThreadPoolExecutor(CUSTOMERS + 1) as pool:
        running = [pool.submit(customer.order, end) for customer in customers]
        nemesis = pool.submit(installation.disturb, end)
        time.sleep(seconds)
        end.set()
        nemesis.result()
        for one in running:
            one.result()
    acknowledged = {key: order for one in customers for key, order in one.acknowledged.items()}
    return acknowledged, [fault for one in customers for fault in one.faults]


def read_orders(installation: Installation) -> dict[str, Any]:
    answer = installation.shop._python("-c", READ_ORDERS)
    assert answer.returncode == 0, answer.stdout
    read: dict[str, Any] = json.loads(answer.stdout)
    return read


def find_violations(
    installation: Installation, acknowledged: Mapping[str, Acknowledged], seconds: float
) -> Iterator[str]:
    """Wait until the payments have ended, and yield what is wrong with the orders and the money."""
    if not _end_in_time(installation, seconds):
        yield "payments do not end"
    books = read_orders(installation)
    yield from _missing_orders(books, acknowledged)
    yield from _wrong_money(books, installation)
    doctor = installation.shop.run("doctor")
    if doctor.returncode:
        yield f"doctor: {doctor.stdout}"


def _end_in_time(installation: Installation, seconds: float) -> bool:
    """Wait until all payments have ended; return False when none has ended for this time."""
    fewest, end = math.inf, time.monotonic() + seconds
    while left := sum(one["state"] != "parked" for one in read_orders(installation)["open"]):
        if left < fewest:
            fewest, end = left, time.monotonic() + seconds
        elif time.monotonic() >= end:
            return False
        time.sleep(0.5)
    return True


def _missing_orders(
    books: dict[str, Any], acknowledged: Mapping[str, Acknowledged]
) -> Iterator[str]:
    lines = {line["order"]: line for line in books["lines"]}
    stored = Counter(one["reference"] for one in books["orders"])
    yield from (f"placed twice: {key}" for key, count in stored.items() if count > 1)
    found = {
        one["reference"]: Acknowledged(
            one["id"], one["user"], lines[one["id"]]["flavor"], lines[one["id"]]["quantity"]
        )
        for one in books["orders"]
    }
    for key, order in acknowledged.items():
        if found.get(key) != order:
            yield f"lost: {key} is {found.get(key)} instead of {order}"


def _wrong_money(books: dict[str, Any], installation: Installation) -> Iterator[str]:
    moved, charges = Counter[int](), Counter[int]()
    for one in installation.sandbox.executions():
        if one.result == "succeeded":
            moved[int(one.order)] += one.amount if one.kind == "charge" else -one.amount
            charges[int(one.order)] += one.kind == "charge"
    yield from (f"charged twice: order {order}" for order, n in charges.items() if n > 1)
    parked = {one["order"] for one in books["open"]}
    for one in books["orders"]:
        kept = one["total"] - one["refunded"] if one["status"] in ("paid", "refunded") else 0
        if one["id"] not in parked and moved[one["id"]] != kept:
            yield f"{moved[one['id']]} moved for {one}"


@pytest.mark.timeout(10 * SECONDS + 2 * SECONDS_TO_RECOVER)
def test_nothing_is_lost_and_nobody_is_charged_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with installed(tmp_path, SEED, "") as installation:
        acknowledged, faults = under_load(installation, SECONDS)
        ended = time.monotonic()
        violations = list(find_violations(installation, acknowledged, SECONDS_TO_RECOVER))
        recovery = time.monotonic() - ended
        kills = sum(installation.kills.values())
        with capsys.disabled():
            print(  # noqa: T201
                f"\nSeed {SEED}: {len(acknowledged)} orders in {SECONDS:.0f} s, {kills} "
                f"disturbances ({_as_text(installation.kills)}), checked after {recovery:.0f} s. "
                f"{len(violations)} violations: fewer than 1 order in {len(acknowledged) // 3} is "
                "lost or charged twice (95 %)."
            )
        assert (violations, faults) == ([], [])
        assert kills > SECONDS / 10


def _as_text(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


@pytest.mark.parametrize(
    ("alteration", "violation"),
    [
        pytest.param(A_NEW_KEY_FOR_EACH_TRY, "charged twice", id="a new key for each try"),
        pytest.param(ONLY_NOTIFIED_PAYMENTS, "payments do not end", id="only notified payments"),
        pytest.param(STOCK_IS_RETURNED_TWICE, "doctor: ", id="stock is returned twice"),
    ],
)
@pytest.mark.timeout(2 * SECONDS_TO_RECOVER)
def test_a_planted_bug_is_found(tmp_path: Path, alteration: str, violation: str) -> None:
    with installed(tmp_path, SEED, alteration) as installation:
        acknowledged, _ = under_load(installation, seconds=20)
        violations = list(find_violations(installation, acknowledged, SECONDS_TO_RECOVER / 2))
        assert [one for one in violations if one.startswith(violation)]
