"""Test the caller's own account: who it is, its password, and signing out."""

import httpx
import pytest

from icecream.accounts import refresh_tokens
from icecream.tables import Session, User
from tests.conftest import PASSWORD, Caller, new_user

pytestmark = pytest.mark.anyio
NEW = "battery staple"


async def change(caller: Caller, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    return await caller.post("/api/me/password/", json=body)


def bearer(access: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access}"}


async def works(client: httpx.AsyncClient, pair: refresh_tokens.Pair) -> bool:
    """Return whether an access token is accepted."""
    answer = await client.get("/api/me/", headers=bearer(pair.access))
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


@pytest.mark.parametrize(
    ("flags", "roles"),
    [
        ({}, []),
        ({"admin": True}, ["staff"]),
        ({"admin": True, "superuser": True}, ["staff", "admin"]),
        # Piccolo allows this combination; it gives no rights.
        ({"superuser": True}, []),
    ],
)
async def test_an_account_is_shown_with_its_roles_and_no_secrets(
    client: httpx.AsyncClient, hashed: str, flags: dict[str, bool], roles: list[str]
) -> None:
    user = await new_user(hashed, payment_method="pm_secret", **flags)
    pair = await refresh_tokens.issue_pair(user)
    answer = await client.get("/api/me/", headers=bearer(pair.access))
    assert answer.json() == {
        "id": user.id,
        "username": user.username,
        "email": None,
        "roles": roles,
    }


async def test_a_new_password_ends_every_other_token_and_every_session(customer: Caller) -> None:
    other = await refresh_tokens.issue_pair(customer.user)
    await Session.create_session(customer.user.id)
    answer = await change(customer)
    assert answer.status_code == 200
    assert not await works(customer.client, other)
    assert (await customer.get("/api/me/")).status_code == 401
    refresh = {"refresh": other.refresh}
    assert (await customer.post("/api/token/refresh/", json=refresh)).status_code == 401
    assert not await Session.exists().where(Session.user_id == customer.user.id)
    pair = refresh_tokens.Pair(**answer.json())
    assert await works(customer.client, pair)
    refresh = {"refresh": pair.refresh}
    assert (await customer.client.post("/api/token/refresh/", json=refresh)).status_code == 200
    for password, status in ((PASSWORD, 401), (NEW, 200)):
        body = {"username": customer.user.username, "password": password}
        assert (await customer.client.post("/api/token/", json=body)).status_code == status


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        ("wrong horse", NEW, "current_password"),
        ("", NEW, "current_password"),
        (PASSWORD, "seven77", "new_password"),
        (PASSWORD, "x" * 129, "new_password"),
        (PASSWORD, "password1", "new_password"),
    ],
)
async def test_a_refused_password_changes_nothing(
    customer: Caller, current: str, new: str, field: str
) -> None:
    answer = await change(customer, current, new)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert (await customer.get("/api/me/")).status_code == 200
    assert await User.exists().where(User.password == customer.user.password)


async def test_guesses_of_the_current_password_are_limited_like_sign_ins(customer: Caller) -> None:
    answers = [(await change(customer, "wrong horse")).status_code for _ in range(11)]
    assert answers == [400] * 10 + [429]
    body = {"username": customer.user.username, "password": PASSWORD}
    assert (await customer.client.post("/api/token/", json=body)).status_code == 429


@pytest.mark.parametrize("kind", ["access", "refresh"])
async def test_a_token_ends_its_own_sign_in_only(customer: Caller, kind: str) -> None:
    ended = await refresh_tokens.issue_pair(customer.user)
    assert await works(customer.client, ended)
    body = {"refresh": getattr(ended, kind)}
    answer = await customer.client.post("/api/token/revoke/", data=body)
    assert (answer.status_code, answer.json()) == (200, {"status": "Signed out"})
    assert not await works(customer.client, ended)
    refresh = {"refresh": ended.refresh}
    assert (await customer.client.post("/api/token/refresh/", json=refresh)).status_code == 401
    assert (await customer.get("/api/me/")).status_code == 200


async def test_all_sign_ins_of_the_account_can_be_ended(customer: Caller, stranger: Caller) -> None:
    one, other = [await refresh_tokens.issue_pair(customer.user) for _ in range(2)]
    await Session.create_session(customer.user.id)
    body = {"refresh": one.refresh, "all": True}
    assert (await customer.client.post("/api/token/revoke/", json=body)).status_code == 200
    assert not await works(customer.client, one)
    assert not await works(customer.client, other)
    assert not await Session.exists().where(Session.user_id == customer.user.id)
    assert (await stranger.get("/api/me/")).status_code == 200
    # An ended token cannot end the sign-ins that began after it.
    newer = await refresh_tokens.issue_pair(customer.user)
    assert (await customer.client.post("/api/token/revoke/", json=body)).status_code == 401
    assert await works(customer.client, newer)


@pytest.mark.parametrize("token", ["x", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "a.b.c"])
async def test_an_unknown_token_counts_as_ended(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post("/api/token/revoke/", json={"refresh": token})
    assert answer.status_code == 200
