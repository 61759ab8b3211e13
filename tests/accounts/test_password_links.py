"""Test the links with which users set a new password."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from icecream import errors
from icecream.accounts import password_links, refresh_tokens, tokens, users
from icecream.tables import PasswordLink, Session, User
from tests.conftest import PASSWORD, new_user

pytestmark = pytest.mark.anyio
NEW = "battery staple"
PAGE = "/set-password/"


async def token_for(user: User) -> str:
    return (await password_links.create_link(user.id, by=None)).address.partition("#")[2]


async def test_a_link_sets_the_password_and_ends_all_sessions(
    client: httpx.AsyncClient, hashed: str
) -> None:
    user = await new_user(hashed)
    await Session.create_session(user.id)
    pair = await refresh_tokens.issue_pair(user)
    link = await password_links.create_link(user.id, by=None)
    page, _, token = link.address.partition("#")
    assert page == f"http://127.0.0.1:8000{PAGE}"
    answer = await client.post(PAGE, data={"token": token, "password": NEW})
    assert (answer.status_code, f"sign in as {user.username} now" in answer.text) == (200, True)
    assert await User.login(user.username, NEW) == user.id
    assert await User.login(user.username, PASSWORD) is None
    assert not await Session.exists().where(Session.user_id == user.id)
    token_of_old = tokens.verify_token(pair.access)
    assert token_of_old and await tokens.find_user(token_of_old) is None


async def test_a_link_works_once(client: httpx.AsyncClient, hashed: str) -> None:
    user = await new_user(hashed)
    token = await token_for(user)
    await password_links.use_link(token, NEW)
    answer = await client.post(PAGE, data={"token": token, "password": "another horse"})
    assert (answer.status_code, "not valid any more" in answer.text) == (410, True)
    assert await User.login(user.username, NEW) == user.id


async def test_two_uses_at_the_same_time_set_one_password(hashed: str) -> None:
    user = await new_user(hashed)
    token = await token_for(user)
    uses = [password_links.use_link(token, f"horse number {n}") for n in range(3)]
    results = await asyncio.gather(*uses, return_exceptions=True)
    assert results.count(user.username) == 1
    others = [one for one in results if one != user.username]
    assert {type(one) for one in others} == {errors.PasswordLinkInvalid}


async def test_a_link_expires(hashed: str) -> None:
    user = await new_user(hashed)
    token = await token_for(user)
    link = await PasswordLink.objects().get(PasswordLink.user == user.id)
    assert link is not None
    lifetime = link.expires_at - datetime.now(UTC)
    assert timedelta(hours=47) < lifetime <= timedelta(hours=48)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await PasswordLink.update({PasswordLink.expires_at: past}).where(
        PasswordLink.digest == link.digest
    )
    with pytest.raises(errors.PasswordLinkInvalid):
        await password_links.use_link(token, NEW)
    # The next link of any account removes the expired ones.
    await token_for(await new_user(hashed))
    assert not await PasswordLink.exists().where(PasswordLink.user == user.id)


async def test_a_newer_link_a_new_password_and_disabling_end_a_link(hashed: str) -> None:
    user = await new_user(hashed)
    older, newer = await token_for(user), await token_for(user)
    with pytest.raises(errors.PasswordLinkInvalid):
        await password_links.use_link(older, NEW)
    await users.set_password(user.id, "my own horse")
    with pytest.raises(errors.PasswordLinkInvalid):
        await password_links.use_link(newer, NEW)
    last = await token_for(user)
    await users.disable_user(user.id)
    await users.enable_user(user.id)
    with pytest.raises(errors.PasswordLinkInvalid):
        await password_links.use_link(last, NEW)
    assert await User.login(user.username, "my own horse") == user.id


async def test_a_link_for_a_shop_ends_when_the_shop_becomes_staff(hashed: str) -> None:
    staff, user = await new_user(hashed, admin=True), await new_user(hashed)
    link = await password_links.create_link(user.id, by=staff)
    await users.edit_user(user.id, {"admin": True}, by=None)
    with pytest.raises(errors.PasswordLinkInvalid):
        await password_links.use_link(link.address.partition("#")[2], NEW)
    assert await User.login(user.username, PASSWORD) == user.id


@pytest.mark.parametrize("password", ["seven77", "x" * 129, "password1", ""])
async def test_a_refused_password_leaves_the_link_valid(
    client: httpx.AsyncClient, hashed: str, password: str
) -> None:
    user = await new_user(hashed)
    token = await token_for(user)
    answer = await client.post(PAGE, data={"token": token, "password": password})
    assert answer.status_code == 400
    assert f'value="{token}"' in answer.text
    # A copy of the whole address works too.
    answer = await client.post(PAGE, data={"token": f" http://x/#{token}\n", "password": NEW})
    assert answer.status_code == 200


async def test_only_a_hash_of_the_token_is_stored(hashed: str) -> None:
    user = await new_user(hashed)
    token = await token_for(user)
    row = await PasswordLink.select().where(PasswordLink.user == user.id).first()
    assert row is not None and token not in str(row)


@pytest.mark.parametrize(
    ("by", "of", "allowed"),
    [
        ({}, {}, False),
        ({"admin": True}, {}, True),
        ({"admin": True}, {"admin": True}, False),
        ({"admin": True}, {"admin": True, "superuser": True}, False),
        ({"admin": True, "superuser": True}, {"admin": True}, True),
        ({"superuser": True}, {}, False),
    ],
)
async def test_who_may_create_a_link_for_whom(
    hashed: str, by: dict[str, bool], of: dict[str, bool], allowed: bool
) -> None:
    creator, user = await new_user(hashed, **by), await new_user(hashed, **of)
    try:
        await password_links.create_link(user.id, by=creator)
    except errors.Forbidden:
        assert not allowed
    assert await PasswordLink.exists().where(PasswordLink.user == user.id) is allowed


async def test_there_is_no_link_for_a_disabled_or_missing_account(hashed: str) -> None:
    user = await new_user(hashed)
    await users.disable_user(user.id)
    with pytest.raises(errors.Forbidden, match="enable it first"):
        await password_links.create_link(user.id, by=None)
    with pytest.raises(errors.NotFound):
        await password_links.create_link(2**31 - 1, by=None)


async def test_attempts_are_limited_and_logged_without_the_token(
    client: httpx.AsyncClient, hashed: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    user = await new_user(hashed)
    token = await token_for(user)
    body = {"token": "guess", "password": NEW}
    answers = [await client.post(PAGE, data=body) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [410] * 10 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    events = [record.message for record in caplog.records if record.name == "icecream.security"]
    assert events.count("password-link-created") == 1
    assert events.count("password-link-refused") == 10
    # The access log has the path of each request, and the token is no part of it.
    assert token not in caplog.text and "guess" not in caplog.text


async def test_the_page_of_another_origin_cannot_send_the_form(
    client: httpx.AsyncClient, hashed: str
) -> None:
    token = await token_for(await new_user(hashed))
    headers = {"Sec-Fetch-Site": "cross-site"}
    body = {"token": token, "password": NEW}
    assert (await client.post(PAGE, data=body, headers=headers)).status_code == 403
    assert (await client.post(PAGE, data=body)).status_code == 200
