"""Test the exchange of refresh tokens."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest

from icecream import errors
from icecream.accounts import tokens
from icecream.tables import RefreshToken, User
from tests.conftest import Caller

pytestmark = pytest.mark.anyio


async def later(customer: Caller) -> None:
    """End the grace period of all tokens of a user."""
    past = timedelta(seconds=tokens.REUSE_GRACE_SECONDS + 1)
    rows = RefreshToken.user == customer.user.id
    for row in await RefreshToken.objects().where(rows):
        row.expires_at -= past
        if row.used_at:
            row.used_at -= past
        await row.save()


async def test_a_refresh_returns_a_valid_new_pair(
    client: httpx.AsyncClient, customer: Caller
) -> None:
    first = await tokens.issue_pair(customer.user)
    for kind in ("json", "data"):
        answer = await client.post("/api/token/refresh/", **{kind: {"refresh": first.refresh}})
        assert answer.status_code == 200
        assert list(answer.json()) == ["access", "refresh"]
        headers = {"Authorization": f"Bearer {answer.json()['access']}"}
        assert (await client.get("/api/orders/", headers=headers)).status_code == 200


async def test_access_tokens_are_valid_for_15_minutes_and_refresh_tokens_for_7_days(
    customer: Caller,
) -> None:
    first = await tokens.issue_pair(customer.user)
    for pair in (first, await tokens.refresh_pair(first.refresh)):
        access, refresh = [
            jwt.decode(encoded, options={"verify_signature": False})
            for encoded in (pair.access, pair.refresh)
        ]
        assert access["exp"] - access["iat"] == 15 * 60
        assert refresh["exp"] - refresh["iat"] == 7 * 24 * 60 * 60


async def test_an_access_token_is_not_a_refresh_token(
    customer: Caller,
) -> None:
    first = await tokens.issue_pair(customer.user)
    with pytest.raises(errors.InvalidRefreshToken) as refused:
        await tokens.refresh_pair(first.access)
    assert "already used" not in str(refused.value)


async def test_the_first_token_may_be_used_repeatedly(
    customer: Caller,
) -> None:
    first, family = await tokens.issue_pair(customer.user), set[str]()
    for _ in range(5):
        family.add((await tokens.refresh_pair(first.refresh)).refresh)
        await later(customer)
    assert len(family) == 5
    kept = await RefreshToken.count().where(RefreshToken.user == customer.user.id)
    # The caller's own token, the first one, its newest successor, and the one that ended since.
    # Rows do not pile up.
    assert kept == 4


async def test_a_used_token_revokes_the_family_after_its_successor_was_used(
    customer: Caller,
) -> None:
    first = await tokens.issue_pair(customer.user)
    second = await tokens.refresh_pair(first.refresh)
    third = await tokens.refresh_pair(second.refresh)
    await later(customer)
    for spent in (first, third, second, first):
        with pytest.raises(errors.InvalidRefreshToken):
            await tokens.refresh_pair(spent.refresh)


async def test_two_concurrent_refreshes_return_two_valid_tokens(customer: Caller) -> None:
    """Two tabs of one page refresh at once, and each continues with its own token."""
    first = await tokens.issue_pair(customer.user)
    tabs = await asyncio.gather(*(tokens.refresh_pair(first.refresh) for _ in range(2)))
    for _ in range(2):
        tabs = await asyncio.gather(*(tokens.refresh_pair(pair.refresh) for pair in tabs))
        await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await tokens.refresh_pair(first.refresh)
    # The first token was used after its grace period, so all tokens made from it are revoked.
    for pair in tabs:
        with pytest.raises(errors.InvalidRefreshToken):
            await tokens.refresh_pair(pair.refresh)


async def test_a_token_may_be_reused_for_a_moment_after_its_successor_was_used(
    customer: Caller,
) -> None:
    first = await tokens.issue_pair(customer.user)
    fast = await tokens.refresh_pair((await tokens.refresh_pair(first.refresh)).refresh)
    slow = await tokens.refresh_pair(first.refresh)
    await later(customer)
    assert {(await tokens.refresh_pair(pair.refresh)).access for pair in (fast, slow)}


async def test_a_token_in_use_stays_valid_after_its_parent_was_reused(customer: Caller) -> None:
    first = await tokens.issue_pair(customer.user)
    second = await tokens.refresh_pair(first.refresh)
    # This answer gets lost. At the same time another tab sends the parent token again.
    await tokens.refresh_pair(second.refresh)
    await tokens.refresh_pair(first.refresh)
    await later(customer)
    assert (await tokens.refresh_pair(second.refresh)).access


@pytest.mark.parametrize("used", [0, 1])
async def test_a_reuse_after_the_grace_period_revokes_every_successor(
    customer: Caller, used: int
) -> None:
    first = await tokens.issue_pair(customer.user)
    pairs = [await tokens.refresh_pair(first.refresh) for _ in range(2)]
    newest = await tokens.refresh_pair(pairs[used].refresh)
    await later(customer)
    for spent in (first, newest):
        with pytest.raises(errors.InvalidRefreshToken):
            await tokens.refresh_pair(spent.refresh)


async def test_a_replaced_successor_ends_with_the_grace_period(customer: Caller) -> None:
    first = await tokens.issue_pair(customer.user)
    replaced, newest = [await tokens.refresh_pair(first.refresh) for _ in range(2)]
    await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await tokens.refresh_pair(replaced.refresh)
    assert (await tokens.refresh_pair(newest.refresh)).access


async def test_another_family_of_the_same_user_stays_valid(customer: Caller) -> None:
    stolen, other = await tokens.issue_pair(customer.user), await tokens.issue_pair(customer.user)
    second = await tokens.refresh_pair(stolen.refresh)
    await tokens.refresh_pair(second.refresh)
    await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await tokens.refresh_pair(stolen.refresh)
    assert (await tokens.refresh_pair(other.refresh)).access


@pytest.mark.slow
async def test_one_successor_remains_after_a_hundred_concurrent_refreshes(customer: Caller) -> None:
    first = await tokens.issue_pair(customer.user)
    pairs = await asyncio.gather(*(tokens.refresh_pair(first.refresh) for _ in range(100)))
    await later(customer)
    working = 0
    for pair in pairs:
        try:
            await tokens.refresh_pair(pair.refresh)
        except errors.InvalidRefreshToken:
            continue
        working += 1
    assert working == 1


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 2048, "\u0000", "é"])
async def test_an_invalid_token_is_401(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post("/api/token/refresh/", json={"refresh": token})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-refresh-token")


@pytest.mark.parametrize("body", [{}, {"refresh": ""}, {"refresh": 5}, {"refresh": "x" * 2049}])
async def test_an_invalid_refresh_body_is_refused_with_the_field_name(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    answer = await client.post("/api/token/refresh/", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/refresh"


async def test_signing_in_deletes_expired_tokens(customer: Caller) -> None:
    await tokens.issue_pair(customer.user)
    long_ago = "2001-01-01 00:00:00+00:00"
    await RefreshToken.update({RefreshToken.expires_at: _time(long_ago)}).where(
        RefreshToken.user == customer.user.id
    )
    await tokens.issue_pair(customer.user)
    assert await RefreshToken.count().where(RefreshToken.user == customer.user.id) == 1


def _time(text: str) -> object:
    from datetime import datetime

    return datetime.fromisoformat(text)


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
