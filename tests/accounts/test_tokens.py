"""Test the cache of access tokens."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from icecream.accounts import tokens
from icecream.tables import User
from tests.conftest import Caller

pytestmark = pytest.mark.anyio


def access_token() -> tokens.AccessToken:
    return tokens.AccessToken(exp=datetime.now(UTC) + timedelta(minutes=1), sub="1")


async def test_a_token_is_cached_for_a_moment_and_never_past_its_expiry(customer: Caller) -> None:
    cache, token = tokens.TokenCache(max_age_seconds=60, max_tokens=10), access_token()
    cache.store("good", token, customer.user, checked_at=time.monotonic())
    assert cache.find("good") == (token, customer.user)
    assert cache.find("another") is None
    token.exp = datetime.now(UTC)
    assert cache.find("good") is None

    cache.store("old", access_token(), customer.user, checked_at=time.monotonic() - 60)
    assert [cache.find("old") for _ in range(2)] == [None, None]


async def test_one_caller_checks_again_while_the_others_use_the_cache(customer: Caller) -> None:
    cache, token = tokens.TokenCache(max_age_seconds=60, max_tokens=10), access_token()
    cache.store("good", token, customer.user, checked_at=time.monotonic() - 40)
    found = [cache.find("good") for _ in range(3)]
    assert found == [None, (token, customer.user), (token, customer.user)]
    cache.remove("good")
    assert cache.find("good") is None


class Checks:
    """Full checks that end when the test says so."""

    def __init__(self, user: User) -> None:
        self.user, self.count, self.may_end = user, 0, asyncio.Event()

    async def verify(self) -> tuple[tokens.AccessToken, User]:
        self.count += 1
        await self.may_end.wait()
        return access_token(), self.user


async def test_calls_at_the_same_time_share_one_check(customer: Caller) -> None:
    cache, checks = tokens.TokenCache(max_age_seconds=60, max_tokens=3), Checks(customer.user)
    calls = [asyncio.create_task(cache.check("good", checks.verify)) for _ in range(5)]
    await asyncio.sleep(0)
    # The end of one caller does not end the check of the others.
    calls.pop(0).cancel()
    checks.may_end.set()
    assert [user for _, user in await asyncio.gather(*calls)] == [customer.user] * 4
    assert checks.count == 1
    assert cache.find("good") is not None
    assert not cache._checks


@pytest.mark.parametrize("max_age_seconds", [0.0, 60.0])
async def test_a_check_from_before_a_revocation_is_not_shared(
    customer: Caller, max_age_seconds: float
) -> None:
    """Nor is one that is older than a token may be cached."""
    cache = tokens.TokenCache(max_age_seconds=max_age_seconds, max_tokens=3)
    checks = Checks(customer.user)
    first = asyncio.create_task(cache.check("good", checks.verify))
    await asyncio.sleep(0.001)
    if max_age_seconds:
        cache.forget(customer.user.id)
    second = asyncio.create_task(cache.check("good", checks.verify))
    await asyncio.sleep(0)
    checks.may_end.set()
    await asyncio.gather(first, second)
    assert checks.count == 2


async def test_a_failed_check_fails_its_callers_and_is_not_cached(customer: Caller) -> None:
    async def refuse() -> tuple[tokens.AccessToken, User]:
        raise ValueError

    cache = tokens.TokenCache(max_age_seconds=60, max_tokens=3)
    calls = (cache.check("bad", refuse) for _ in range(2))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    assert cache.find("bad") is None


async def test_the_number_of_cached_tokens_is_limited(customer: Caller) -> None:
    cache = tokens.TokenCache(max_age_seconds=60, max_tokens=3)
    for name in "abcd":
        cache.store(name, access_token(), customer.user, checked_at=time.monotonic())
    assert [name for name in "abcd" if cache.find(name)] == ["b", "c", "d"]


async def test_only_the_tokens_of_one_user_are_removed_from_the_cache(
    customer: Caller, stranger: Caller
) -> None:
    cache = tokens.TokenCache(max_age_seconds=60, max_tokens=3)
    cache.store("mine", access_token(), customer.user, checked_at=time.monotonic())
    cache.store("theirs", access_token(), stranger.user, checked_at=time.monotonic())
    cache.forget(customer.user.id)
    assert cache.find("mine") is None
    assert cache.find("theirs")


async def test_a_check_that_began_before_a_removal_is_not_cached(
    customer: Caller,
) -> None:
    cache, began = tokens.TokenCache(max_age_seconds=60, max_tokens=3), time.monotonic()
    cache.forget(customer.user.id)
    cache.store("stale", access_token(), customer.user, checked_at=began - 0.001)
    assert cache.find("stale") is None
    cache.store("fresh", access_token(), customer.user, checked_at=time.monotonic())
    assert cache.find("fresh")


async def test_a_change_in_another_process_takes_effect_within_a_second(customer: Caller) -> None:
    """Another process makes the change and cannot notify this one."""
    assert (await customer.get("/api/orders/")).status_code == 200
    await User.update({User.active: False}).where(User.id == customer.user.id)
    await asyncio.sleep(1)
    assert (await customer.get("/api/orders/")).status_code == 401
