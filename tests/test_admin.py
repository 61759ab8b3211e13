"""Piccolo Admin: who gets in, what it shows, and what it lets nobody write."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from icecream import app, settings, tables
from icecream.tables import Flavor, RefreshToken, Session, StockMove, User
from tests.conftest import PASSWORD, Caller, new_flavor, new_user

pytestmark = [
    pytest.mark.anyio,
    # pytest forgets what icecream.admin told Python to ignore.
    pytest.mark.filterwarnings("ignore:If running sessions in production"),
    pytest.mark.filterwarnings("ignore:.*SQLite doesn't support ILIKE"),
]
API = "/admin/api/tables"
READ_ONLY = {
    "stock_move",
    "orders",
    "order_line",
    "event",
    "idempotency_key",
    "payment",
    "job",
    "flavor_total",
    "flavor_day",
    "day_total",
}


@pytest.fixture(scope="session")
def site(opened: None) -> httpx.ASGITransport:
    return httpx.ASGITransport(app.create(), raise_app_exceptions=False)


def browser(site: httpx.ASGITransport, **cookies: str) -> httpx.AsyncClient:
    """Somebody's browser, which has seen the page and so sends the CSRF token back."""
    return httpx.AsyncClient(
        transport=site,
        base_url="http://test",
        cookies=cookies | {"csrftoken": "c"},
        headers={"X-CSRFToken": "c"},
    )


async def session(user: User) -> str:
    hour = datetime.now() + timedelta(hours=1)  # noqa: DTZ005  # as Piccolo keeps it
    return str((await Session.create_session(user.id, hour, hour)).token)


@pytest.fixture
async def visitor(site: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(site) as client:
        yield client


@pytest.fixture
async def boss(hashed: str) -> User:
    return await new_user(hashed, admin=True, superuser=True)


@pytest.fixture
async def admin(site: httpx.ASGITransport, boss: User) -> AsyncIterator[httpx.AsyncClient]:
    """An admin, signed in."""
    async with browser(site, id=await session(boss)) as client:
        yield client


@pytest.fixture
async def clerk(site: httpx.ASGITransport, hashed: str) -> AsyncIterator[httpx.AsyncClient]:
    """Staff, signed in."""
    async with browser(site, id=await session(await new_user(hashed, admin=True))) as client:
        yield client


async def log_in(client: httpx.AsyncClient, name: Any, password: Any = PASSWORD) -> httpx.Response:
    body = {"username": name, "password": password}
    return await client.post("/admin/public/login/", json=body)


def refused(answer: httpx.Response) -> bool:
    return 400 <= answer.status_code < 500 and bool(answer.text)


# The page


async def test_the_page_and_all_that_it_loads_come_from_us(visitor: httpx.AsyncClient) -> None:
    redirect = await visitor.get("/admin?x=1")
    assert (redirect.status_code, redirect.headers["location"]) == (308, "/admin/")
    page = await visitor.get("/admin/")
    assert page.status_code == 200
    assert "<title>Ice Cream Distribution</title>" in page.text
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sorted(link.split(":")[0].split("/")[0] for link in links) == [".", ".", "data"]
    for link in links[:-1] if links[-1].startswith("data:") else links:
        asset = await visitor.get(f"/admin/{link}")
        assert asset.status_code == 200
        assert "immutable" in asset.headers["cache-control"]
    for answer in (page, asset):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; " in policy
        assert "http" not in policy and "*" not in policy
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["api/docs/", "public/docs/", "public/%64ocs", "nowhere/"])
async def test_pages_that_would_load_from_elsewhere_are_closed(
    admin: httpx.AsyncClient, path: str
) -> None:
    assert (await admin.get(f"/admin/{path}")).status_code == 404


@pytest.mark.parametrize("path", ["login", "logout"])
async def test_piccolos_own_forms_lead_to_the_page(visitor: httpx.AsyncClient, path: str) -> None:
    answer = await visitor.get(f"/admin/public/{path}/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")


async def test_a_redirect_stays_behind_the_mount(admin: httpx.AsyncClient) -> None:
    answer = await admin.get(f"{API}/flavor")
    assert (answer.status_code, answer.headers["location"]) == (307, f"http://test{API}/flavor/")


# Who gets in


async def test_staff_get_in_and_out(site: httpx.ASGITransport, hashed: str) -> None:
    user = await new_user(hashed, admin=True)
    async with httpx.AsyncClient(transport=site, base_url="http://test") as client:
        assert (await client.get("/admin/api/user/")).status_code == 401
        await client.get("/admin/")
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        answer = await log_in(client, user.username)
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
        assert (await client.get("/admin/api/user/")).json()["username"] == user.username
        assert (await client.post("/admin/public/logout/")).status_code == 200
        assert not await Session.exists().where(Session.user_id == user.id)
        assert (await client.get("/admin/api/user/")).status_code == 401


async def test_a_customer_gets_no_session(visitor: httpx.AsyncClient, hashed: str) -> None:
    customer, staff = await new_user(hashed), await new_user(hashed, admin=True)
    disabled = await new_user(hashed, admin=True)
    await User.update({User.active: False}).where(User.id == disabled.id)
    wrong = await log_in(visitor, staff.username, "not the password")
    assert wrong.status_code == 401
    for name in (customer.username, disabled.username, "nobody"):
        answer = await log_in(visitor, name)
        assert (answer.status_code, answer.content) == (wrong.status_code, wrong.content)
        assert "id" not in answer.cookies
    ids = [customer.id, staff.id, disabled.id]
    assert not await Session.exists().where(Session.user_id.is_in(ids))


@pytest.mark.parametrize("bad", [1, True, ["x"], {"x": 1}, "a\0b", "x" * 10_000, "\x85"])
async def test_credentials_that_are_none_are_wrong(visitor: httpx.AsyncClient, bad: Any) -> None:
    for answer in (await log_in(visitor, bad), await log_in(visitor, "admin", bad)):
        assert answer.status_code == 401


@pytest.mark.parametrize("column", [User.active, User.admin])
async def test_a_session_ends_with_what_it_was_given_for(
    admin: httpx.AsyncClient, boss: User, column: Any
) -> None:
    assert (await admin.get("/admin/api/user/")).status_code == 200
    await User.update({column: False}).where(User.id == boss.id)
    for path in ("/admin/api/user/", f"{API}/orders/"):
        assert (await admin.get(path)).status_code == 401


async def test_an_access_token_of_the_api_opens_nothing_here(staff: Caller) -> None:
    assert (await staff.get(f"{API}/orders/")).status_code == 401


async def test_nothing_is_written_without_the_csrf_token(
    admin: httpx.AsyncClient, flavor: int
) -> None:
    del admin.headers["X-CSRFToken"]
    answer = await admin.patch(f"{API}/flavor/{flavor}/", json={"price": 1})
    assert answer.status_code == 403


async def test_over_https_every_cookie_is_secure_and_the_origin_counts(
    hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = msgspec.structs.replace(settings.load(), public_url="https://ice.example")
    monkeypatch.setattr(settings, "load", lambda: public)
    site = httpx.ASGITransport(app.create(), raise_app_exceptions=False)
    user = await new_user(hashed, admin=True)
    async with httpx.AsyncClient(transport=site, base_url="https://ice.example") as client:
        page = await client.get("/admin/")
        assert "; Secure" in page.headers["set-cookie"]
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        for origin, status in (("https://evil.example", 403), ("https://ice.example", 200)):
            client.headers["Origin"] = origin
            answer = await log_in(client, user.username)
            assert answer.status_code == status
        assert answer.headers["set-cookie"].count("Secure") == 1


async def test_too_many_logins_from_one_address_wait(hashed: str) -> None:
    whole, name = app.create(), (await new_user(hashed, admin=True)).username
    answers = []
    for address in ["192.0.2.1"] * 21 + ["192.0.2.2"]:
        site = httpx.ASGITransport(whole, client=(address, 1))
        async with browser(site) as client:
            answers.append((await log_in(client, name, None)).status_code)
    assert answers == [422] * 20 + [429, 422]


# What it shows


@pytest.fixture
async def placed(customer: Caller, flavor: int) -> int:
    """An order that was paid, so that every table has a row."""
    when, by = datetime.now(UTC), customer.user.id
    move = StockMove(flavor=flavor, quantity=1, why="a test", by=by, at=when)
    await StockMove.insert(move)
    answer = await customer.post(
        "/api/orders/", {"quantity": 1, "flavor": flavor}, headers={"Idempotency-Key": f"k {by}"}
    )
    order: int = answer.json()["order_id"]
    return order


async def test_it_shows_these_tables_in_groups_and_no_other(admin: httpx.AsyncClient) -> None:
    groups = (await admin.get(f"{API}/grouped/")).json()
    assert groups["ungrouped"] == []
    assert sorted(groups["grouped"]) == ["Accounts", "Catalogue", "Money", "Orders", "Totals"]
    shown = {name for names in groups["grouped"].values() for name in names}
    assert shown == READ_ONLY | {"users", "flavor"}
    for hidden in ("sessions", "refresh_token", "migration"):
        assert (await admin.get(f"{API}/{hidden}/")).status_code == 404
    for name in shown:
        references = (await admin.get(f"{API}/{name}/references/")).json()["references"]
        assert {reference["tableName"] for reference in references} <= shown
    assert {"/", "/schema"} <= set((await admin.get("/admin/api/links/")).json().values())
    assert (await admin.get("/admin/public/meta/")).json()["site_name"] == "Ice Cream Distribution"


async def test_rows_name_what_they_refer_to(
    clerk: httpx.AsyncClient, customer: Caller, flavor: int, placed: int
) -> None:
    name = (await Flavor.select(Flavor.name).where(Flavor.id == flavor).first())["name"]
    query = {"__readable": "true", "order": placed}
    (line,) = (await clerk.get(f"{API}/order_line/", params=query)).json()["rows"]
    assert (line["flavor_readable"], line["order_readable"]) == (name, f"Order {placed}")
    query = {"__readable": "true", "status": "pending", "user": customer.user.id}
    (order,) = (await clerk.get(f"{API}/orders/", params=query)).json()["rows"]
    assert order["user_readable"] == customer.user.username


@pytest.mark.parametrize("table", sorted(READ_ONLY | {"users", "flavor"}))
async def test_any_question_to_a_table_gets_an_answer(
    clerk: httpx.AsyncClient, placed: int, table: str
) -> None:
    schema = (await clerk.get(f"{API}/{table}/schema/")).json()
    shown = schema["extra"]["visible_column_names"]
    for path in ("?__readable=true", "new/", "count/", "ids/?limit=6&search=a"):
        assert (await clerk.get(f"{API}/{table}/{path}")).status_code == 200
    row = (await clerk.get(f"{API}/{table}/")).json()["rows"]
    assert row or table == "job"
    bad = ["x", "", "null", "-1", "9" * 30, "1e400", "a\0b", "%", "\ud83c\udf66", "2026-13-01"]
    for column in {*shown, *schema["properties"], "nothing", "__class__"}:
        for value in bad:
            answer = await clerk.get(f"{API}/{table}/", params={column: value})
            assert answer.status_code < 500, (column, value, answer.text)
        answer = await clerk.get(f"{API}/{table}/", params={"__order": f"-{column}"})
        assert answer.status_code < 500, (column, answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "?__page_size=-1",
        "?__page_size=1001",
        "?__page_size=x",
        "?__page=1&__page=2",
        "?__page=9999999999999999999999",
        "?__order=nothing",
        "?__visible_fields=nothing",
        "?status=lost",
        "?id__operator=sideways",
        "ids/",
        "ids/?limit=-1",
        "ids/?limit=1001",
        "ids/?limit=5&offset=-1",
        "0/",
        "-1/",
        "x/",
        f"{2**63}/",
        f"{9 * 10**30}/",
        f"{'9' * 5000}/",
        "%00/",
    ],
)
async def test_a_bad_question_is_refused(
    clerk: httpx.AsyncClient, placed: int, path: str
) -> None:
    answer = await clerk.get(f"{API}/orders/{path}")
    assert refused(answer), answer.text
    assert "Traceback" not in answer.text


async def test_no_password_is_ever_shown(admin: httpx.AsyncClient, boss: User) -> None:
    one = f"{API}/users/{boss.id}/"
    for path in (f"{API}/users/", one, f"{one}?__visible_fields=password", f"{API}/users/new/"):
        assert "pbkdf2" not in (await admin.get(path)).text
    answer = await admin.patch(one, json={"first_name": "Bo"})
    assert answer.json()["first_name"] == "Bo"
    assert "pbkdf2" not in answer.text
    query = {"password": "pbkdf2", "password__match": "starts"}
    assert refused(await admin.get(f"{API}/users/", params=query))


# What nobody writes


async def everything() -> list[Any]:
    shown = (t for t in tables.APP_CONFIG.table_classes if t not in (Session, RefreshToken))
    return [await table.select().order_by(table._meta.primary_key) for table in shown]


@pytest.mark.parametrize("table", sorted(READ_ONLY))
async def test_orders_money_and_totals_can_only_be_read(
    admin: httpx.AsyncClient, placed: int, table: str
) -> None:
    rows = (await admin.get(f"{API}/{table}/")).json()["rows"]
    if table == "job" and not rows:
        pytest.fail("there is no job")
    row = rows[0]
    one, before = f"{API}/{table}/{row['id']}/", await everything()
    answers = [
        await admin.post(f"{API}/{table}/", json={k: v for k, v in row.items() if k != "id"}),
        await admin.put(one, json=row),
        await admin.patch(one, json=row),
        await admin.patch(one, json={}),
        await admin.delete(one),
        await admin.delete(f"{API}/{table}/"),
        await admin.delete(f"{API}/{table}/?id={row['id']}"),
    ]
    assert [answer.status_code for answer in answers] == [405] * 7
    assert all("read, not changed" in answer.json()["detail"] for answer in answers[:5])
    assert await everything() == before


@pytest.mark.parametrize("table", ["users", "flavor"])
async def test_users_and_flavors_are_neither_deleted_nor_replaced(
    admin: httpx.AsyncClient, boss: User, flavor: int, table: str
) -> None:
    one = f"{API}/{table}/{boss.id if table == 'users' else flavor}/"
    row, before = (await admin.get(one)).json(), await everything()
    for answer in (await admin.delete(one), await admin.put(one, json=row | {"password": "x"})):
        assert answer.status_code == 405
        assert "instead" in answer.json()["detail"]
    assert (await admin.delete(f"{API}/{table}/")).status_code == 405
    assert await everything() == before


# Flavors


async def flavor_row(flavor: int) -> dict[str, Any]:
    row: dict[str, Any] = await Flavor.select().where(Flavor.id == flavor).first()
    return row


async def test_staff_edit_a_flavor_and_the_edit_is_counted(clerk: httpx.AsyncClient) -> None:
    flavor = await new_flavor(stock=7)
    one = f"{API}/flavor/{flavor}/"
    form = (await clerk.get(one)).json()
    form = {name: None if value is None else str(value) for name, value in form.items()}
    name = f"Cafe\u0301 {flavor}"
    form |= {"name": f"  {name} ", "price": "310", "description": "Black,\nstrong", "id": "77"}
    answer = await clerk.patch(one, json=form)
    assert answer.status_code == 200, answer.text
    assert await flavor_row(flavor) == {
        "id": flavor,
        "name": f"Caf\u00e9 {flavor}",
        "description": "Black,\nstrong",
        "price": 310,
        "stock": 7,
        "archived": False,
        "version": 2,
    }
    assert (await clerk.patch(one, json={"archived": True})).status_code == 200
    assert (await flavor_row(flavor))["version"] == 3


BAD_FLAVORS: list[dict[str, Any]] = [
    *({"name": name} for name in ("", "  ", "x" * 101, "a\0b", "a\nb", "\x9f", "null", None, 5, [])),
    *({"price": price} for price in (-1, 100_000_001, 2**63, 10**30, 1.5, "x", "", None, [])),
    *({"description": text} for text in ("a\0b", "\x1b", "x" * 10_001, None, 5, {})),
    *({"archived": flag} for flag in (None, "maybe", 2, [])),
    *({"stock": stock} for stock in (8, 0, -1, 2**63, 10**30, None, "x")),
    *({"version": version} for version in (0, 2, 2**63, None, "x")),
    {"colour": "red"},
    {"__class__": 1},
    {"__dict__": 1},
    {"_meta": 1},
    {"select": 1},
    {"copy": 1},
    {"model_dump": 1},
]


@pytest.mark.parametrize("bad", BAD_FLAVORS, ids=lambda bad: repr(bad)[:40])
async def test_a_bad_edit_of_a_flavor_is_refused(
    admin: httpx.AsyncClient, bad: dict[str, Any]
) -> None:
    flavor = await new_flavor(stock=7)
    before = await everything()
    answer = await admin.patch(f"{API}/flavor/{flavor}/", json=bad)
    assert refused(answer), answer.text
    assert await everything() == before


# A new one may leave its price and its stock out; of unknown members nothing is written.
BAD_NEW = [
    bad
    for bad in BAD_FLAVORS
    if bad not in ({"price": None}, {"stock": None}) and hasattr(Flavor, [*bad][0])
]


@pytest.mark.parametrize("bad", BAD_NEW, ids=lambda bad: repr(bad)[:40])
async def test_a_bad_new_flavor_is_refused(admin: httpx.AsyncClient, bad: dict[str, Any]) -> None:
    before = await everything()
    answer = await admin.post(f"{API}/flavor/", json={"name": "New", "price": 1} | bad)
    assert refused(answer), answer.text
    assert await everything() == before
