"""Test where attempts to sign in are counted."""

from pathlib import Path

import httpx
import pytest
from msgspec import structs

from icecream import settings
from icecream.http import login_counts
from tests import servers
from tests.conftest import PASSWORD, Caller
from tests.http.test_rate_limits import sign_in

# With SQLite there is one process, and no Redis.
pytestmark = [pytest.mark.anyio, pytest.mark.only("postgres")]


async def test_without_redis_each_process_counts_attempts_alone(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = f"redis://127.0.0.1:{servers.free_port()}/0"
    loaded = structs.replace(settings.load(), redis_url=away)
    monkeypatch.setattr(settings, "load", lambda: loaded)
    statuses = [await sign_in(client, "a name without redis") for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    (warning,) = [text for text in caplog.messages if "each process counts" in text]
    assert warning.startswith("Redis is unavailable")


async def test_attempts_are_counted_in_redis_and_end_there(
    client: httpx.AsyncClient,
    customer: Caller,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with servers.redis(tmp_path) as server:
        loaded = structs.replace(settings.load(), redis_url=server.url)
        monkeypatch.setattr(settings, "load", lambda: loaded)
        name = customer.user.username
        # A right password ends the count of its name, and takes itself out of its address's.
        for _ in range(4):
            assert [await sign_in(client, name) for _ in range(3)] == [401] * 3
            assert await sign_in(client, name, PASSWORD) == 200
        # Another process finds the counts.
        await login_counts.close()
        login_counts.in_memory.cache_clear()
        assert [await sign_in(client, name) for _ in range(11)] == [401] * 10 + [429]
        assert [await sign_in(client, f"{name} {n}") for n in range(9)] == [401] * 8 + [429]
        await login_counts.close()
