"""Test that many buyers in two processes get all of a small stock, and no more than that."""

import asyncio
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import ADMIN_PASSWORD, WHICH
from tests.processes import ROOT, Shop

pytestmark = pytest.mark.anyio
BUYERS, STOCK = 200, 20
# The program of half of the buyers, who all order at once. They use a server, or the application in
# their own process, which shares the database with the server.
BUYING = """
import asyncio, json, sys
import httpx
from icecream import app, database
address, flavor, buyers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
headers = {"Authorization": f"Bearer {sys.argv[4]}"}
async def buy(http):
    order = {"flavor": flavor, "quantity": 1}
    answer = await http.post("/api/orders/", json=order, headers=headers)
    return [answer.status_code, answer.json().get("lines")]
async def main():
    transport = None if address else httpx.ASGITransport(app.create())
    limits = httpx.Limits(max_connections=64)
    async with database.open_pool(), httpx.AsyncClient(
        transport=transport, base_url=address or "http://test", limits=limits, timeout=60
    ) as http:
        print(json.dumps(await asyncio.gather(*(buy(http) for _ in range(buyers)))))
asyncio.run(main())
"""
LEFT_AND_SOLD = """
    SELECT (SELECT stock FROM flavor WHERE id = 2) + COALESCE(sum(l.quantity), 0)
    FROM order_line l JOIN orders o ON o.id = l."order"
    WHERE l.flavor = 2 AND o.status NOT IN ('failed', 'canceled')
"""


@asynccontextmanager
async def sampling(database_url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Yield a function that returns how much is left and sold together at that time."""
    if WHICH == "sqlite":
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=30)

        async def read() -> int:
            ((found,),) = connection.execute(LEFT_AND_SOLD).fetchall()
            return int(found)

        yield read
        connection.close()
    else:
        session = await asyncpg.connect(database_url)

        async def ask() -> int:
            return int(await session.fetchval(LEFT_AND_SOLD))

        yield ask
        await session.close()


async def buying(shop: Shop, address: str, token: str) -> list[tuple[int, object]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BUYING, address, "2", str(BUYERS // 2), token),
        cwd=ROOT,
        env=shop.environment | {"ICECREAM_RATE_LIMIT": "1000000/minute"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return [(status, lines) for status, lines in json.loads(output)]


@pytest.mark.parametrize("failure_rate", ["0", "0.5"])
async def test_the_whole_stock_is_sold_and_no_more(
    tmp_path: Path, empty_database: str, failure_rate: str
) -> None:
    settings = {"ICECREAM_PAYMENT_FAILURE_RATE": failure_rate}
    with (
        Shop(tmp_path / "one", empty_database, **settings) as shop,
        Shop(tmp_path / "two", empty_database, **settings) as other,
    ):
        assert shop.run("migrate").returncode == 0
        shop.serve()
        token = shop.sign_in("admin", ADMIN_PASSWORD)["access"]
        new = {"name": "Scarce", "price": 100, "stock": STOCK}
        assert shop.http.post("/api/flavors/add/", json=new).json()["id"] == 2
        addresses = [str(shop.http.base_url), ""]
        if WHICH == "postgres":
            other.serve()
            shop.worker()
            addresses[1] = str(other.http.base_url)
        samples = set()
        async with sampling(empty_database) as sample:
            sold = asyncio.gather(*(buying(shop, address, token) for address in addresses))
            while not sold.done():
                samples.add(await sample())
                await asyncio.sleep(0.02)
            answers = [answer for part in await sold for answer in part]
            await asyncio.to_thread(shop.all_ended)
            samples.add(await sample())
        assert samples == {STOCK}
        statuses = Counter(status for status, _ in answers)
        assert set(statuses) == {200, 409}
        assert sum(statuses.values()) == BUYERS
        assert all(
            lines == [{"flavor": 2, "quantity": 1, "available": 0}]
            for status, lines in answers
            if status == 409
        )
        # Stock that a declined payment releases may be sold again.
        assert statuses[200] == STOCK if failure_rate == "0" else statuses[200] >= STOCK
        assert len(shop.books()["orders"]) == statuses[200]
