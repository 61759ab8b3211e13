"""Test sign-in, access tokens and how operators manage accounts."""

from typing import Any

import httpx
import jwt
import pytest

from icecream import errors, settings
from icecream.accounts import refresh_tokens, tokens, users
from icecream.settings import signing_keys
from icecream.tables import Session, User
from tests.conftest import ADMIN_PASSWORD, PASSWORD, Caller, new_user

pytestmark = pytest.mark.anyio
NEW_KEY = "a newer key that only this test uses"


@pytest.mark.parametrize("kind", ["data", "files", "json"])
async def test_signing_in_returns_a_pair_for_any_media_type(
    client: httpx.AsyncClient, kind: str
) -> None:
    fields: dict[str, Any] = {"username": "admin", "password": ADMIN_PASSWORD}
    if kind == "files":
        fields = {name: (None, value) for name, value in fields.items()}
    answer = await client.post("/api/token/", **{kind: fields})
    assert answer.status_code == 200
    assert list(answer.json()) == ["access", "refresh", "expires_in"]
    headers = {"Authorization": f"Bearer {answer.json()['access']}"}
    assert (await client.get("/api/flavors/", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("admin", "wrong password"),
        ("nobody at all", ADMIN_PASSWORD),
        ("ADMIN", ADMIN_PASSWORD),
        ("admin", ADMIN_PASSWORD + " "),
        ("admin' OR 1=1 --", "x"),
        ("admin", "pa\u0000ss"),
    ],
)
async def test_wrong_credentials_are_401_without_details(
    client: httpx.AsyncClient, name: str, password: str
) -> None:
    answer = await client.post("/api/token/", json={"username": name, "password": password})
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers
    assert answer.json()["code"] == "wrong-credentials"
    assert answer.json()["title"] == "No active account has this name and password"
    assert answer.json()["detail"] == "No active account has this name and password."


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"username": "admin"}, "/password"),
        ({"password": "x"}, "/username"),
        ({"username": "", "password": "x"}, "/username"),
        ({"username": "a\x00b", "password": "x"}, "/username"),
        ({"username": "x" * 101, "password": "x"}, "/username"),
        ({"username": "admin", "password": "x" * 129}, "/password"),
        ({"username": ["admin"], "password": "x"}, "/username"),
        ({"username": "admin", "password": {"$ne": 1}}, "/password"),
        ({"username": "admin", "password": "x", "remember": True}, "/remember"),
    ],
)
async def test_an_invalid_sign_in_body_is_refused_with_the_field_name(
    client: httpx.AsyncClient, body: Any, pointer: str
) -> None:
    answer = await client.post("/api/token/", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_disabled_user_cannot_sign_in_or_use_a_token(
    client: httpx.AsyncClient, hashed: str
) -> None:
    user = await new_user(hashed)
    body = {"username": user.username, "password": PASSWORD}
    pair = (await client.post("/api/token/", json=body)).json()
    headers = {"Authorization": f"Bearer {pair['access']}"}
    assert (await client.get("/api/orders/", headers=headers)).status_code == 200
    await users.disable_user(user.id)
    assert (await client.get("/api/orders/", headers=headers)).status_code == 401
    assert (await client.post("/api/token/", json=body)).status_code == 401
    refresh = {"refresh": pair["refresh"]}
    assert (await client.post("/api/token/refresh/", json=refresh)).status_code == 401


async def test_a_new_password_ends_tokens_and_sessions(
    client: httpx.AsyncClient, hashed: str
) -> None:
    user = await new_user(hashed)
    pair = await refresh_tokens.issue_pair(user)
    await Session.create_session(user.id)
    await users.set_password(user.id, "another password")
    headers = {"Authorization": f"Bearer {pair.access}"}
    assert (await client.get("/api/orders/", headers=headers)).status_code == 401
    with pytest.raises(errors.InvalidRefreshToken):
        await refresh_tokens.refresh_pair(pair.refresh)
    assert not await Session.exists().where(Session.user_id == user.id)
    body = {"username": user.username, "password": "another password"}
    assert (await client.post("/api/token/", json=body)).status_code == 200


async def test_refresh_and_access_tokens_are_not_interchangeable(
    client: httpx.AsyncClient, customer: Caller
) -> None:
    pair = await refresh_tokens.issue_pair(customer.user)
    headers = {"Authorization": f"Bearer {pair.refresh}"}
    assert (await client.get("/api/orders/", headers=headers)).status_code == 401
    answer = await client.post("/api/token/refresh/", json={"refresh": pair.access})
    assert answer.status_code == 401


async def test_an_expired_token_is_reported_as_expired(customer: Caller) -> None:
    claims = jwt.decode(customer.access, options={"verify_signature": False})
    key = signing_keys.load_keys(settings.load())[0]
    over = jwt.encode(claims | {"exp": claims["iat"] - 60}, key, algorithm="HS256")
    headers = {"Authorization": f"Bearer {over}"}
    answer = await customer.client.get("/api/orders/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "expired-token")
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="icecream", error="invalid_token", '
        'error_description="The access token has expired"'
    )


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer  ", "Basic {}", "{}", "Token {}"])
async def test_the_challenge_without_a_token_reports_no_error(customer: Caller, value: str) -> None:
    """RFC 6750, 3.1: the challenge has no error code if the request sent no token."""
    headers = {"Authorization": value.format(customer.access)}
    answer = await customer.client.get("/api/orders/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="icecream"'
    assert "POST /api/token/" in answer.json()["detail"]


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  ", "Bearer    "])
async def test_the_scheme_is_case_insensitive_and_may_be_followed_by_several_spaces(
    customer: Caller, scheme: str
) -> None:
    """RFC 9110, 11.4: `auth-scheme [ 1*SP token68 ]`."""
    headers = {"Authorization": f"{scheme}{customer.access}"}
    assert (await customer.client.get("/api/orders/", headers=headers)).status_code == 200


async def test_two_authorization_headers_are_401(customer: Caller) -> None:
    good = ("Authorization", f"Bearer {customer.access}")
    answer = await customer.client.get("/api/orders/", headers=[good, good])
    assert answer.status_code == 401


async def test_an_older_secret_key_is_still_accepted(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = signing_keys.load_keys(settings.load())[0]
    newer = settings.parse_settings(
        {"ICECREAM_SECRET_KEY": NEW_KEY, "ICECREAM_PREVIOUS_SECRET_KEYS": older}
    )
    monkeypatch.setattr(settings, "load", lambda: newer)
    assert (await customer.get("/api/flavors/")).status_code == 200
    tokens.token_cache.forget(customer.user.id)
    forgotten = settings.parse_settings({"ICECREAM_SECRET_KEY": NEW_KEY})
    monkeypatch.setattr(settings, "load", lambda: forgotten)
    assert (await customer.get("/api/flavors/")).status_code == 401


async def test_an_account_needs_a_unique_name_and_a_valid_password(hashed: str) -> None:
    made = await users.create_user("Ada", "eight888", email="ada@example.org", staff=True)
    assert (made.admin, made.superuser, made.active) == (True, False, True)
    with pytest.raises(errors.AccountExists):
        await users.create_user("Ada", "eight888")
    with pytest.raises(errors.AccountExists):
        await users.create_user("Ada's twin", "eight888", email="ada@example.org")
    for name, password in (
        ("", "eight888"),
        ("a\nb", "eight888"),
        ("Bob", "seven77"),
        ("Bob", "x" * 129),
    ):
        with pytest.raises(ValueError, match="must have"):
            await users.create_user(name, password)
    assert (await users.create_user("Eve", "eight888", admin=True)).superuser
    assert await users.find_user_id("Ada") == made.id
    with pytest.raises(errors.NotFound):
        await users.find_user_id("Nobody")
    assert await User.count().where(User.username == "Bob") == 0
