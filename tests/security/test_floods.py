"""Test that floods of slow connections and wrong passwords do not stop other callers."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.conftest import ADMIN_PASSWORD, PASSWORD
from tests.http.test_connections import Client
from tests.processes import Shop, stop

# The database makes no difference here.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
CONNECTIONS = 1000
ATTEMPTS = 500
# The attempts before the other callers; the server checks five a second.
FIRST_ATTEMPTS = 25
SETTINGS = {"ICECREAM_TRUSTED_PROXIES": "127.0.0.1", "ICECREAM_RATE_LIMIT": "100000/minute"}
BEGINNINGS = (
    b"",
    b"GET / HTTP/1.1\r\nHost: ice\r\nX: ",
    b"POST /api/token/ HTTP/1.1\r\nHost: ice\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{",
    b"GET /health/live HTTP/1.1\r\nHost: ice\r\n\r\n",
)


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with Shop(folder, "sqlite:///icecream.sqlite", **SETTINGS) as shop:
        shop.serve()
        shop.sign_in("admin", ADMIN_PASSWORD)
        yield shop


def test_a_thousand_slow_connections_stop_neither_requests_nor_the_end(shop: Shop) -> None:
    """They send nothing, a part of a head, a part of a body, or one request and then nothing."""
    with ExitStack() as stack:
        for n in range(CONNECTIONS):
            client = stack.enter_context(closing(Client(shop.port)))
            client.socket.sendall(BEGINNINGS[n % len(BEGINNINGS)])
        for _ in range(5):
            assert shop.http.get("/api/flavors/").status_code == 200
            assert shop.order() > 0
        assert shop.sign_in("admin", ADMIN_PASSWORD)
        shop.all_ended()
        stop(*shop.processes)
    assert "ERROR" not in shop.processes[0].output


@pytest.mark.parametrize("addresses", [1, ATTEMPTS], ids=["one address", "many addresses"])
async def test_wrong_passwords_stop_neither_orders_nor_right_passwords(
    shop: Shop, addresses: int
) -> None:
    made = shop.run("user", "create", "honest", "--password", PASSWORD)
    assert made.returncode == 0, made.stdout

    async def post(path: str, body: dict[str, Any], header: str) -> int:
        # Not httpx: with 500 connections, its pool takes longer than the server.
        content = json.dumps(body)
        head = f"Host: ice\r\n{header}\r\nContent-Type: application/json\r\nConnection: close"
        call = f"POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {len(content)}\r\n\r\n{content}"
        async with asyncio.timeout(100):
            reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
            with closing(writer):
                writer.write(call.encode())
                return int((await reader.read()).split()[1])

    async def sign_in(name: str, password: str, address: str) -> int:
        body = {"username": name, "password": password}
        return await post("/api/token/", body, f"X-Forwarded-For: {address}")

    async def order() -> int:
        token = shop.http.headers["Authorization"]
        return await post("/api/orders/", {"quantity": 1, "flavor": 1}, f"Authorization: {token}")

    senders = [f"198.51.{n % addresses // 250}.{n % addresses % 250}" for n in range(ATTEMPTS)]
    wrong = [sign_in(f"name {n}", "wrong", one) for n, one in enumerate(senders)]
    first = asyncio.gather(*wrong[:FIRST_ATTEMPTS])
    await asyncio.sleep(0.05)
    others = [order() for _ in range(20)]
    others += [sign_in("honest", PASSWORD, f"192.0.2.{n}") for n in range(3)]
    honest = asyncio.gather(*others)
    await asyncio.sleep(0.05)
    last = asyncio.gather(*wrong[FIRST_ATTEMPTS:])
    assert Counter(await honest) == {200: 23}
    assert {*await first, *await last} <= {401, 429, 503}
