"""Test the hashing of passwords."""

import asyncio
import threading
from typing import Any

import pytest

from icecream import errors
from icecream.runtime import passwords
from tests.conftest import ITERATIONS

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_a_password_matches_itself_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ITERATIONS", ITERATIONS)
    stored = await passwords.hash_password("correct horse")
    assert stored.startswith("pbkdf2_sha256$600000$")
    assert await passwords.verify_password("correct horse", stored)
    assert not await passwords.verify_password("correct horsf", stored)
    assert not await passwords.verify_password("correct horse", None)
    assert not await passwords.verify_password(stored, stored)


async def test_no_password_matches_without_a_stored_hash() -> None:
    for guess in ("", "x", "nobody", passwords.UNMATCHABLE_HASH):
        assert not await passwords.verify_password(guess, passwords.UNMATCHABLE_HASH)


async def test_equal_passwords_have_different_hashes() -> None:
    assert await passwords.hash_password("correct horse") != await passwords.hash_password(
        "correct horse"
    )


@pytest.mark.parametrize("password", ["", "seven77", "x" * 129])
async def test_a_password_of_a_wrong_length_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="8 to 128"):
        await passwords.hash_password(password)


@pytest.mark.parametrize("password", ["password", "PassWord1", "icecream", "12345678"])
async def test_a_common_password_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="most common"):
        await passwords.hash_password(password)


@pytest.mark.parametrize("odd", ["nul\x00byte", "lone \ud800 surrogate", "x" * 5000])
async def test_unusual_passwords_match_nothing_and_raise_no_error(odd: str) -> None:
    assert not await passwords.verify_password(odd, await passwords.hash_password("correct horse"))


async def test_hashing_runs_in_one_thread_outside_of_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads, real = [], passwords._hash

    def noted(*args: Any) -> str:
        threads.append(threading.current_thread())
        return real(*args)

    monkeypatch.setattr(passwords, "_hash", noted)
    await asyncio.gather(*(passwords.hash_password("correct horse") for _ in range(3)))
    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


async def test_a_full_queue_refuses_sign_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 2)
    # Requests of earlier tests ran in this task.
    passwords.client.set(None)
    answers = await asyncio.gather(
        *(passwords.hash_password("correct horse") for _ in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in answers].count(errors.Unavailable) == 3
    assert await passwords.hash_password("correct horse")


async def verify_as(client: passwords.Client | None, done: list[passwords.Client | None]) -> None:
    passwords.client.set(client)
    await passwords.verify_password("wrong", None)
    done.append(client)


async def test_clients_with_failures_come_last_and_get_half_of_the_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 6)
    monkeypatch.setattr(passwords, "MAX_WAITING_WITH_FAILURES", 3)
    failing = [passwords.Client(f"192.0.2.{n}", has_failed=True) for n in range(5)]
    others = [passwords.Client(f"198.51.100.{n}", has_failed=False) for n in range(2)]
    done = list[passwords.Client | None]()
    work = [verify_as(client, done) for client in [*failing, *others, None]]
    answers = await asyncio.gather(*map(asyncio.create_task, work), return_exceptions=True)
    refused = [type(answer) for answer in answers if answer is not None]
    assert refused == [errors.Unavailable] * 2
    # The first one found the thread free.
    assert done == [failing[0], *others, None, failing[1], failing[2]]


async def test_a_client_has_a_share_of_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (passwords.Client(f"192.0.2.{n}", has_failed=False) for n in range(2))
    done = list[passwords.Client | None]()
    work = [verify_as(client, done) for client in [one] * 8 + [other]]
    answers = await asyncio.gather(*map(asyncio.create_task, work), return_exceptions=True)
    refused = [type(answer) for answer in answers if answer is not None]
    assert refused == [errors.QuotaExceeded] * 3
    assert done.count(one) == passwords.MAX_WAITING_PER_CLIENT
    assert other in done


async def test_a_client_that_leaves_the_queue_keeps_no_place() -> None:
    done = list[passwords.Client | None]()
    for _ in range(3):
        tasks = [asyncio.create_task(verify_as(None, done)) for _ in range(4)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert done == []
    assert not passwords._queue._places
    await verify_as(None, done)
    assert done == [None]
