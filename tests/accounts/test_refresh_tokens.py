"""Test the exchange of refresh tokens."""

import asyncio
from datetime import datetime, timedelta

import httpx
import jwt
import pytest

from icecream import errors
from icecream.accounts import refresh_tokens, tokens
from icecream.tables import RefreshToken
from tests.conftest import Caller

pytestmark = pytest.mark.anyio


async def later(customer: Caller) -> None:
    """End the grace period of all tokens of a user."""
    past = timedelta(seconds=refresh_tokens.REUSE_GRACE_SECONDS + 1)
    rows = RefreshToken.user == customer.user.id
    for row in await RefreshToken.objects().where(rows):
        row.expires_at -= past
        if row.used_at:
            row.used_at -= past
        await row.save()


async def test_a_refresh_returns_a_valid_new_pair(
    client: httpx.AsyncClient, customer: Caller
) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    for kind in ("json", "data"):
        answer = await client.post("/api/token/refresh/", **{kind: {"refresh": first.refresh}})
        assert answer.status_code == 200
        assert list(answer.json()) == ["access", "refresh", "expires_in"]
        headers = {"Authorization": f"Bearer {answer.json()['access']}"}
        assert (await client.get("/api/orders/", headers=headers)).status_code == 200


async def test_access_tokens_are_valid_for_15_minutes_and_refresh_tokens_for_7_days(
    customer: Caller,
) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    for pair in (first, await refresh_tokens.refresh_pair(first.refresh)):
        access, refresh = [
            jwt.decode(encoded, options={"verify_signature": False})
            for encoded in (pair.access, pair.refresh)
        ]
        assert access["exp"] - access["iat"] == 15 * 60
        assert refresh["exp"] - refresh["iat"] == 7 * 24 * 60 * 60


async def test_an_access_token_is_not_a_refresh_token(
    customer: Caller,
) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    with pytest.raises(errors.InvalidRefreshToken) as refused:
        await refresh_tokens.refresh_pair(first.access)
    assert "already used" not in str(refused.value)


async def test_the_first_token_may_be_used_repeatedly(
    customer: Caller,
) -> None:
    first, family = await refresh_tokens.issue_pair(customer.user), set[str]()
    for _ in range(5):
        family.add((await refresh_tokens.refresh_pair(first.refresh)).refresh)
        await later(customer)
    assert len(family) == 5
    kept = await RefreshToken.count().where(RefreshToken.user == customer.user.id)
    # The caller's own token, the first one, its newest successor, and the one that ended since.
    # Rows do not pile up.
    assert kept == 4


async def test_a_used_token_revokes_the_family_after_its_successor_was_used(
    customer: Caller,
) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    second = await refresh_tokens.refresh_pair(first.refresh)
    third = await refresh_tokens.refresh_pair(second.refresh)
    await later(customer)
    for spent in (first, third, second, first):
        with pytest.raises(errors.InvalidRefreshToken):
            await refresh_tokens.refresh_pair(spent.refresh)


async def test_two_concurrent_refreshes_return_two_valid_tokens(customer: Caller) -> None:
    """Two tabs of one page refresh at once, and each continues with its own token."""
    first = await refresh_tokens.issue_pair(customer.user)
    tabs = await asyncio.gather(*(refresh_tokens.refresh_pair(first.refresh) for _ in range(2)))
    for _ in range(2):
        tabs = await asyncio.gather(*(refresh_tokens.refresh_pair(pair.refresh) for pair in tabs))
        await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await refresh_tokens.refresh_pair(first.refresh)
    # The first token was used after its grace period, so all tokens made from it are revoked.
    for pair in tabs:
        with pytest.raises(errors.InvalidRefreshToken):
            await refresh_tokens.refresh_pair(pair.refresh)


async def test_a_token_may_be_reused_for_a_moment_after_its_successor_was_used(
    customer: Caller,
) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    fast = await refresh_tokens.refresh_pair(
        (await refresh_tokens.refresh_pair(first.refresh)).refresh
    )
    slow = await refresh_tokens.refresh_pair(first.refresh)
    await later(customer)
    assert {(await refresh_tokens.refresh_pair(pair.refresh)).access for pair in (fast, slow)}


async def test_a_token_in_use_stays_valid_after_its_parent_was_reused(customer: Caller) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    second = await refresh_tokens.refresh_pair(first.refresh)
    # This answer gets lost. At the same time another tab sends the parent token again.
    await refresh_tokens.refresh_pair(second.refresh)
    await refresh_tokens.refresh_pair(first.refresh)
    await later(customer)
    assert (await refresh_tokens.refresh_pair(second.refresh)).access


@pytest.mark.parametrize("used", [0, 1])
async def test_a_reuse_after_the_grace_period_revokes_every_successor(
    customer: Caller, used: int
) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    pairs = [await refresh_tokens.refresh_pair(first.refresh) for _ in range(2)]
    newest = await refresh_tokens.refresh_pair(pairs[used].refresh)
    await later(customer)
    for spent in (first, newest):
        with pytest.raises(errors.InvalidRefreshToken):
            await refresh_tokens.refresh_pair(spent.refresh)


async def test_a_replaced_successor_ends_with_the_grace_period(customer: Caller) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    replaced, newest = [await refresh_tokens.refresh_pair(first.refresh) for _ in range(2)]
    await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await refresh_tokens.refresh_pair(replaced.refresh)
    assert (await refresh_tokens.refresh_pair(newest.refresh)).access


async def test_another_family_of_the_same_user_stays_valid(customer: Caller) -> None:
    stolen, other = (
        await refresh_tokens.issue_pair(customer.user),
        await refresh_tokens.issue_pair(customer.user),
    )
    second = await refresh_tokens.refresh_pair(stolen.refresh)
    await refresh_tokens.refresh_pair(second.refresh)
    await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await refresh_tokens.refresh_pair(stolen.refresh)
    assert (await refresh_tokens.refresh_pair(other.refresh)).access


@pytest.mark.slow
async def test_one_successor_remains_after_a_hundred_concurrent_refreshes(customer: Caller) -> None:
    first = await refresh_tokens.issue_pair(customer.user)
    pairs = await asyncio.gather(*(refresh_tokens.refresh_pair(first.refresh) for _ in range(100)))
    await later(customer)
    working = 0
    for pair in pairs:
        try:
            await refresh_tokens.refresh_pair(pair.refresh)
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
    await refresh_tokens.issue_pair(customer.user)
    long_ago = "2001-01-01 00:00:00+00:00"
    await RefreshToken.update({RefreshToken.expires_at: _time(long_ago)}).where(
        RefreshToken.user == customer.user.id
    )
    await refresh_tokens.issue_pair(customer.user)
    assert await RefreshToken.count().where(RefreshToken.user == customer.user.id) == 1


def _time(text: str) -> object:
    return datetime.fromisoformat(text)


async def test_the_access_tokens_of_a_revoked_family_end_with_it(customer: Caller) -> None:
    first, other = [await refresh_tokens.issue_pair(customer.user) for _ in range(2)]
    second = await refresh_tokens.refresh_pair(first.refresh)
    third = await refresh_tokens.refresh_pair(second.refresh)
    await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await refresh_tokens.refresh_pair(first.refresh)
    users = [await user_of(pair.access) for pair in (first, second, third, other)]
    assert users == [None, None, None, customer.user.id]


async def user_of(access: str) -> int | None:
    token = tokens.verify_token(access)
    assert token is not None
    user = await tokens.find_user(token)
    return user.id if user else None
