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


@pytest.mark.parametrize("password", ["", "five5", "x" * 129])
async def test_a_password_of_a_wrong_length_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="6 to 128"):
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
    answers = await asyncio.gather(
        *(passwords.hash_password("correct horse") for _ in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in answers].count(errors.Unavailable) == 3
    assert await passwords.hash_password("correct horse")
