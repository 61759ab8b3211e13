"""Test signing in to pages and signing out, and the check of forms."""

import re
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from icecream import app, settings
from icecream.accounts.http import sessions
from icecream.tables import Session, User
from tests.conftest import PASSWORD, new_user

pytestmark = pytest.mark.anyio
HOST = "https://ice.example"


@pytest.fixture
async def visitor(opened: None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.create(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def sign_in(
    client: httpx.AsyncClient, user: User, password: str = PASSWORD, next_page: str = ""
) -> httpx.Response:
    fields = {"username": user.username, "password": password, "next": next_page}
    return await client.post("/sign-in/", data=fields)


async def count_sessions(user: User) -> int:
    count: int = await Session.count().where(Session.user_id == user.id)
    return count


async def test_staff_sign_in_and_return_to_the_page_they_wanted(
    visitor: httpx.AsyncClient, hashed: str
) -> None:
    staff = await new_user(hashed, admin=True)
    away = await visitor.get("/dashboard/?period=7d")
    page = await visitor.get(away.headers["location"])
    wanted = re.search(r'name="next" value="([^"]*)"', page.text)
    assert wanted and wanted[1] == "/dashboard/?period=7d"
    answer = await sign_in(visitor, staff, next_page=wanted[1])
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/?period=7d")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Max-Age=86400" in cookie
    assert staff.username in (await visitor.get("/dashboard/")).text


async def test_a_session_of_the_pages_opens_the_admin_too(
    visitor: httpx.AsyncClient, hashed: str
) -> None:
    await sign_in(visitor, await new_user(hashed, admin=True, superuser=True))
    assert (await visitor.get("/admin/api/user/")).status_code == 200


@pytest.mark.parametrize(
    "place",
    [
        *("//evil.example/", "https://evil.example/", "/\\evil.example", "", "a", "/a b"),
        # A header field cannot have these characters.
        *("/\N{EURO SIGN}", "/a\x00", "/a\r\nSet-Cookie: a=b", "/\x7f"),
    ],
)
async def test_a_sign_in_leads_to_no_other_host(
    visitor: httpx.AsyncClient, hashed: str, place: str
) -> None:
    answer = await sign_in(visitor, await new_user(hashed, admin=True), next_page=place)
    assert answer.headers["location"] == "/dashboard/"


async def test_a_name_that_no_account_can_have_is_refused(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.post("/sign-in/", data={"username": "a\0b", "password": PASSWORD})
    assert answer.status_code == 401


async def test_a_wrong_password_is_said_on_the_page_and_limited(
    visitor: httpx.AsyncClient, hashed: str
) -> None:
    user = await new_user(hashed)
    answer = await sign_in(visitor, user, "not the password")
    assert answer.status_code == 401
    assert "No account has this name and password." in answer.text
    assert "set-cookie" not in answer.headers
    while answer.status_code == 401:
        answer = await sign_in(visitor, user, "not the password")
    assert answer.status_code == 429
    assert "Too many requests" in answer.text
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("body", [b"username=%ff", b"{}", b"", b"username=a&username=b"])
async def test_any_other_body_signs_nobody_in(visitor: httpx.AsyncClient, body: bytes) -> None:
    answer = await visitor.post("/sign-in/", content=body)
    assert answer.status_code in (400, 401)
    assert "set-cookie" not in answer.headers


async def test_signing_out_ends_the_session(visitor: httpx.AsyncClient, hashed: str) -> None:
    staff = await new_user(hashed, admin=True)
    await sign_in(visitor, staff)
    csrf = sessions.csrf_token(visitor.cookies["id"])
    answer = await visitor.post("/sign-out/", data={"csrf": csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert await count_sessions(staff) == 0


@pytest.mark.parametrize("csrf", ["", "x", sessions.csrf_token("another session")])
async def test_a_form_without_the_token_of_the_session_is_refused(
    visitor: httpx.AsyncClient, hashed: str, csrf: str
) -> None:
    staff = await new_user(hashed, admin=True)
    await sign_in(visitor, staff)
    answer = await visitor.post("/sign-out/", data={"csrf": csrf} if csrf else {})
    assert answer.status_code == 403
    assert "Open the page again" in answer.text
    assert await count_sessions(staff) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://ice.example"}, 403),
        ({"Origin": "https://office.example", "Host": "office.example"}, 303),
        ({"Origin": "https://evil.example", "Host": "office.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Origin": HOST}, 303),
    ],
)
async def test_the_page_of_another_origin_cannot_send_a_form(
    monkeypatch: pytest.MonkeyPatch, hashed: str, fields: dict[str, str], status: int
) -> None:
    public = msgspec.structs.replace(settings.load(), public_url=HOST)
    monkeypatch.setattr(settings, "load", lambda: public)
    transport = httpx.ASGITransport(app.create(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=fields) as client:
        answer = await sign_in(client, await new_user(hashed))
        assert answer.status_code == status
        assert ("set-cookie" in answer.headers) is (status == 303)
        if status == 303:
            assert answer.headers["set-cookie"].startswith("__Host-id=")
            assert answer.headers["set-cookie"].endswith("; Secure")
