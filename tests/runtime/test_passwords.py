"""Test the hashing of passwords."""

import asyncio
import threading
from typing import Any

import pytest

from icecream import errors
from icecream.runtime import passwords
from tests.conftest import ITERATIONS

pytestmark = pytest.mark.anyio


async def test_a_password_matches_itself_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ITERATIONS", ITERATIONS)
    stored = await passwords.hashed("correct horse")
    assert stored.startswith("pbkdf2_sha256$600000$")
    assert await passwords.matches("correct horse", stored)
    assert not await passwords.matches("correct horsf", stored)
    assert not await passwords.matches("correct horse", None)
    assert not await passwords.matches(stored, stored)


async def test_nobody_signs_in_where_no_password_is_stored() -> None:
    for guess in ("", "x", "nobody", passwords.NONE):
        assert not await passwords.matches(guess, passwords.NONE)


async def test_the_same_password_is_stored_differently_each_time() -> None:
    assert await passwords.hashed("correct horse") != await passwords.hashed("correct horse")


@pytest.mark.parametrize("password", ["", "five5", "x" * 129])
async def test_a_password_of_a_wrong_length_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="6 to 128"):
        await passwords.hashed(password)


@pytest.mark.parametrize("odd", ["nul\x00byte", "lone \ud800 surrogate", "x" * 5000])
async def test_odd_passwords_match_nothing_and_break_nothing(odd: str) -> None:
    assert not await passwords.matches(odd, await passwords.hashed("correct horse"))


async def test_hashing_happens_in_one_thread_that_is_not_the_event_loops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads, real = [], passwords._hash

    def noted(*args: Any) -> str:
        threads.append(threading.current_thread())
        return real(*args)

    monkeypatch.setattr(passwords, "_hash", noted)
    await asyncio.gather(*(passwords.hashed("correct horse") for _ in range(3)))
    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


async def test_a_full_line_turns_people_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "LINE", 2)
    answers = await asyncio.gather(
        *(passwords.hashed("correct horse") for _ in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in answers].count(errors.Unavailable) == 3
    assert await passwords.hashed("correct horse")
