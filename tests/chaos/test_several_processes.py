"""Test two server processes on one database, and misbehaving callers; SQLite has one process."""

import asyncio
import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.conftest import ADMIN_PASSWORD, FOLDER, WHICH
from tests.processes import Shop, stop, until

pytestmark = pytest.mark.anyio
# No caller reaches the rate limit, and every charge succeeds.
SETTINGS = {"ICECREAM_RATE_LIMIT": "1000000/minute", "ICECREAM_PAYMENT_FAILURE_RATE": "0"}
STOCK = 10_000


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[list[Shop]]:
    """Shops in which the caller is signed in as admin."""
    folder = tmp_path_factory.mktemp("shops")
    with (
        Shop(folder / "one", database_url, **SETTINGS) as one,
        Shop(folder / "two", database_url, **SETTINGS) as two,
    ):
        shops = [one] if WHICH == "sqlite" else [one, two]
        assert one.run("migrate").returncode == 0
        for shop in shops:
            shop.serve()
            shop.sign_in("admin", ADMIN_PASSWORD)
        yield shops


@pytest.fixture
async def callers(shops: Sequence[Shop]) -> Any:
    """One client for each shop, which can make many calls at once."""
    limits = httpx.Limits(max_connections=64)
    callers = [
        httpx.AsyncClient(
            base_url=shop.http.base_url, headers=shop.http.headers, limits=limits, timeout=60
        )
        for shop in shops
    ]
    yield callers
    for caller in callers:
        await caller.aclose()


async def test_two_hundred_requests_with_one_key_are_one_order_in_all_processes(
    callers: Sequence[httpx.AsyncClient], shops: Sequence[Shop]
) -> None:
    before = len(shops[0].http.get("/api/orders/").json())
    call: dict[str, Any] = {
        "json": {"lines": [{"flavor": 1, "quantity": 2}]},
        "headers": {"Idempotency-Key": "storm"},
    }
    answers = await asyncio.gather(
        *(callers[n % len(callers)].post("/api/orders/", **call) for n in range(200))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(shops[0].http.get("/api/orders/").json()) == before + 1


async def twice_at_once(
    callers: Sequence[httpx.AsyncClient], path: str, body: dict[str, Any], key: str
) -> list[tuple[int, bool]]:
    """Send a request with this key to all processes at once.

    Returns:
        The status of each answer, and whether the answer is a replay.
    """
    call: dict[str, Any] = {"json": body, "headers": {"Idempotency-Key": key}}
    senders = callers if len(callers) > 1 else [*callers, *callers]
    answers = await asyncio.gather(*(caller.post(path, **call) for caller in senders))
    return sorted((one.status_code, "idempotent-replayed" in one.headers) for one in answers)


async def test_two_concurrent_refreshes_of_one_token_return_two_valid_pairs(
    callers: Sequence[httpx.AsyncClient],
) -> None:
    senders = callers if len(callers) > 1 else [*callers, *callers]
    name = {"username": "admin", "password": ADMIN_PASSWORD}
    pair = (await callers[0].post("/api/token/", json=name)).json()
    for _ in range(5):
        spent = {"refresh": pair["refresh"]}
        tabs = await asyncio.gather(
            *(caller.post("/api/token/refresh/", json=spent) for caller in senders)
        )
        assert [tab.status_code for tab in tabs] == [200, 200]
        for tab in tabs:
            headers = {"Authorization": f"Bearer {tab.json()['access']}"}
            assert (await callers[0].get("/api/orders/", headers=headers)).status_code == 200
            again = await callers[0].post(
                "/api/token/refresh/", json={"refresh": tab.json()["refresh"]}
            )
            assert again.status_code == 200
        pair = again.json()


@pytest.mark.parametrize("end", ["password", "disable", "revoke"])
async def test_ended_tokens_end_in_every_process_within_a_second(
    callers: Sequence[httpx.AsyncClient], shops: Sequence[Shop], end: str
) -> None:
    password = "a password of one customer"
    assert shops[0].run("user", "create", end, "--password", password).returncode == 0
    pair = (
        await callers[0].post("/api/token/", json={"username": end, "password": password})
    ).json()
    headers = {"Authorization": f"Bearer {pair['access']}"}

    async def statuses() -> set[int]:
        return {(await caller.get("/api/me/", headers=headers)).status_code for caller in callers}

    # Every process has the token in its cache now.
    assert await statuses() == {200}
    if end == "password":
        body = {"current_password": password, "new_password": "another password"}
        answer = await callers[0].post("/api/me/password/", json=body, headers=headers)
        assert answer.status_code == 200
    elif end == "revoke":
        body = {"refresh": pair["refresh"]}
        assert (await callers[0].post("/api/token/revoke/", json=body)).status_code == 200
    else:
        assert shops[0].run("user", "disable", end).returncode == 0
    await asyncio.sleep(1)
    assert await statuses() == {401}
    refresh = {"refresh": pair["refresh"]}
    for caller in callers:
        assert (await caller.post("/api/token/refresh/", json=refresh)).status_code == 401


@pytest.mark.slow
async def test_a_signing_key_is_replaced_without_signing_anyone_out(
    tmp_path: Path, empty_database: str
) -> None:
    """The steps of docs/security.md; in each, processes of the step before may still run."""
    older, newer = (f"the {one} key that only this test uses" for one in ("old", "new"))
    steps = [
        {"ICECREAM_SECRET_KEY": older},
        {"ICECREAM_SECRET_KEY": older, "ICECREAM_PREVIOUS_SECRET_KEYS": newer},
        {"ICECREAM_SECRET_KEY": newer, "ICECREAM_PREVIOUS_SECRET_KEYS": older},
        {"ICECREAM_SECRET_KEY": newer},
    ]
    pair: dict[str, str] = {}
    for step, keys in enumerate([*steps, *steps[-2::-1]]):
        with Shop(tmp_path / f"{step}", empty_database, **SETTINGS, **keys) as shop:
            assert shop.run("migrate").returncode == 0
            server = shop.serve()
            pair = pair or shop.sign_in("admin", ADMIN_PASSWORD)
            headers = {"Authorization": f"Bearer {pair['access']}"}
            assert shop.http.get("/api/me/", headers=headers).status_code == 200
            answer = shop.http.post("/api/token/refresh/", json={"refresh": pair["refresh"]})
            assert answer.status_code == 200
            pair = answer.json()
            stop(server)


async def test_two_orders_of_the_last_stock_with_one_key_are_one_order_and_a_replay(
    callers: Sequence[httpx.AsyncClient], shops: Sequence[Shop]
) -> None:
    for n in range(30):
        new = {"name": f"Last one {n}", "stock": 1}
        flavor = shops[0].http.post("/api/flavors/add/", json=new).json()["id"]
        body = {"flavor": flavor, "quantity": 1}
        answers = await twice_at_once(callers, "/api/orders/", body, f"last-{n}")
        assert answers == [(200, False), (200, True)]


async def new_flavor(caller: httpx.AsyncClient, name: str, stock: int) -> int:
    new = {"name": name, "stock": stock}
    number: int = (await caller.post("/api/flavors/add/", json=new)).json()["id"]
    return number


async def stock_of(caller: httpx.AsyncClient, flavor: int) -> int:
    left: int = (await caller.get(f"/api/flavors/{flavor}/")).json()["stock"]
    return left


async def test_two_hundred_orders_of_the_last_stock_with_one_key_are_one_order(
    callers: Sequence[httpx.AsyncClient],
) -> None:
    flavor = await new_flavor(callers[0], "The last five", 5)
    call: dict[str, Any] = {
        "json": {"flavor": flavor, "quantity": 5},
        "headers": {"Idempotency-Key": "last-five"},
    }
    answers = await asyncio.gather(
        *(callers[n % len(callers)].post("/api/orders/", **call) for n in range(200))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert await stock_of(callers[0], flavor) == 0


async def test_of_two_hundred_orders_only_the_stock_is_sold(
    callers: Sequence[httpx.AsyncClient],
) -> None:
    flavor = await new_flavor(callers[0], "Fifty units", 50)
    body = {"flavor": flavor, "quantity": 1}
    answers = await asyncio.gather(
        *(callers[n % len(callers)].post("/api/orders/", json=body) for n in range(200))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 50, 409: 150}
    assert await stock_of(callers[0], flavor) == 0


async def test_a_hundred_refreshes_of_one_token_all_get_valid_tokens(
    callers: Sequence[httpx.AsyncClient],
) -> None:
    name = {"username": "admin", "password": ADMIN_PASSWORD}
    pair = (await callers[0].post("/api/token/", json=name)).json()
    spent = {"refresh": pair["refresh"]}
    answers = await asyncio.gather(
        *(callers[n % len(callers)].post("/api/token/refresh/", json=spent) for n in range(100))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh"] for answer in answers}) == 100
    for answer in answers:
        headers = {"Authorization": f"Bearer {answer.json()['access']}"}
        assert (await callers[-1].get("/api/flavors/", headers=headers)).status_code == 200


async def test_canceling_paying_and_refunding_at_once_agree(
    callers: Sequence[httpx.AsyncClient], shops: Sequence[Shop]
) -> None:
    """Each order gets all three at any time of its payment; a worker carries payments out."""
    chance, shop = Random(1208), shops[0]
    worker = None if WHICH == "sqlite" else shop.worker()
    flavor = await new_flavor(callers[0], "Wanted and unwanted", STOCK)

    async def act(order: int, what: str) -> int:
        await asyncio.sleep(chance.uniform(0, 0.3))
        body = {"reason": "a test"} if what == "refund" else None
        caller = chance.choice(callers)
        return (await caller.post(f"/api/orders/{order}/{what}/", json=body)).status_code

    placed = [shop.order(flavor=flavor) for _ in range(40)]
    calls = [act(order, what) for order in placed for what in ("cancel", "pay", "refund") * 2]
    chance.shuffle(calls)
    answers = Counter(await asyncio.gather(*calls))
    assert set(answers) <= {200, 202, 409}
    left = {"pending", "refunding"}
    until(lambda: not left & set(shop.statuses()), "all payments end")
    # A refunded order keeps its units; the stock of a canceled one is for sale again.
    statuses = {one["id"]: one["status"] for one in shop.http.get("/api/orders/").json()}
    ends = Counter(statuses[order] for order in placed)
    assert set(ends) <= {"canceled", "paid", "refunded"}
    assert await stock_of(callers[0], flavor) == STOCK - ends["paid"] - ends["refunded"]
    shop.books()
    if worker:
        stop(worker)


async def test_two_refunds_with_one_key_are_one_refund_and_a_replay(
    callers: Sequence[httpx.AsyncClient], shops: Sequence[Shop]
) -> None:
    shop = shops[0]
    placed = [shop.order() for _ in range(10)]
    worker = None if WHICH == "sqlite" else shop.worker()
    shop.all_ended()
    for order in placed:
        path, body = f"/api/orders/{order}/refund/", {"amount": 10, "reason": "melted"}
        answers = await twice_at_once(callers, path, body, f"refund-{order}")
        assert answers == [(202, False), (202, True)]
    if worker:
        stop(worker)


def deadlocks() -> int:
    """Return the number of deadlocks in PostgreSQL's log in all tests so far; retries hide them."""
    return 0 if WHICH == "sqlite" else (FOLDER / "pg/postgres.log").read_text().count("deadlock")


async def test_orders_of_many_flavors_in_any_sequence_never_deadlock(
    callers: Sequence[httpx.AsyncClient], shops: Sequence[Shop]
) -> None:
    """Order, edit and receive flavors at the same time; half of them have counted stock."""
    chance, before = Random(1207), deadlocks()
    new = [{"name": f"Flavor {n}", "stock": STOCK if n % 2 else None} for n in range(8)]
    flavors = [shops[0].http.post("/api/flavors/add/", json=one).json()["id"] for one in new]

    async def order(caller: httpx.AsyncClient) -> int:
        some = chance.sample(flavors, 5)
        lines = [{"flavor": flavor, "quantity": 1} for flavor in some]
        return (await caller.post("/api/orders/", json={"lines": lines})).status_code

    async def edit(caller: httpx.AsyncClient, price: int) -> int:
        path = f"/api/flavors/{chance.choice(flavors)}"
        return (await caller.patch(path, json={"price": price})).status_code

    async def receive(caller: httpx.AsyncClient) -> int:
        path = f"/api/flavors/{chance.choice(flavors[1::2])}/stock"
        return (await caller.post(path, json={"quantity": 1, "reason": "more"})).status_code

    calls: list[Any] = [order(caller) for caller in callers for _ in range(200)]
    calls += [edit(caller, price) for caller in callers for price in range(1, 16)]
    calls += [receive(caller) for caller in callers for _ in range(15)]
    chance.shuffle(calls)
    assert Counter(await asyncio.gather(*calls)) == {200: len(calls)}
    assert deadlocks() == before
    shops[0].books()


async def test_a_disconnect_does_not_affect_other_callers(
    callers: Sequence[httpx.AsyncClient], shops: Sequence[Shop]
) -> None:
    before = len(shops[0].http.get("/api/orders/").json())
    order = {"flavor": 1, "quantity": 1}

    def hang_up(caller: httpx.AsyncClient) -> None:
        body = json.dumps(order).encode()
        head = (
            f"POST /api/orders/ HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            f"Authorization: {caller.headers['Authorization']}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((caller.base_url.host, caller.base_url.port or 0)) as line:
            line.sendall(head.encode() + body)

    async def call(n: int, caller: httpx.AsyncClient) -> int:
        if n % 3 == 0:
            await asyncio.to_thread(hang_up, caller)
            return 0
        return (await caller.post("/api/orders/", json=order)).status_code

    answers = await asyncio.gather(*(call(n, caller) for caller in callers for n in range(60)))
    assert Counter(answers) == {0: 20 * len(callers), 200: 40 * len(callers)}
    after = len(shops[0].http.get("/api/orders/").json())
    assert before + 40 * len(callers) <= after <= before + 60 * len(callers)
    shops[0].books()


@pytest.mark.only("postgres")
async def test_a_revoked_token_is_invalid_within_a_second_in_every_process(
    shops: Sequence[Shop], callers: Sequence[httpx.AsyncClient]
) -> None:
    """A command makes the change: it is a third process and cannot notify the servers."""

    async def statuses(token: str) -> list[int]:
        headers = {"Authorization": f"Bearer {token}"}
        return [
            (await caller.get("/api/flavors/", headers=headers)).status_code for caller in callers
        ]

    def run(*commands: str) -> None:
        words = [command.split() for command in commands]
        assert [one.returncode for one in shops[0].run_all(words)] == [0, 0]

    run("user create ann --password first-word", "user create bob --password first-word")
    tokens = []
    for name in ("ann", "bob"):
        who = {"username": name, "password": "first-word"}
        tokens.append((await callers[0].post("/api/token/", data=who)).json()["access"])

    busy = asyncio.create_task(_ask_on(callers, tokens))
    await asyncio.to_thread(run, "user password ann --password second-word", "user disable bob")
    await asyncio.sleep(1)
    busy.cancel()
    assert [await statuses(token) for token in tokens] == [[401, 401]] * 2
    who = {"username": "ann", "password": "second-word"}
    again = (await callers[1].post("/api/token/", data=who)).json()["access"]
    assert await statuses(again) == [200, 200]


async def _ask_on(callers: Sequence[httpx.AsyncClient], tokens: Sequence[str]) -> None:
    """Call with these tokens again and again, so that all processes remember them."""
    while True:
        for token in tokens:
            for caller in callers:
                await caller.get("/api/stats/", headers={"Authorization": f"Bearer {token}"})


async def test_a_stopping_server_finishes_accepted_requests(
    shops: Sequence[Shop], callers: Sequence[httpx.AsyncClient]
) -> None:
    """This test is the last in this file, because it stops the servers."""
    before = {one["id"] for one in shops[0].books()["orders"]}
    calls = [
        asyncio.create_task(caller.post("/api/orders/", json={"flavor": 1, "quantity": 1}))
        for caller in callers
        for _ in range(300)
    ]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    servers = [next(one for one in shop.processes if one.words[0] == "serve") for shop in shops]
    for server in servers:
        server.signal(signal.SIGTERM)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    placed = [one for one in answers if isinstance(one, httpx.Response) and one.status_code == 200]
    for server in servers:
        assert await asyncio.to_thread(server.wait) == 0
    orders = {one["id"] for one in shops[0].books()["orders"]} - before
    assert {one.json()["order_id"] for one in placed} == orders
    assert 0 < len(placed) < len(answers)
