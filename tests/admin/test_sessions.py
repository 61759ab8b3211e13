"""Test the sessions of the admin: their cookies, their end, and the CSRF token."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from starlette.routing import Mount

from icecream import app, settings, tables
from icecream.accounts import users
from icecream.accounts.http import sessions
from icecream.admin import site
from icecream.database import CONSTRAINT_VIOLATIONS
from icecream.tables import Session, User
from tests.conftest import PASSWORD, ignore_notification, new_user

pytestmark = [
    pytest.mark.anyio,
    # pytest resets the warning filters that icecream.admin sets.
    pytest.mark.filterwarnings("ignore:If running sessions in production"),
    pytest.mark.filterwarnings("ignore:.*SQLite doesn't support ILIKE"),
]
# About cookies and header fields: the database has no effect, and many build an application.
once = pytest.mark.only("sqlite")
HOST = "https://ice.example"
LOGIN = "/admin/public/login/"
USER = "/admin/api/user/"


@pytest.fixture(scope="module")
def whole(opened: None) -> Any:
    return app.create()


@pytest.fixture
async def staff(hashed: str) -> User:
    return await new_user(hashed, admin=True)


def browser(whole: Any, base_url: str = "http://test", **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(whole, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)


def set_csrf_header(client: httpx.AsyncClient) -> None:
    """Do what the page does: copy the CSRF cookie into the header field."""
    client.headers["X-CSRFToken"] = client.cookies["csrftoken"]


async def sign_in(client: httpx.AsyncClient, user: User) -> httpx.Response:
    await client.get(USER)
    set_csrf_header(client)
    answer = await client.post(LOGIN, json={"username": user.username, "password": PASSWORD})
    if answer.status_code == 200:
        set_csrf_header(client)
    return answer


async def move(user: User, column: Any, **ago: float) -> None:
    """Let a time of the sessions of this user be in the past."""
    then = datetime.now(UTC).replace(tzinfo=None) - timedelta(**ago)
    await Session.update({column: then}).where(Session.user_id == user.id)


async def test_only_the_hash_of_a_token_is_stored(whole: Any, staff: User) -> None:
    async with browser(whole) as client:
        await sign_in(client, staff)
        (row,) = await Session.select(Session.token).where(Session.user_id == staff.id)
        assert row["token"] == Session.hash_token(client.cookies["id"])
        client.cookies.set("id", row["token"])
        assert (await client.get(USER)).status_code == 401


async def test_signing_in_again_ends_the_session_of_this_browser_only(
    whole: Any, staff: User
) -> None:
    async with browser(whole) as one, browser(whole) as other:
        await sign_in(other, staff)
        await sign_in(one, staff)
        older = one.cookies["id"]
        assert (await sign_in(one, staff)).status_code == 200
        assert await Session.get_user_id(older) is None
        assert await Session.count().where(Session.user_id == staff.id) == 2
        assert (await other.get(USER)).status_code == 200


async def test_a_failed_sign_in_keeps_the_session(whole: Any, staff: User) -> None:
    async with browser(whole) as client:
        await sign_in(client, staff)
        answer = await client.post(LOGIN, json={"username": staff.username, "password": "wrong"})
        assert answer.status_code == 401
        assert (await client.get(USER)).status_code == 200


@once
@pytest.mark.parametrize("prefix", ["", "/ice"])
async def test_with_https_a_cookie_cannot_come_from_another_host_or_path(
    staff: User, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    public = msgspec.structs.replace(settings.load(), public_url=HOST + prefix)
    monkeypatch.setattr(settings, "load", lambda: public)
    async with browser(app.create(), HOST + prefix, Origin=HOST) as client:
        answer = await sign_in(client, staff)
        session, csrf = answer.headers.get_list("set-cookie")
        name = "__Secure-id" if prefix else "__Host-id"
        assert re.fullmatch(
            rf"{name}=[\w-]{{43}}; Path={prefix or '/'}; "
            "HttpOnly; Max-Age=86400; SameSite=lax; Secure",
            session,
        )
        assert re.fullmatch(
            rf"csrftoken=[0-9a-f]{{64}}; Path={prefix or '/'}; SameSite=lax; Secure", csrf
        )
        assert (await client.get(USER)).status_code == 200
        assert (await client.get("/dashboard/")).status_code == 200
        token = client.cookies[name]
        ended = (await client.post("/admin/public/logout/")).headers["set-cookie"]
        assert f"{name}=" in ended and "Max-Age=0" in ended and "Secure" in ended
    # Another host of the same domain can set a cookie with the plain name.
    async with browser(app.create(), HOST + prefix, Cookie=f"id={token}") as client:
        assert (await client.get(USER)).status_code == 401


@once
async def test_the_csrf_cookie_ends_with_the_browser(whole: Any) -> None:
    async with browser(whole) as client:
        cookie = (await client.get(USER)).headers["set-cookie"]
        assert "csrftoken=" in cookie
        assert "max-age" not in cookie.lower() and "expires" not in cookie.lower()


def unsafe_routes(routes: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the method and the path of every route of Piccolo's that may write."""
    for route in routes:
        here = path + route.path
        if isinstance(route, Mount):
            mounted: Any = route.app
            while not hasattr(mounted, "routes"):
                mounted = getattr(mounted, "app", None)
                if mounted is None:
                    break
            else:
                yield from unsafe_routes(mounted.routes, here)
                continue
        for method in getattr(route, "methods", None) or {"POST"}:
            if method not in site.SAFE_METHODS:
                yield method, re.sub(r"\{[^}]*\}", "1", here)


@once
async def test_every_unsafe_request_needs_the_csrf_token_of_its_own_session(
    whole: Any, staff: User
) -> None:
    piccolo = site._build("test", https=False, notify=ignore_notification)
    routes = {
        (method, path)
        for method, path in unsafe_routes(piccolo.routes)
        if not f"/admin{path}".startswith(site.DOCS_PATHS)
    }
    paths = {path for _, path in routes}
    assert {"/public/login", "/public/logout/", "/api/forms/1/", "/api/tables/users/1/"} <= paths
    other = sessions.csrf_token("the token of another session")
    async with browser(whole) as client:
        await sign_in(client, staff)
        for token in (None, "", other):
            client.headers.pop("X-CSRFToken", None)
            if token is not None:
                # Double submission of a token that an attacker knows.
                client.cookies.set("csrftoken", token, "test.local", "/")
                client.headers["X-CSRFToken"] = token
            for method, path in routes:
                answer = await client.request(method, f"/admin{path}", json={})
                assert (answer.status_code, "CSRF" in answer.text) == (403, True), (method, path)
        assert (await client.get(USER)).status_code == 200


@once
async def test_the_dashboard_only_reads() -> None:
    routes = [route for route in app.litestar().routes if route.path.startswith("/dashboard")]
    methods = {method for route in routes for method in getattr(route, "methods", ())}
    assert routes and methods <= set(site.SAFE_METHODS)


@once
@pytest.mark.parametrize("kind", ["cross-site", "same-site"])
async def test_a_page_of_another_origin_cannot_sign_in(whole: Any, staff: User, kind: str) -> None:
    async with browser(whole) as client:
        client.headers["Sec-Fetch-Site"] = kind
        assert (await sign_in(client, staff)).status_code == 403
        client.headers["Sec-Fetch-Site"] = "same-origin"
        assert (await sign_in(client, staff)).status_code == 200


@once
async def test_with_https_the_origin_is_checked(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = msgspec.structs.replace(settings.load(), public_url=HOST)
    monkeypatch.setattr(settings, "load", lambda: public)
    async with browser(app.create(), HOST) as client:
        for origin, status in (("https://evil.example", 403), (HOST, 200)):
            client.headers["Origin"] = origin
            assert (await sign_in(client, staff)).status_code == status


async def test_a_session_ends_after_its_idle_time(whole: Any, staff: User) -> None:
    async with browser(whole) as client:
        await sign_in(client, staff)
        await move(staff, Session.expiry_date, seconds=1)
        assert (await client.get(USER)).status_code == 401


async def test_a_use_begins_the_idle_time_again_but_not_the_lifetime(
    whole: Any, staff: User
) -> None:
    async with browser(whole) as client:
        await sign_in(client, staff)

        async def end() -> datetime:
            rows = await Session.select(Session.expiry_date).where(Session.user_id == staff.id)
            result: datetime = rows[0]["expiry_date"]
            return result

        begun = await end()
        await client.get(USER)
        # Not written again so soon.
        assert await end() == begun
        await move(staff, Session.expiry_date, minutes=-30)
        await client.get(USER)
        assert await end() >= begun
        await move(staff, Session.expiry_date, minutes=-20)
        await move(staff, Session.max_expiry_date, minutes=-30)
        await client.get(USER)
        (row,) = await Session.select().where(Session.user_id == staff.id)
        assert row["expiry_date"] == row["max_expiry_date"] < begun


async def test_a_sign_in_deletes_all_expired_sessions(staff: User, hashed: str) -> None:
    other = await new_user(hashed, admin=True)
    await Session.create_session(other.id)
    await move(other, Session.expiry_date, seconds=1)
    await Session.create_session(staff.id)
    assert not await Session.exists().where(Session.user_id == other.id)
    assert await Session.exists().where(Session.user_id == staff.id)


async def test_two_sessions_cannot_have_the_same_token(staff: User) -> None:
    made = await Session.create_session(staff.id)
    copy = Session(token=Session.hash_token(made.token), user_id=staff.id)
    with pytest.raises(CONSTRAINT_VIOLATIONS):
        await copy.save()


async def test_a_session_is_not_found_for_a_disabled_account(staff: User) -> None:
    token = (await Session.create_session(staff.id)).token
    assert await users.find_session_user(token) is not None
    await User.update({User.active: False}).where(User.id == staff.id)
    assert await users.find_session_user(token) is None
    assert tables.SESSION_IDLE_TIME < tables.SESSION_LIFETIME
