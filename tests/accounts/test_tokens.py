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
    past = timedelta(seconds=tokens.GRACE_SECONDS + 1)
    rows = RefreshToken.user == customer.user.id
    for row in await RefreshToken.objects().where(rows):
        row.expires_at -= past
        if row.used_at:
            row.used_at -= past
        await row.save()


async def test_a_refresh_gives_a_new_pair_that_works(
    client: httpx.AsyncClient, customer: Caller
) -> None:
    first = await tokens.first(customer.user)
    for kind in ("json", "data"):
        answer = await client.post("/api/token/refresh/", **{kind: {"refresh": first.refresh}})
        assert answer.status_code == 200
        assert list(answer.json()) == ["access", "refresh"]
        headers = {"Authorization": f"Bearer {answer.json()['access']}"}
        assert (await client.get("/api/orders/", headers=headers)).status_code == 200


async def test_access_tokens_live_for_15_minutes_and_refresh_tokens_for_7_days(
    customer: Caller,
) -> None:
    first = await tokens.first(customer.user)
    for pair in (first, await tokens.refresh(first.refresh)):
        access, refresh = [
            jwt.decode(encoded, options={"verify_signature": False})
            for encoded in (pair.access, pair.refresh)
        ]
        assert access["exp"] - access["iat"] == 15 * 60
        assert refresh["exp"] - refresh["iat"] == 7 * 24 * 60 * 60


async def test_an_access_token_cannot_be_refreshed_and_was_not_used_before(
    customer: Caller,
) -> None:
    first = await tokens.first(customer.user)
    with pytest.raises(errors.InvalidRefreshToken) as refused:
        await tokens.refresh(first.access)
    assert "used before" not in str(refused.value)


async def test_the_first_token_may_be_used_again_and_again_as_with_the_original(
    customer: Caller,
) -> None:
    first, family = await tokens.first(customer.user), set[str]()
    for _ in range(5):
        family.add((await tokens.refresh(first.refresh)).refresh)
        await later(customer)
    assert len(family) == 5
    kept = await RefreshToken.count().where(RefreshToken.user == customer.user.id)
    # The caller's own token, the first one, its newest successor, and the one that ended since.
    # Rows do not pile up.
    assert kept == 4


async def test_a_spent_token_after_its_successor_was_used_revokes_the_family(
    customer: Caller,
) -> None:
    first = await tokens.first(customer.user)
    second = await tokens.refresh(first.refresh)
    third = await tokens.refresh(second.refresh)
    await later(customer)
    for spent in (first, third, second, first):
        with pytest.raises(errors.InvalidRefreshToken):
            await tokens.refresh(spent.refresh)


async def test_two_refreshes_at_the_same_time_give_two_tokens_that_work(customer: Caller) -> None:
    """Two tabs of one page refresh at once, and each continues with its own token."""
    first = await tokens.first(customer.user)
    tabs = await asyncio.gather(*(tokens.refresh(first.refresh) for _ in range(2)))
    for _ in range(2):
        tabs = await asyncio.gather(*(tokens.refresh(pair.refresh) for pair in tabs))
        await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await tokens.refresh(first.refresh)
    # The first token was used after its grace period, so all tokens made from it are revoked.
    for pair in tabs:
        with pytest.raises(errors.InvalidRefreshToken):
            await tokens.refresh(pair.refresh)


async def test_a_token_may_come_again_for_a_moment_after_its_successor_was_used(
    customer: Caller,
) -> None:
    first = await tokens.first(customer.user)
    fast = await tokens.refresh((await tokens.refresh(first.refresh)).refresh)
    slow = await tokens.refresh(first.refresh)
    await later(customer)
    assert {(await tokens.refresh(pair.refresh)).access for pair in (fast, slow)}


async def test_a_token_in_use_goes_on_though_its_parent_came_again(customer: Caller) -> None:
    first = await tokens.first(customer.user)
    second = await tokens.refresh(first.refresh)
    # This answer gets lost. At the same time another tab sends the parent token again.
    await tokens.refresh(second.refresh)
    await tokens.refresh(first.refresh)
    await later(customer)
    assert (await tokens.refresh(second.refresh)).access


@pytest.mark.parametrize("used", [0, 1])
async def test_a_reuse_after_the_grace_revokes_whichever_successor_was_used(
    customer: Caller, used: int
) -> None:
    first = await tokens.first(customer.user)
    pairs = [await tokens.refresh(first.refresh) for _ in range(2)]
    newest = await tokens.refresh(pairs[used].refresh)
    await later(customer)
    for spent in (first, newest):
        with pytest.raises(errors.InvalidRefreshToken):
            await tokens.refresh(spent.refresh)


async def test_a_successor_that_was_replaced_ends_with_the_grace(customer: Caller) -> None:
    first = await tokens.first(customer.user)
    replaced, newest = [await tokens.refresh(first.refresh) for _ in range(2)]
    await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await tokens.refresh(replaced.refresh)
    assert (await tokens.refresh(newest.refresh)).access


async def test_another_family_of_the_same_user_stays(customer: Caller) -> None:
    stolen, other = await tokens.first(customer.user), await tokens.first(customer.user)
    second = await tokens.refresh(stolen.refresh)
    await tokens.refresh(second.refresh)
    await later(customer)
    with pytest.raises(errors.InvalidRefreshToken):
        await tokens.refresh(stolen.refresh)
    assert (await tokens.refresh(other.refresh)).access


async def test_of_a_hundred_at_once_one_successor_stays(customer: Caller) -> None:
    first = await tokens.first(customer.user)
    pairs = await asyncio.gather(*(tokens.refresh(first.refresh) for _ in range(100)))
    await later(customer)
    working = 0
    for pair in pairs:
        try:
            await tokens.refresh(pair.refresh)
        except errors.InvalidRefreshToken:
            continue
        working += 1
    assert working == 1


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 2048, "\u0000", "é"])
async def test_what_is_no_token_is_401(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post("/api/token/refresh/", json={"refresh": token})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-refresh-token")


@pytest.mark.parametrize("body", [{}, {"refresh": ""}, {"refresh": 5}, {"refresh": "x" * 2049}])
async def test_a_bad_refresh_body_is_refused_by_name(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    answer = await client.post("/api/token/refresh/", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/refresh"


async def test_signing_in_again_drops_what_has_expired(customer: Caller) -> None:
    await tokens.first(customer.user)
    long_ago = "2001-01-01 00:00:00+00:00"
    await RefreshToken.update({RefreshToken.expires_at: _time(long_ago)}).where(
        RefreshToken.user == customer.user.id
    )
    await tokens.first(customer.user)
    assert await RefreshToken.count().where(RefreshToken.user == customer.user.id) == 1


def _time(text: str) -> object:
    from datetime import datetime

    return datetime.fromisoformat(text)


def access_token() -> tokens.AccessToken:
    return tokens.AccessToken(exp=datetime.now(UTC) + timedelta(minutes=1), sub="1")


async def test_a_token_is_remembered_for_a_moment_and_never_past_its_end(customer: Caller) -> None:
    memory, token = tokens.Memory(longest=60, room=10), access_token()
    memory.keep("good", token, customer.user, checked=time.monotonic())
    assert memory.find("good") == (token, customer.user)
    assert memory.find("another") is None
    token.exp = datetime.now(UTC)
    assert memory.find("good") is None

    memory.keep("old", access_token(), customer.user, checked=time.monotonic() - 60)
    assert [memory.find("old") for _ in range(2)] == [None, None]


async def test_one_caller_checks_again_while_the_others_go_on(customer: Caller) -> None:
    memory, token = tokens.Memory(longest=60, room=10), access_token()
    memory.keep("good", token, customer.user, checked=time.monotonic() - 40)
    found = [memory.find("good") for _ in range(3)]
    assert found == [None, (token, customer.user), (token, customer.user)]
    memory.drop("good")
    assert memory.find("good") is None


async def test_only_so_many_tokens_are_remembered(customer: Caller) -> None:
    memory = tokens.Memory(longest=60, room=3)
    for name in "abcd":
        memory.keep(name, access_token(), customer.user, checked=time.monotonic())
    assert [name for name in "abcd" if memory.find(name)] == ["b", "c", "d"]


async def test_what_is_forgotten_is_one_users(customer: Caller, stranger: Caller) -> None:
    memory = tokens.Memory(longest=60, room=3)
    memory.keep("mine", access_token(), customer.user, checked=time.monotonic())
    memory.keep("theirs", access_token(), stranger.user, checked=time.monotonic())
    memory.forget(customer.user.id)
    assert memory.find("mine") is None
    assert memory.find("theirs")


async def test_a_check_that_began_before_something_was_forgotten_is_not_remembered(
    customer: Caller,
) -> None:
    memory, began = tokens.Memory(longest=60, room=3), time.monotonic()
    memory.forget(customer.user.id)
    memory.keep("stale", access_token(), customer.user, checked=began - 0.001)
    assert memory.find("stale") is None
    memory.keep("fresh", access_token(), customer.user, checked=time.monotonic())
    assert memory.find("fresh")


async def test_a_change_made_elsewhere_counts_within_a_second(customer: Caller) -> None:
    """Another process makes the change and cannot notify this one."""
    assert (await customer.get("/api/orders/")).status_code == 200
    await User.update({User.active: False}).where(User.id == customer.user.id)
    await asyncio.sleep(1)
    assert (await customer.get("/api/orders/")).status_code == 401
