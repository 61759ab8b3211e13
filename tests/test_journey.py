"""Test the whole way of an order with real processes and real HTTP, in both modes."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests import client_program, servers
from tests.conftest import ADMIN_PASSWORD, WHICH
from tests.processes import Process, Shop, until

CLIENTS, ORDERS = 20, 200


@pytest.fixture
def shop(tmp_path: Path, empty_database: str) -> Iterator[Shop]:
    """Yield a shop with only SQLite, or with PostgreSQL and its own Redis."""
    with ExitStack() as stack:
        redis = {}
        if WHICH == "postgres":
            url = stack.enter_context(servers.redis(tmp_path / "redis")).url
            redis = {"ICECREAM_REDIS_URL": url}
        yield stack.enter_context(Shop(tmp_path / "shop", empty_database, **redis))


def opened(shop: Shop) -> Process:
    """Start all processes; return the one that charges payments."""
    if WHICH == "sqlite":
        return shop.serve()
    assert shop.run("migrate").returncode == 0
    processes = [shop.begin(command) for command in ("serve", "worker")]
    shop.ready(*processes)
    return processes[-1]


def test_orders_of_a_new_customer_are_paid(shop: Shop) -> None:
    # The delay is long enough to see pending orders.
    shop.environment |= {"ICECREAM_PAYMENT_DELAY": "1", "ICECREAM_PAYMENT_TIMEOUT": "1.5"}
    opened(shop)
    pair = shop.sign_in("admin", ADMIN_PASSWORD)
    assert list(pair) == ["access", "refresh", "expires_in"]

    added = shop.http.post("/api/flavors/add/", data={"name": "Choclate"})
    assert added.status_code == 201
    choclate = added.json()
    assert (choclate["id"], choclate["name"], choclate["price"]) == (2, "Choclate", 250)
    vanilla, listed = shop.http.get("/api/flavors/").json()
    assert (vanilla["id"], vanilla["name"], listed) == (1, "Vanilla", choclate)

    for number, answer in enumerate(
        (
            shop.http.post("/api/orders/", data={"quantity": 2, "flavor": 2}),
            shop.http.post("/api/orders/", files={"quantity": (None, "1"), "flavor": (None, "2")}),
            shop.http.post("/api/orders/", json={"quantity": 3, "flavor": 1}),
        ),
        start=1,
    ):
        assert answer.status_code == 200
        assert list(answer.json().items()) == [("status", "Order placed"), ("order_id", number)]

    listed = shop.http.get("/api/orders/").json()
    assert [list(order)[:6] for order in listed] == [
        ["id", "quantity", "status", "created_at", "user", "flavor"]
    ] * 3
    assert [order["status"] for order in listed] == ["pending"] * 3
    assert [(order["id"], order["quantity"], order["flavor"]) for order in listed] == [
        (1, 2, 2),
        (2, 1, 2),
        (3, 3, 1),
    ]
    assert {order["user"] for order in listed} == {1}
    moment = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
    assert all(moment.fullmatch(order["created_at"]) for order in listed)

    assert set(shop.all_ended()) <= {"paid", "failed"}
    ended = shop.http.get("/api/my-orders/").json()
    assert [order | {"status": "pending"} for order in ended] == listed
    assert shop.http.get("/api/stats/").json() == [
        {"flavor__name": "Choclate", "total_qty_ordered": 3},
        {"flavor__name": "Vanilla", "total_qty_ordered": 3},
    ]

    for _ in range(2):
        again = shop.http.post("/api/token/refresh/", data={"refresh": pair["refresh"]})
        assert list(again.json()) == ["access", "refresh", "expires_in"]
        shop.http.headers["Authorization"] = f"Bearer {again.json()['access']}"
        assert shop.http.get("/api/orders/").json() == ended
    assert "every rule holds" in shop.run("doctor").stdout


def test_a_program_with_the_python_client_orders_and_refunds(shop: Shop) -> None:
    shop.environment["ICECREAM_PAYMENT_FAILURE_RATE"] = "0"
    opened(shop)
    client_program.run(str(shop.http.base_url), ADMIN_PASSWORD)


def test_all_orders_settle_once_when_the_worker_is_killed(
    shop: Shop,
) -> None:
    shop.environment["ICECREAM_PAYMENT_DELAY"] = "0.5-0.9"
    charging = opened(shop)
    shop.sign_in("admin", ADMIN_PASSWORD)
    acknowledged: set[int] = set()
    some, lock = threading.Event(), threading.Lock()

    def client(_: int) -> None:
        with httpx.Client(base_url=shop.http.base_url, headers=shop.http.headers) as http:
            for _ in range(ORDERS // CLIENTS):
                order = until(lambda: _placed(http), "an order is acknowledged")
                with lock:
                    acknowledged.add(order)
                if len(acknowledged) > ORDERS // 4:
                    some.set()

    def kill_and_start_again() -> None:
        assert some.wait(20)
        until(lambda: len(shop.http.get("/api/payments/?state=sent").json()) > 9, "some in flight")
        charging.kill()
        if WHICH == "sqlite":
            shop.serve()
        else:
            shop.ready(shop.begin("worker"), shop.begin("worker"))

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        killer = pool.submit(kill_and_start_again)
        for done in pool.map(client, range(CLIENTS)):
            assert done is None
        killer.result()
    assert len(acknowledged) == ORDERS

    assert set(shop.all_ended()) == {"paid", "failed"}
    books = shop.books()
    orders = {order["id"]: order["status"] for order in books["orders"]}
    assert acknowledged <= set(orders)
    if WHICH == "postgres":
        # The server was not killed, so every order that was written was also acknowledged.
        assert acknowledged == set(orders)
    settled = {"paid": "succeeded", "failed": "declined"}
    assert sorted((one["order"], one["state"]) for one in books["payments"]) == sorted(
        (order, settled[status]) for order, status in orders.items()
    )
    assert books["jobs"] == []
    # Some payments were in flight when their worker was killed, and were retried.
    assert max(one["tries"] for one in books["payments"]) > 1


def _placed(http: httpx.Client) -> int | None:
    """Place an order; return its id, or None while the server is away."""
    try:
        answer = http.post("/api/orders/", json={"quantity": 1, "flavor": 1})
    except httpx.TransportError:
        return None
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["order_id"]
    return number
