"""Test that floods of slow connections and wrong passwords do not stop other callers."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from tests.conftest import ADMIN_PASSWORD, PASSWORD
from tests.http.test_connections import Client
from tests.processes import Shop, stop

# The database makes no difference here.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
CONNECTIONS = 1000
ATTEMPTS = 500
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


@pytest.mark.parametrize("addresses", [1, ATTEMPTS], ids=["one address", "many addresses"])
async def test_wrong_passwords_stop_neither_orders_nor_right_passwords(
    shop: Shop, addresses: int
) -> None:
    made = shop.run("user", "create", "honest", "--password", PASSWORD)
    assert made.returncode == 0, made.stdout
    limits = httpx.Limits(max_connections=ATTEMPTS)
    async with httpx.AsyncClient(
        base_url=shop.http.base_url, headers=shop.http.headers, limits=limits, timeout=60
    ) as caller:

        async def sign_in(name: str, password: str, address: str) -> int:
            body = {"username": name, "password": password}
            headers = {"X-Forwarded-For": address}
            answer = await caller.post("/api/token/", json=body, headers=headers)
            return answer.status_code

        async def order() -> int:
            body = {"quantity": 1, "flavor": 1}
            return (await caller.post("/api/orders/", json=body)).status_code

        senders = [f"198.51.{n % addresses // 250}.{n % addresses % 250}" for n in range(ATTEMPTS)]
        wrong = [sign_in(f"name {n}", "wrong", one) for n, one in enumerate(senders)]
        attack = asyncio.gather(*wrong)
        await asyncio.sleep(0.05)
        others = [order() for _ in range(20)]
        others += [sign_in("honest", PASSWORD, f"192.0.2.{n}") for n in range(3)]
        assert Counter(await asyncio.gather(*others)) == {200: 23}
        assert set(await attack) <= {401, 429, 503}
