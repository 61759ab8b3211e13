"""Health checks."""

import httpx
import pytest

from icecream import database, installation

pytestmark = pytest.mark.anyio


async def test_a_process_that_answers_lives(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/live")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_a_migrated_database_is_ready(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "warnings": []})


async def test_a_database_that_lacks_migrations_is_not_ready(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "known_migrations", lambda: ["2099-01-01T00:00:00:000000"])
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "the database lacks migrations")


async def test_a_database_that_is_away_is_not_ready(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> list[str]:
        raise database.Unavailable

    monkeypatch.setattr(installation, "pending", away)
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "the database does not answer")
