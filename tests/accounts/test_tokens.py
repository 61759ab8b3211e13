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
