"""Test the history of changes: who changed which field of a flavor or an account, and when."""

import asyncio
from typing import Any

import httpx
import pytest

from icecream import errors
from icecream.accounts import users
from icecream.accounts.http import sessions
from icecream.tables import Change, Session, User
from tests.conftest import PASSWORD, Caller, new_flavor, new_user

pytestmark = [
    pytest.mark.anyio,
    # pytest resets the warning filters that icecream.admin sets.
    pytest.mark.filterwarnings("ignore:If running sessions in production"),
    pytest.mark.filterwarnings("ignore:.*SQLite doesn't support ILIKE"),
]
TABLES = "/admin/api/tables"


@pytest.fixture
async def boss(hashed: str) -> User:
    return await new_user(hashed, admin=True, superuser=True)


@pytest.fixture
async def admin(client: httpx.AsyncClient, boss: User) -> Caller:
    """An admin whose requests carry a session of the admin instead of a token."""

    class Browser(Caller):
        async def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
            headers = {"X-CSRFToken": sessions.csrf_token(token), "Cookie": f"id={token}"}
            return await self.client.request(method, path, headers=headers, **kwargs)

    token = (await Session.create_session(boss.id)).token
    return Browser(client, boss, "")


async def history(subject: str, row: int) -> list[tuple[str, str | None, str | None, int | None]]:
    """Return the field, both values and the user of each change."""
    columns = (Change.field, Change.before, Change.after, Change.by)
    is_this = (Change.subject == subject, Change.row == row)
    return [
        tuple(change.values())
        for change in await Change.select(*columns).where(*is_this).order_by(Change.id)
    ]


async def test_an_edit_over_the_api_is_recorded(staff: Caller) -> None:
    body = {"name": "Pistachio", "price": 300}
    flavor = (await staff.post("/api/flavors/add/", body)).json()["id"]
    by = staff.user.id
    assert await history("flavor", flavor) == [
        ("price", None, "300", by),
        ("name", None, "Pistachio", by),
    ]
    edit = {"price": 350, "name": "Pistachio", "archived": True}
    assert (await staff.request("PATCH", f"/api/flavors/{flavor}/", json=edit)).status_code == 200
    assert (await history("flavor", flavor))[2:] == [
        ("price", "300", "350", by),
        ("archived", "false", "true", by),
    ]


async def test_an_edit_in_the_admin_is_recorded(admin: Caller) -> None:
    flavor, by = await new_flavor(), admin.user.id
    answer = await admin.request("PATCH", f"{TABLES}/flavor/{flavor}/", json={"price": "0.07"})
    assert answer.status_code == 200
    assert await history("flavor", flavor) == [("price", "250", "7", by)]
    new = {"name": "Plum", "price": "0.01", "description": "", "archived": True}
    added = (await admin.post(f"{TABLES}/flavor/", new)).json()[0]["id"]
    assert ("archived", None, "true", by) in await history("flavor", added)


async def test_changes_of_an_account_are_recorded_without_secrets(
    admin: Caller, customer: Caller
) -> None:
    user, by = customer.user.id, admin.user.id
    edit = {"admin": True, "password": "a new password", "payment_method": f"pm_{user}h"}
    answer = await admin.request("PATCH", f"{TABLES}/users/{user}/", json=edit)
    assert answer.status_code == 200
    assert sorted(await history("user", user)) == [
        ("admin", "false", "true", by),
        ("password", None, None, by),
        ("payment_method", None, None, by),
    ]


async def test_a_new_account_is_recorded_with_its_roles(admin: Caller) -> None:
    new = {"username": "Zoe", "password": PASSWORD, "admin": True, "superuser": True}
    user = (await admin.post(f"{TABLES}/users/", new)).json()["id"]
    changes = await history("user", user)
    assert ("superuser", None, "true", admin.user.id) in changes
    assert PASSWORD not in str(changes) and "pbkdf2" not in str(changes)


async def test_a_refused_edit_leaves_no_trace(admin: Caller, customer: Caller) -> None:
    edit = {"admin": True, "username": admin.user.username}
    answer = await admin.request("PATCH", f"{TABLES}/users/{customer.user.id}/", json=edit)
    assert answer.status_code == 409
    assert await history("user", customer.user.id) == []
    assert not (await User.objects().where(User.id == customer.user.id))[0].admin


async def test_the_history_is_shown_to_staff_and_read_only(admin: Caller) -> None:
    flavor = await new_flavor()
    await admin.request("PATCH", f"{TABLES}/flavor/{flavor}/", json={"price": "0.07"})
    query = {"subject": "flavor", "row": str(flavor), "__readable": "true"}
    (row,) = (await admin.get(f"{TABLES}/change/", params=query)).json()["rows"]
    assert (row["before"], row["after"]) == ("250", "7")
    assert row["by_readable"] == admin.user.username
    for method in ("PUT", "PATCH", "DELETE"):
        answer = await admin.request(method, f"{TABLES}/change/{row['id']}/", json={"by": None})
        assert answer.status_code == 405


async def test_a_lost_staff_role_ends_the_sessions(admin: Caller, staff: Caller) -> None:
    user = staff.user.id
    token = (await Session.create_session(user)).token
    await users.edit_user(user, {"admin": False}, by=admin.user.id)
    assert await Session.get_user_id(token) is None
    await users.edit_user(user, {"admin": True}, by=admin.user.id)
    assert await Session.get_user_id(token) is None
    # Its tokens are not only for staff.
    assert (await staff.get("/api/me/")).json()["roles"] == ["staff"]


@pytest.mark.parametrize("flag", users.ADMIN_FLAGS)
async def test_two_admins_cannot_take_each_others_rights_at_once(hashed: str, flag: str) -> None:
    others = await User.select(User.id).where(User.superuser.eq(True), User.active.eq(True))
    await User.update({User.active: False}).where(User.id.is_in([row["id"] for row in others]))
    try:
        for _ in range(5):
            pair = [await new_user(hashed, admin=True, superuser=True) for _ in range(2)]
            outcomes = await asyncio.gather(
                *(
                    users.edit_user(one.id, {flag: False}, by=other.id)
                    for one, other in (pair, pair[::-1])
                ),
                return_exceptions=True,
            )
            assert [type(one) for one in outcomes if one] == [errors.LastAdmin]
            assert (
                sum(
                    getattr(row, flag)
                    for row in await User.objects().where(User.id.is_in([one.id for one in pair]))
                )
                == 1
            )
            await User.update({User.active: False}).where(User.id.is_in([one.id for one in pair]))
    finally:
        await User.update({User.active: True}).where(User.id.is_in([row["id"] for row in others]))
