"""Test Piccolo Admin: access, displayed data, read-only tables and forms."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import httpx
import msgspec
import pytest
from piccolo_api.crud import endpoints

from icecream import app, change_history, constraints, settings, tables
from icecream.accounts import users
from icecream.accounts.http import sessions
from icecream.admin import lists
from icecream.catalogue.product_data import ProductData
from icecream.database import DatabaseUnavailable
from icecream.pages import amounts
from icecream.payments.providers import Declined, Succeeded
from icecream.tables import (
    Event,
    Flavor,
    IdempotencyKey,
    Notice,
    Order,
    Payment,
    RefreshToken,
    Session,
    StockMove,
    User,
)
from tests import ledger
from tests.conftest import (
    PASSWORD,
    Caller,
    apply_all,
    carry_out,
    new_flavor,
    new_user,
    parked,
    place,
    refund_line,
)

pytestmark = [
    pytest.mark.anyio,
    # pytest resets the warning filters that icecream.admin sets.
    pytest.mark.filterwarnings("ignore:If running sessions in production"),
    pytest.mark.filterwarnings("ignore:.*SQLite doesn't support ILIKE"),
]
API = "/admin/api/tables"
READ_ONLY = {
    "stock_move",
    "change",
    "orders",
    "order_line",
    "event",
    "idempotency_key",
    "payment",
    "refund_line",
    "job",
    "notice",
    "flavor_total",
    "flavor_day",
    "customer_day",
    "day_total",
}


@pytest.fixture(scope="session")
def site(opened: None) -> httpx.ASGITransport:
    return httpx.ASGITransport(app.create(), raise_app_exceptions=False)


def browser(site: httpx.ASGITransport, **cookies: str) -> httpx.AsyncClient:
    """Return a client like a browser that has loaded the page: it sends the CSRF token."""
    token = sessions.csrf_token(cookies["id"]) if "id" in cookies else "c"
    return httpx.AsyncClient(
        transport=site,
        base_url="http://test",
        cookies=cookies | {"csrftoken": token},
        headers={"X-CSRFToken": token},
    )


async def session(user: User) -> str:
    return str((await Session.create_session(user.id)).token)


@pytest.fixture
async def visitor(site: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(site) as client:
        yield client


@pytest.fixture
async def boss(hashed: str) -> User:
    return await new_user(hashed, admin=True, superuser=True)


@pytest.fixture
async def admin(site: httpx.ASGITransport, boss: User) -> AsyncIterator[httpx.AsyncClient]:
    """Yield the client of an admin who is signed in."""
    async with browser(site, id=await session(boss)) as client:
        yield client


@pytest.fixture
async def clerk(site: httpx.ASGITransport, hashed: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield the client of a staff user who is signed in."""
    async with browser(site, id=await session(await new_user(hashed, admin=True))) as client:
        yield client


SIGN_IN = "/sign-in/?next=/admin/"


async def log_in(client: httpx.AsyncClient, name: Any, password: Any = PASSWORD) -> httpx.Response:
    body = {"username": name, "password": password}
    return await client.post("/admin/public/login/", json=body)


def each(column: str, *values: Any) -> list[dict[str, Any]]:
    return [{column: value} for value in values]


def refused(answer: httpx.Response) -> bool:
    return 400 <= answer.status_code < 500 and bool(answer.text)


async def flavor_row(flavor: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = await Flavor.select().where(Flavor.id == flavor)
    return rows[0]


# The page


async def test_visitors_get_the_sign_in_page(visitor: httpx.AsyncClient) -> None:
    redirect = await visitor.get("/admin?x=1")
    assert (redirect.status_code, redirect.headers["location"]) == (308, "/admin/")
    redirect = await visitor.get("/admin/")
    assert (redirect.status_code, redirect.headers["location"]) == (303, SIGN_IN)
    page = await visitor.get(SIGN_IN)
    assert "<title>Sign in - Ice Cream Distribution</title>" in page.text
    assert 'name="next" value="/admin/"' in page.text
    assert page.headers["cache-control"] == "no-store"
    for link in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert (await visitor.get(link)).status_code == 200, link


async def test_the_page_and_its_files_come_from_our_host(admin: httpx.AsyncClient) -> None:
    page = await admin.get("/admin/")
    assert page.status_code == 200
    assert "<title>Ice Cream Distribution</title>" in page.text
    links = re.findall(r'<(?:script|link) .*?(?:src|href)="([^"]+)"', page.text)
    files = [link for link in links if not link.startswith("data:")]
    assert [link for link in files if not link.startswith("./assets/")] == [
        "/assets/database.css",
        "/assets/database.js",
    ]
    for link in files:
        assert (await admin.get(f"/admin/{link}" if link[0] == "." else link)).status_code == 200
    asset = await admin.get(f"/admin/{files[0]}")
    assert "immutable" in asset.headers["cache-control"]
    for answer in (page, asset):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; " in policy
        assert "http" not in policy and "*" not in policy
    assert page.headers["cache-control"] == "no-store"


async def test_every_page_begins_with_links_for_staff(
    admin: httpx.AsyncClient,
) -> None:
    page = (await admin.get("/admin/")).text
    assert page.index("<nav ") < page.index('<div id="app">')
    links = re.findall(r'<a href="([^"#]+)[^"]*">', page)
    assert links == ["/dashboard/", "/admin/", "/admin/", "/schema", "/"]
    for link in links:
        assert (await admin.get(link)).status_code == 200, link


async def test_the_page_names_the_tables_that_the_caller_cannot_change(
    admin: httpx.AsyncClient, clerk: httpx.AsyncClient
) -> None:
    for client, read_only in ((admin, READ_ONLY), (clerk, READ_ONLY | {"users"})):
        found = re.search(r'data-read-only="([^"]*)"', (await client.get("/admin/")).text)
        assert found is not None
        assert set(found[1].split(" ")) == read_only


@pytest.mark.parametrize("path", ["api/docs/", "public/docs/", "public/%64ocs", "nowhere/"])
async def test_pages_that_load_foreign_files_are_not_served(
    admin: httpx.AsyncClient, path: str
) -> None:
    assert (await admin.get(f"/admin/{path}")).status_code == 404


async def test_an_invalid_cookie_is_no_session(visitor: httpx.AsyncClient) -> None:
    for cookie in (rb'id="a\000b"', b"id=", b"id=\x80", b"id=x; id=y"):
        page = await visitor.get("/admin/", headers=[(b"Cookie", cookie)])
        assert page.status_code in (303, 400), cookie


@pytest.mark.parametrize("path", ["public/login", "public/logout"])
async def test_piccolos_own_pages_for_signing_in_redirect_to_ours(
    visitor: httpx.AsyncClient, path: str
) -> None:
    answer = await visitor.get(f"/admin/{path}/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")


async def test_a_redirect_stays_below_the_mount(admin: httpx.AsyncClient) -> None:
    answer = await admin.get(f"{API}/flavor")
    assert (answer.status_code, answer.headers["location"]) == (307, f"http://test{API}/flavor/")


# Access


async def test_staff_can_sign_in_and_out(site: httpx.ASGITransport, hashed: str) -> None:
    user = await new_user(hashed, admin=True)
    async with httpx.AsyncClient(transport=site, base_url="http://test") as client:
        assert (await client.get("/admin/api/user/")).status_code == 401
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        answer = await log_in(client, user.username)
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
        assert (await client.get("/admin/api/user/")).json()["username"] == user.username
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
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
async def test_malformed_credentials_are_refused(visitor: httpx.AsyncClient, bad: Any) -> None:
    for answer in (await log_in(visitor, bad), await log_in(visitor, "admin", bad)):
        assert answer.status_code == (401 if isinstance(bad, str) else 400)


@pytest.mark.parametrize("column", [User.active, User.admin])
async def test_a_session_ends_with_its_password_account_or_role(
    admin: httpx.AsyncClient, boss: User, column: Any
) -> None:
    assert (await admin.get("/admin/api/user/")).status_code == 200
    await User.update({column: False}).where(User.id == boss.id)
    for path in ("/admin/api/user/", f"{API}/orders/"):
        assert (await admin.get(path)).status_code == 401


async def test_an_api_token_does_not_open_the_admin(staff: Caller) -> None:
    assert (await staff.get(f"{API}/orders/")).status_code == 401


async def test_logins_from_one_address_are_limited(hashed: str) -> None:
    whole, name = app.create(), (await new_user(hashed, admin=True)).username
    answers = []
    for address in ["192.0.2.1"] * 21 + ["192.0.2.2"]:
        site = httpx.ASGITransport(whole, client=(address, 1))
        async with browser(site) as client:
            answers.append((await log_in(client, name, "")).status_code)
    assert answers == [422] * 10 + [429] * 11 + [422]


async def test_successful_logins_do_not_count(hashed: str) -> None:
    whole, name = app.create(), (await new_user(hashed, admin=True)).username
    for _ in range(3):
        for password, status in [("", 422)] * 9 + [(PASSWORD, 200)]:
            site = httpx.ASGITransport(whole, client=("192.0.2.3", 1))
            async with browser(site) as client:
                assert (await log_in(client, name, password)).status_code == status


# Displayed data


@pytest.fixture
async def placed(customer: Caller, flavor: int) -> int:
    """Place an order and fill the other tables, so that every table has a row."""
    when, by = datetime.now(UTC), customer.user.id
    move = StockMove(flavor=flavor, quantity=1, why="a test", by=by, at=when)
    await StockMove.insert(move)
    order = (await place(by, {flavor: 1})).order
    await apply_all()
    answer: dict[str, Any] = {"order": order, "status": 200, "answer": "{}", "created_at": when}
    await IdempotencyKey.insert(IdempotencyKey(user=by, key="k", fingerprint="f", **answer))
    notice = {"event": f"evt {order}", "key": "k", "reference": "r"}
    await Notice.insert(Notice(provider="simulated", received_at=when, applied_at=when, **notice))
    await change_history.record_changes("user", by, {}, {"active": True}, by=by)
    await refund_line(order)
    return order


async def test_only_these_tables_are_shown_in_groups(admin: httpx.AsyncClient) -> None:
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
    assert (await admin.get("/admin/public/meta/")).json()["site_name"] == "Ice Cream Distribution"


async def test_rows_show_the_names_of_referenced_rows(
    clerk: httpx.AsyncClient, customer: Caller, flavor: int, placed: int
) -> None:
    name = (await flavor_row(flavor))["name"]
    query = {"__readable": "true", "order": placed}
    (line,) = (await clerk.get(f"{API}/order_line/", params=query)).json()["rows"]
    assert (line["flavor_readable"], line["order_readable"]) == (name, f"Order {placed}")
    query = {"__readable": "true", "status": "pending", "user": customer.user.id}
    (order,) = (await clerk.get(f"{API}/orders/", params=query)).json()["rows"]
    assert order["user_readable"] == customer.user.username


async def test_a_list_builds_its_models_only_once(
    clerk: httpx.AsyncClient, placed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    build = endpoints.create_pydantic_model

    def counted(*args: Any, **kwargs: Any) -> Any:
        built.append(kwargs["model_name"])
        return build(*args, **kwargs)

    # The admin is built at its first request.
    await clerk.get(f"{API}/orders/")
    monkeypatch.setattr(lists, "_models", {})
    monkeypatch.setattr(endpoints, "create_pydantic_model", counted)
    for _ in range(2):
        for columns in ({"id", "status"}, {"id", "user", "user_readable"}):
            asked = ",".join(sorted(columns - {"user_readable"}))
            query = {"__readable": "true", "__visible_fields": asked, "status": "pending"}
            rows = (await clerk.get(f"{API}/orders/", params=query)).json()["rows"]
            assert rows and all(columns == set(row) for row in rows)
    assert sorted(built) == ["OrderFilters", "OrderItem", "OrderItem"]


async def test_only_a_limited_number_of_models_is_remembered(
    clerk: httpx.AsyncClient, placed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "_models", {})
    monkeypatch.setattr(lists, "MAX_MODELS", 3)
    for columns in ("id", "status", "total", "id,status", "id,total"):
        query = {"__visible_fields": columns}
        assert (await clerk.get(f"{API}/orders/", params=query)).status_code == 200
        assert len(lists._models) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("table", sorted(READ_ONLY | {"users", "flavor"}))
async def test_any_valid_query_of_a_table_gets_a_response(
    clerk: httpx.AsyncClient, placed: int, table: str
) -> None:
    schema = (await clerk.get(f"{API}/{table}/schema/")).json()
    shown = schema["extra"]["visible_column_names"]
    for path in ("?__readable=true", "new/", "count/", "ids/?limit=6&search=a"):
        assert (await clerk.get(f"{API}/{table}/{path}")).status_code == 200
    assert (await clerk.get(f"{API}/{table}/")).json()["rows"]
    bad = ["x", "", "null", "-1", "9" * 30, "1e400", "a\0b", "%", "\U0001f366", "2026-13-01"]
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
        "?__visible_fields=password",
        "?__visible_fields=id,password",
        "?__range_header=true&__range_header_name=a%0d%0ab",
        "?__page_size=1001",
        "?__page_size=x",
        "?__page=1&__page=2",
        "?__page=9999999999999999999999",
        "?__order=nothing",
        "?__visible_fields=nothing",
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
async def test_an_invalid_query_is_refused(
    clerk: httpx.AsyncClient, placed: int, path: str
) -> None:
    answer = await clerk.get(f"{API}/orders/{path}")
    assert refused(answer), answer.text
    assert "Traceback" not in answer.text


async def test_no_password_is_shown(admin: httpx.AsyncClient, boss: User) -> None:
    one = f"{API}/users/{boss.id}/"
    for path in (f"{API}/users/", one, f"{one}?__visible_fields=password", f"{API}/users/new/"):
        assert "pbkdf2" not in (await admin.get(path)).text
    assert (await admin.get(f"{API}/users/?__visible_fields=password")).status_code == 400
    answer = await admin.patch(one, json={"first_name": "Bo"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["first_name"] == "Bo"
    assert "pbkdf2" not in answer.text


@pytest.mark.parametrize(
    ("table", "column"),
    [("users", "password"), ("users", "payment_method"), ("payment", "method")],
)
async def test_no_secret_column_can_be_read_filtered_or_sorted(
    admin: httpx.AsyncClient, customer: Caller, placed: int, table: str, column: str
) -> None:
    secret = f"pm_{customer.user.id}secret"
    await Payment.update({Payment.method: secret}).where(Payment.order == placed)
    await User.update({User.payment_method: secret}).where(User.id == customer.user.id)
    page = await admin.get(f"{API}/{table}/", params={"__order": "-id"})
    row = page.json()["rows"][0]
    assert row[column] is None
    for path in ("", "?__order=-id", f"{row['id']}/", "new/", "?__readable=true"):
        answer = await admin.get(f"{API}/{table}/{path}")
        assert answer.status_code == 200
        assert secret not in answer.text
    queries = [
        f"{column}={secret}",
        f"{column}[]={secret}",
        f"{column}__operator=is_null",
        f"{column}__operator=gt&{column}=a",
        f"{column}__match=starts&{column}=pm",
        f"__order={column}",
        f"__order=id,-{column}",
        f"__order=id&__order={column}",
        f"__visible_fields=id,{column}",
    ]
    for query in queries:
        for path in ("", "count/", "ids/"):
            answer = await admin.get(f"{API}/{table}/{path}?limit=5&{query}")
            assert (answer.status_code, "is secret" in answer.text) == (400, True), (path, query)


@pytest.mark.parametrize("column", ["user.password", "user.payment_method"])
@pytest.mark.parametrize("instruction", ["__order", "__visible_fields"])
async def test_no_secret_column_of_a_referenced_table_can_be_used(
    admin: httpx.AsyncClient, placed: int, instruction: str, column: str
) -> None:
    answer = await admin.get(f"{API}/orders/", params={instruction: column})
    assert answer.status_code == 400


@pytest.mark.parametrize("length", [10_001, 60_000])
async def test_a_long_filter_is_refused(admin: httpx.AsyncClient, placed: int, length: int) -> None:
    for query in ({"last_error": "x" * length}, {"last_error": "x" * 10_000}):
        answer = await admin.get(f"{API}/payment/", params=query)
        assert answer.status_code == (400 if len(query["last_error"]) > 10_000 else 200)


@pytest.mark.parametrize("query", [{"id": "9" * 30}, {"order": "x"}, {"amount": "1e400"}])
async def test_no_answer_has_the_text_of_a_driver(
    admin: httpx.AsyncClient, query: dict[str, str]
) -> None:
    answer = await admin.get(f"{API}/payment/", params=query)
    assert answer.status_code in (200, 400, 422)
    assert not re.search(r"asyncpg|sqlite|int\d|bigint|\$1|Python", answer.text)


async def test_true_is_no_number(admin: httpx.AsyncClient, flavor: int) -> None:
    for value in (True, False):
        answer = await admin.patch(f"{API}/flavor/{flavor}/", json={"price": value})
        assert (answer.status_code, "price must be an amount" in answer.text) == (400, True)
        new = {"name": f"true {flavor}", "price": value}
        assert (await admin.post(f"{API}/flavor/", json=new)).status_code == 400
        answer = await admin.patch(f"{API}/flavor/{flavor}/", json={"version": value})
        assert (answer.status_code, "version must be a whole" in answer.text) == (400, True)
    assert (await flavor_row(flavor))["price"] == 250


# Read-only tables


async def everything() -> list[Any]:
    shown = (t for t in tables.APP_CONFIG.table_classes if t not in (Session, RefreshToken))
    return [await table.select().order_by(table._meta.primary_key) for table in shown]


@pytest.mark.parametrize("table", sorted(READ_ONLY))
async def test_orders_payments_and_totals_are_read_only(
    admin: httpx.AsyncClient, placed: int, table: str
) -> None:
    row = (await admin.get(f"{API}/{table}/")).json()["rows"][0]
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
    assert all("read-only" in answer.json()["detail"] for answer in answers[:5])
    assert await everything() == before


@pytest.mark.parametrize("table", ["users", "flavor"])
async def test_users_and_flavors_cannot_be_deleted_or_replaced(
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


async def test_an_edit_of_a_flavor_increments_its_version(clerk: httpx.AsyncClient) -> None:
    flavor = await new_flavor(stock=7)
    one = f"{API}/flavor/{flavor}/"
    form = (await clerk.get(one)).json()
    form = {name: None if value is None else str(value) for name, value in form.items()}
    name = f"Cafe\u0301 {flavor}"
    form |= {"name": f"  {name} ", "price": "3.10", "description": "Black,\nstrong", "id": "77"}
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
        **dict.fromkeys(ProductData.__struct_fields__),
    }
    assert (await clerk.patch(one, json={"archived": True})).status_code == 200
    assert (await flavor_row(flavor))["version"] == 3


BAD_FLAVORS: list[dict[str, Any]] = [
    *each("name", "", "  ", "x" * 101, "a\0b", "a\nb", "\x9f", None, 5, []),
    *each("price", -1, 310, 2**63, 10**30, 1.5, "x", "", None, [], True, "-1", "9" * 5000),
    *each("price", "1,234", "1.234", "1e3", "3,10", "1000000.01", "2.60 EUR"),
    *each("description", "a\0b", "\x1b", "x" * 10_001, None, 5, {}),
    *each("archived", None, "maybe", 2, []),
    *each("stock", 8, 0, -1, 2**63, 10**30, None, "x"),
    *each("version", 0, 2, 2**63, None, "x"),
    {"colour": "red"},
    {"__class__": 1},
    {"__dict__": 1},
    {"_meta": 1},
    {"select": 1},
    {"copy": 1},
    {"model_dump": 1},
]


@pytest.mark.parametrize("bad", BAD_FLAVORS, ids=lambda bad: repr(bad)[:40])
async def test_an_invalid_edit_of_a_flavor_is_refused(
    admin: httpx.AsyncClient, bad: dict[str, Any]
) -> None:
    flavor = await new_flavor(stock=7)
    before = await everything()
    answer = await admin.patch(f"{API}/flavor/{flavor}/", json=bad)
    assert refused(answer), answer.text
    assert await everything() == before


# A new flavor may omit its price and its stock. Unknown members are ignored.
BAD_NEW = [
    bad
    for bad in BAD_FLAVORS
    if bad not in ({"price": None}, {"stock": None}) and hasattr(Flavor, next(iter(bad)))
]


@pytest.mark.parametrize("bad", BAD_NEW, ids=lambda bad: repr(bad)[:40])
async def test_an_invalid_new_flavor_is_refused(
    admin: httpx.AsyncClient, bad: dict[str, Any]
) -> None:
    before = await everything()
    answer = await admin.post(f"{API}/flavor/", json={"name": "New", "price": "1"} | bad)
    assert refused(answer), answer.text
    assert await everything() == before


async def test_a_new_flavor_has_the_default_price_and_no_stock(clerk: httpx.AsyncClient) -> None:
    name = f"fresh {datetime.now(UTC).timestamp()}"
    form = {"name": f" {name} ", "description": "", "stock": None, "version": "1"}
    answer = await clerk.post(f"{API}/flavor/", json=form | {"archived": "false"})
    assert answer.status_code == 201, answer.text
    row = await flavor_row(answer.json()[0]["id"])
    assert (row["name"], row["price"]) == (name, settings.load().default_price)
    assert (row["stock"], row["version"]) == (None, 1)
    again = await clerk.post(f"{API}/flavor/", json=form)
    assert refused(again)
    taken = await clerk.patch(f"{API}/flavor/{await new_flavor()}/", json={"name": name})
    assert refused(taken)


# Amounts


@pytest.fixture
def in_german(monkeypatch: pytest.MonkeyPatch) -> None:
    german = msgspec.structs.replace(settings.load(), locale="de")
    monkeypatch.setattr(settings, "load", lambda: german)


async def test_tables_show_amounts_as_people_write_them(
    clerk: httpx.AsyncClient, customer: Caller
) -> None:
    flavor = await new_flavor(price=123_450)
    order = (await place(customer.user.id, {flavor: 1})).order
    await carry_out(order)
    await apply_all()
    shown = {
        "flavor": ("id", flavor, {"price": "1,234.50"}),
        "orders": ("id", order, {"total": "1,234.50", "refunded": "0.00", "currency": "EUR"}),
        "order_line": ("order", order, {"unit_price": "1,234.50", "refunded": "0.00"}),
        "payment": ("order", order, {"amount": "1,234.50"}),
        "flavor_total": ("flavor", flavor, {"revenue": "1,234.50", "refunded": "0.00"}),
        "customer_day": ("user", customer.user.id, {"revenue": "1,234.50"}),
    }
    for table, (column, number, expected) in shown.items():
        paid = "" if table in ("flavor", "order_line", "payment") else "&status=paid"
        answer = await clerk.get(f"{API}/{table}/?{column}={number}{paid}")
        (row,) = answer.json()["rows"]
        assert {name: row[name] for name in expected} == expected
        schema = (await clerk.get(f"{API}/{table}/schema/")).json()["properties"]
        for name in expected.keys() - {"currency"}:
            kinds = [kind["type"] for kind in schema[name].get("anyOf", [schema[name]])]
            assert kinds[0] == "number"
            assert schema[name]["extra"]["help_text"].endswith("In EUR.")
    query = f"{API}/payment/?amount=1234.50&amount__operator=gte&order={order}"
    assert len((await clerk.get(query)).json()["rows"]) == 1
    assert (await clerk.get(query.replace("/?", "/count/?"))).json()["count"] == 1
    assert (await clerk.get(query.replace("1234.50", "1234.51"))).json()["rows"] == []


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("1,234", '"must be an amount in EUR, such as 2.60"'),
        ("1000000.01", "price must be from 0.00 EUR to 1,000,000.00 EUR."),
    ],
)
async def test_a_refused_price_is_explained(
    clerk: httpx.AsyncClient, flavor: int, typed: str, message: str
) -> None:
    answer = await clerk.patch(f"{API}/flavor/{flavor}/", json={"price": typed})
    assert refused(answer)
    assert message in answer.text


@pytest.mark.usefixtures("in_german")
async def test_amounts_follow_the_locale_of_the_installation(
    clerk: httpx.AsyncClient, customer: Caller
) -> None:
    flavor = await new_flavor(price=123_450)
    one = f"{API}/flavor/{flavor}/"
    assert (await clerk.get(one)).json()["price"] == "1.234,50"
    for typed, price in (("2,60", 260), ("2.7", 270), ("1.234,50", 123_450)):
        assert (await clerk.patch(one, json={"price": typed})).status_code == 200
        assert (await flavor_row(flavor))["price"] == price
    answer = await clerk.patch(one, json={"price": "1.234"})
    assert "must be an amount in EUR, such as 2,60" in answer.text
    order = (await place(customer.user.id, {flavor: 1})).order
    await carry_out(order)
    refund = {"order": order, "reason": "melted"}
    result = await submit(clerk, "refund-an-order", **refund, amount="1.234,51")
    assert result == (422, "Only 1.234,50 EUR is left.")
    result = await submit(clerk, "refund-an-order", **refund, amount="1.234,50")
    assert result == (200, f"Refund of 1.234,50 EUR started for order {order}.")


async def test_with_stripe_only_chargeable_amounts_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {"currency": "KWD", "payment_provider": "stripe", "stripe_api_key": "sk_test_x"}
    kuwait = msgspec.structs.replace(settings.load(), **changes)
    monkeypatch.setattr(settings, "load", lambda: kuwait)
    assert amounts.parse("price", "1.25") == 1250
    with pytest.raises(constraints.InvalidValue, match=r"must be a multiple of 0\.010 KWD"):
        amounts.parse("price", "1.255")


# Users


async def user_row(user: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = await User.select().where(User.id == user)
    return rows[0]


@pytest.fixture
def hashing_stays_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_the_loop(*_: Any, **__: Any) -> str:
        raise AssertionError("Piccolo hashed a password itself")

    monkeypatch.setattr(User, "hash_password", on_the_loop)


async def test_only_admins_can_change_accounts(clerk: httpx.AsyncClient, boss: User) -> None:
    before = await everything()
    new = {"username": "mole", "password": PASSWORD, "admin": True, "superuser": True}
    answers = [
        await clerk.post(f"{API}/users/", json=new),
        await clerk.patch(f"{API}/users/{boss.id}/", json={"password": "stolen!"}),
        await clerk.patch(f"{API}/users/{boss.id}/", json={"active": False}),
        await clerk.delete(f"{API}/users/{boss.id}/"),
    ]
    assert [answer.status_code for answer in answers] == [405] * 4
    assert await everything() == before


@pytest.mark.usefixtures("hashing_stays_off_the_loop")
async def test_a_new_account_can_sign_in(admin: httpx.AsyncClient) -> None:
    name = f"new {datetime.now(UTC).timestamp()}"
    form = {"username": name, "password": PASSWORD, "email": "", "active": "true", "admin": "false"}
    answer = await admin.post(f"{API}/users/", json=form)
    assert answer.status_code == 201, answer.text
    row = await user_row(answer.json()["id"])
    assert row["password"].startswith("pbkdf2_sha256$1000$")
    assert (row["email"], row["active"], row["admin"], row["superuser"]) == (
        *(None, True, False),
        False,
    )
    token = await admin.post("/api/token/", json={"username": name, "password": PASSWORD})
    assert token.status_code == 200
    again = await admin.post(f"{API}/users/", json=form)
    assert again.status_code == 409
    assert "already an account" in again.text


@pytest.mark.parametrize("error", [RuntimeError, KeyError, ValueError, DatabaseUnavailable])
async def test_no_text_of_an_exception_is_shown(
    admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    async def insert_user(*_: Any, **__: Any) -> User:
        raise error("SELECT secret FROM 10.0.0.7")

    monkeypatch.setattr(users, "insert_user", insert_user)
    form = {"username": "unlucky", "password": PASSWORD}
    answer = await admin.post(f"{API}/users/", json=form)
    expected = {ValueError: 400, DatabaseUnavailable: 503}.get(error, 500)
    assert answer.status_code == expected, answer.text
    assert "secret" not in answer.text and "10.0.0.7" not in answer.text


@pytest.mark.parametrize("call", ["post", "patch"])
async def test_the_refusal_of_a_password_says_why(
    admin: httpx.AsyncClient, hashed: str, call: str
) -> None:
    path = f"{API}/users/" if call == "post" else f"{API}/users/{(await new_user(hashed)).id}/"
    sent = {"username": "short", "password": "short"}
    answer = await admin.request(call.upper(), path, json=sent)
    assert (answer.status_code, answer.text) == (
        400,
        "A password must have 8 to 128 characters.",
    )


async def test_a_new_account_is_active_by_default(
    admin: httpx.AsyncClient,
) -> None:
    assert (await admin.get(f"{API}/users/new/")).json()["active"] is True


STORED = "pbkdf2_sha256$1$salt$" + "0" * 64
BAD_USERS: list[dict[str, Any]] = [
    *each("username", "", "x" * 101, "a\0b", "a\nb", "\x9f", None, 5, []),
    *each("password", "short", "x" * 129, STORED, 5, ["secret"], {}),
    *each("email", "a\0b", "x" * 256, 5),
    *each("first_name", "a\0b", "\n", "x" * 256, []),
    *each("payment_method", "a\0b", "a b", "4242 4242 4242 4242", "4242424242424242", 5),
    {"active": "maybe"},
    {"superuser": "maybe"},
    {"last_login": "yesterday"},
]


@pytest.mark.parametrize("bad", BAD_USERS, ids=lambda bad: repr(bad)[:40])
async def test_an_invalid_account_is_refused(
    admin: httpx.AsyncClient, hashed: str, bad: dict[str, Any]
) -> None:
    user, before = await new_user(hashed), await User.select().order_by(User.id)
    before.append(await user_row(user.id))
    new = {"username": "bad", "password": PASSWORD, "active": True}
    for answer in (
        await admin.post(f"{API}/users/", json=new | bad),
        await admin.patch(f"{API}/users/{user.id}/", json=bad),
    ):
        assert refused(answer), answer.text
    assert await User.select().order_by(User.id) == before[:-1]


async def test_an_edit_is_atomic(admin: httpx.AsyncClient, hashed: str, staff: Caller) -> None:
    one, other = await new_user(hashed, email="one@ice.example"), staff.user.id
    before = await user_row(other)
    for bad in (
        {"username": one.username},
        {"email": "one@ice.example"},
        {"superuser": None},
        {"username": ""},
    ):
        edit = {"password": "a new one", "active": False} | bad
        assert refused(await admin.patch(f"{API}/users/{other}/", json=edit))
    assert await user_row(other) == before
    assert (await staff.get("/api/orders/")).status_code == 200


@pytest.mark.usefixtures("hashing_stays_off_the_loop")
async def test_a_new_password_signs_the_user_out(
    admin: httpx.AsyncClient, site: httpx.ASGITransport, staff: Caller
) -> None:
    user, old = staff.user.id, staff.user.password
    async with browser(site, id=await session(staff.user)) as client:
        assert (await client.get("/admin/api/user/")).status_code == 200
        form = (await admin.get(f"{API}/users/{user}/")).json()
        form |= {"password": "a new one", "first_name": "Ann", "email": ""}
        assert (await admin.patch(f"{API}/users/{user}/", json=form)).status_code == 200
        assert (await client.get("/admin/api/user/")).status_code == 401
    row = await user_row(user)
    assert row["password"] != old
    assert row["password"].startswith("pbkdf2_sha256$1000$")
    assert (row["first_name"], row["email"], row["admin"]) == ("Ann", None, True)
    assert (await staff.get("/api/orders/")).status_code == 401
    assert not await RefreshToken.exists().where(RefreshToken.user == user)
    assert await User.login(staff.user.username, "a new one") == user


async def test_an_edit_without_a_password_keeps_the_password(
    admin: httpx.AsyncClient, staff: Caller
) -> None:
    user = staff.user.id
    for password in ("", None):
        edit = {"password": password, "last_name": "Ice"}
        assert (await admin.patch(f"{API}/users/{user}/", json=edit)).status_code == 200
    assert (await admin.patch(f"{API}/users/{user}/", json={"id": 1})).status_code == 200
    row = await user_row(user)
    assert (row["password"], row["last_name"]) == (staff.user.password, "Ice")
    assert (await staff.get("/api/orders/")).status_code == 200


async def test_a_disabled_user_is_signed_out_everywhere(
    admin: httpx.AsyncClient, staff: Caller
) -> None:
    user, cookie = staff.user.id, await session(staff.user)
    answer = await admin.patch(f"{API}/users/{user}/", json={"active": False})
    assert answer.status_code == 200
    assert await Session.get_user_id(cookie) is None
    assert not await RefreshToken.exists().where(RefreshToken.user == user)
    assert (await staff.get("/api/orders/")).status_code == 401


@pytest.mark.parametrize("flag", ["active", "admin", "superuser"])
async def test_the_last_admin_cannot_be_disabled(
    admin: httpx.AsyncClient, boss: User, flag: str
) -> None:
    others = (User.superuser.eq(True), User.active.eq(True), User.id != boss.id)
    ids = await User.select(User.id).where(*others).output(as_list=True)
    await User.update({User.active: False}).where(User.id.is_in(ids))
    answer = await admin.patch(f"{API}/users/{boss.id}/", json={flag: False})
    await User.update({User.active: True}).where(User.id.is_in(ids))
    assert answer.status_code == 409
    assert "last active admin" in answer.text
    assert (await user_row(boss.id))[flag]
    answer = await admin.patch(f"{API}/users/{boss.id}/", json={flag: False})
    assert answer.status_code == 200
    assert not (await user_row(boss.id))[flag]


async def test_a_payment_method_applies_at_once_and_is_never_a_card(
    admin: httpx.AsyncClient, customer: Caller, flavor: int
) -> None:
    one = f"{API}/users/{customer.user.id}/"
    order = {"flavor": flavor, "quantity": 1}
    number = customer.user.id
    for method in (f"pm_{number}e", f"pm_{number}f", "", "none"):
        assert (await customer.get("/api/payment-method/")).status_code == 200
        answer = await admin.patch(one, json={"payment_method": method})
        assert answer.status_code == 200, answer.text
        number = (await customer.post("/api/orders/", order)).json()["order_id"]
        (row,) = await Payment.select(Payment.method).where(Payment.order == number)
        # It is not shown, so an empty field keeps it.
        assert row["method"] == (None if method == "none" else method or f"pm_{customer.user.id}f")
    answer = await admin.patch(one, json={"payment_method": "4242-4242-4242-4242"})
    assert answer.status_code == 400
    assert answer.text.startswith("payment_method must be ")
    assert "a card number" in answer.text
    assert "4242" not in answer.text


def passwords(current: Any, new: Any, again: Any = None) -> dict[str, Any]:
    again = new if again is None else again
    return {"current_password": current, "new_password": new, "confirm_new_password": again}


@pytest.mark.parametrize(
    "body",
    [
        passwords("wrong", "a new one"),
        passwords(PASSWORD, "short"),
        passwords(PASSWORD, "x" * 129),
        passwords(PASSWORD, "a new one", "another one"),
        passwords(PASSWORD, STORED),
        passwords(PASSWORD, ["a"] * 6),
        passwords(PASSWORD, 1234567),
        passwords([PASSWORD], "a new one"),
        {},
    ],
    ids=repr,
)
async def test_an_invalid_new_password_is_refused(
    admin: httpx.AsyncClient, boss: User, body: dict[str, Any]
) -> None:
    assert refused(await admin.post("/admin/api/change-password/", json=body))
    assert (await user_row(boss.id))["password"] == boss.password


@pytest.mark.usefixtures("hashing_stays_off_the_loop")
async def test_staff_can_change_their_own_password(
    site: httpx.ASGITransport, clerk: httpx.AsyncClient, staff: Caller
) -> None:
    async with browser(site, id=await session(staff.user)) as client:
        body = passwords(PASSWORD, "a new one")
        answer = await client.post("/admin/api/change-password/", json=body, follow_redirects=True)
        assert (answer.status_code, str(answer.url)) == (200, f"http://test{SIGN_IN}")
    assert await User.login(staff.user.username, "a new one") == staff.user.id
    assert not await Session.exists().where(Session.user_id == staff.user.id)
    assert not await RefreshToken.exists().where(RefreshToken.user == staff.user.id)


# Forms

FORMS = "/admin/api/forms"


async def submit(client: httpx.AsyncClient, form: str, **fields: Any) -> tuple[int, str]:
    """Submit a form; return the status and the message of the response."""
    answer = await client.post(f"{FORMS}/{form}/", json=fields)
    result: dict[str, str] = answer.json()
    (word,) = result.values()
    return answer.status_code, word


async def status(order: int) -> str:
    rows = await Order.select(Order.status).where(Order.id == order)
    return str(rows[0]["status"])


async def latest(order: int) -> tuple[str, int | None, Any]:
    """Return the type, the user and the reason of the newest event of an order."""
    rows = (
        await Event.select(Event.type, Event.by, Event.payload)
        .where(Event.order == order)
        .order_by(Event.seq, ascending=False)
        .limit(1)
        .output(load_json=True)
    )
    return rows[0]["type"], rows[0]["by"], rows[0]["payload"].get("reason")


async def test_forms_are_grouped_and_have_the_fields_of_the_api(clerk: httpx.AsyncClient) -> None:
    grouped = (await clerk.get(f"{FORMS}/grouped/")).json()
    assert grouped["ungrouped"] == []
    fields = {}
    for form in chain.from_iterable(grouped["grouped"].values()):
        assert form["description"]
        schema = (await clerk.get(f"{FORMS}/{form['slug']}/schema/")).json()
        fields[form["slug"]] = list(schema["properties"])
        assert all(field["title"] for field in schema["properties"].values())
        if "internal_note" in fields[form["slug"]]:
            note = schema["properties"]["internal_note"]["title"]
            assert note == "Internal note (only staff see it)"
            assert schema["properties"]["reason"]["title"] == "Reason (the customer sees it)"
    assert {name: len(forms) for name, forms in grouped["grouped"].items()} == {
        "Orders": 3,
        "Catalogue": 1,
        "Parked payments": 4,
    }
    assert fields == {
        "cancel-an-order": ["order", "reason", "internal_note"],
        "pay-an-order-again": ["order"],
        "refund-an-order": ["order", "reason", "internal_note", "amount"],
        "receive-stock": ["flavor", "quantity", "reason"],
        "retry-a-parked-payment": ["payment", "reason", "internal_note", "reference"],
        "release-a-parked-payment": ["payment", "reason", "internal_note"],
        "refund-a-parked-payment": ["payment", "reason", "internal_note"],
        "book-a-parked-refund": ["payment", "reason", "internal_note"],
    }


async def test_forms_require_staff_and_the_csrf_token(
    clerk: httpx.AsyncClient, site: httpx.ASGITransport, customer: Caller, placed: int
) -> None:
    path = f"{FORMS}/cancel-an-order/"
    async with browser(site, id=await session(customer.user)) as shop:
        assert (await shop.post(path, json={"order": placed})).status_code == 401
    async with browser(site) as visitor:
        assert (await visitor.post(path, json={"order": placed})).status_code == 401
    del clerk.headers["X-CSRFToken"]
    assert (await clerk.post(path, json={"order": placed})).status_code == 403
    assert await status(placed) == "pending"


async def test_an_order_is_canceled_paid_again_and_refunded_by_forms(
    clerk: httpx.AsyncClient, customer: Caller
) -> None:
    by = (await clerk.get("/admin/api/user/")).json()["user_id"]
    placed = await place(customer.user.id, {await new_flavor(stock=10): 4})
    order = str(placed.order)
    await carry_out(placed.order, Declined("no"))
    result = await submit(clerk, "pay-an-order-again", order=order)
    assert result == (200, f"The payment of order {order} has started.")
    assert await latest(placed.order) == ("pending", int(by), None)
    await carry_out(placed.order)
    result = await submit(clerk, "pay-an-order-again", order=order)
    assert result == (200, f"Order {order} is already paid.")
    refund = {"order": order, "amount": "2.50", "reason": "melted"}
    result = await submit(clerk, "refund-an-order", **refund)
    assert result == (200, f"Refund of 2.50 EUR started for order {order}.")
    assert await latest(placed.order) == ("refund-requested", int(by), "melted")
    result = await submit(clerk, "refund-an-order", **refund)
    assert result == (422, "Another refund of this order is in progress.")
    await carry_out(placed.order)
    result = await submit(clerk, "refund-an-order", **refund | {"amount": "7.51"})
    assert result == (422, "Only 7.50 EUR is left.")
    result = await submit(clerk, "refund-an-order", order=order, amount=None, reason="the rest")
    assert result == (200, f"Refund of 7.50 EUR started for order {order}.")
    result = await submit(clerk, "cancel-an-order", order=order)
    assert result[1].startswith(f"Order {order} will be canceled after its payment")
    await ledger.check()


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("5,00", "amount must be an amount in EUR, such as 2.60."),
        ("1,234", "amount must be an amount in EUR, such as 2.60."),
        ("-1", "amount must be an amount in EUR, such as 2.60."),
        ("0", "amount must be from 0.01 EUR to 10,000,000,000,000.00 EUR."),
        (250, "amount must be text, or null."),
    ],
)
async def test_an_unclear_amount_is_not_refunded(
    clerk: httpx.AsyncClient, customer: Caller, flavor: int, amount: Any, message: str
) -> None:
    order = (await place(customer.user.id, {flavor: 4})).order
    await carry_out(order)
    before = await everything()
    body = {"order": order, "reason": "melted", "amount": amount}
    assert await submit(clerk, "refund-an-order", **body) == (422, message)
    assert await everything() == before


async def test_the_form_of_an_order_shows_its_customer_and_what_is_left(
    clerk: httpx.AsyncClient, customer: Caller, flavor: int
) -> None:
    order = (await place(customer.user.id, {flavor: 4})).order
    await carry_out(order)
    await submit(clerk, "refund-an-order", order=order, amount="2.50", reason="melted")
    await carry_out(order)
    shop = customer.user.username
    for form in ("refund-an-order", "cancel-an-order", "pay-an-order-again"):
        shown = (await clerk.get(f"{FORMS}/{form}-{order}/")).json()["description"]
        assert shown.startswith(
            f"Order {order} of {shop} is paid: total 10.00 EUR, refunded 2.50 EUR, "
            "left to refund 7.50 EUR. "
        )
    plain = (await clerk.get(f"{FORMS}/refund-an-order/")).json()["description"]
    assert plain == (await clerk.get(f"{FORMS}/refund-an-order-{2**59}/")).json()["description"]
    unpaid = (await place(customer.user.id, {flavor: 4})).order
    shown = (await clerk.get(f"{FORMS}/refund-an-order-{unpaid}/")).json()["description"]
    assert "left to refund 0.00 EUR" in shown


async def test_a_form_cancels_an_unpaid_order_at_once(
    clerk: httpx.AsyncClient, placed: int
) -> None:
    for _ in range(2):
        result = await submit(clerk, "cancel-an-order", order=placed)
        assert result == (200, f"Order {placed} is canceled.")
    result = await submit(clerk, "pay-an-order-again", order=placed)
    assert result == (422, "A canceled order cannot be paid again.")
    await ledger.check()


async def test_stock_is_received_by_a_form(clerk: httpx.AsyncClient) -> None:
    flavor = await new_flavor(stock=7)
    name = (await flavor_row(flavor))["name"]
    receipt = {"flavor": str(flavor), "quantity": "40", "reason": " delivery 7 "}
    assert await submit(clerk, "receive-stock", **receipt) == (
        200,
        f"The stock of {name} is now 47.",
    )
    loss = receipt | {"quantity": "-48"}
    result = await submit(clerk, "receive-stock", **loss)
    assert result == (422, f"Only 47 left of flavor {flavor}.")
    by = (await clerk.get("/admin/api/user/")).json()["user_id"]
    rows = await StockMove.select(StockMove.quantity, StockMove.why, StockMove.by).where(
        StockMove.flavor == flavor
    )
    assert rows[1:] == [{"quantity": 40, "why": "delivery 7", "by": int(by)}]
    await ledger.check()


async def test_forms_decide_about_parked_payments(
    clerk: httpx.AsyncClient, customer: Caller
) -> None:
    by = int((await clerk.get("/admin/api/user/")).json()["user_id"])
    lost, gone = await parked(customer), await parked(customer)
    odd = await parked(customer, Succeeded(f"odd {by}", 900, "EUR"))
    why = {"reason": "seen"}
    result = await submit(
        clerk, "retry-a-parked-payment", payment=lost.payment, reference="", **why
    )
    assert result == (200, f"Payment {lost.payment} will be looked up at the provider again.")
    assert await latest(lost.order) == ("retried", by, "seen")
    result = await submit(clerk, "release-a-parked-payment", payment=lost.payment, **why)
    assert result == (422, "This payment is unknown.")
    result = await submit(clerk, "refund-a-parked-payment", payment=gone.payment, **why)
    assert result == (422, "No charged amount is known for this payment.")
    result = await submit(clerk, "release-a-parked-payment", payment=gone.payment, **why)
    assert result[1] == f"Payment {gone.payment} is declined now; order {gone.order} is failed."
    assert await latest(gone.order) == ("failed", by, "seen")
    result = await submit(clerk, "refund-a-parked-payment", payment=odd.payment, **why)
    assert result[1].startswith("Refund of 9.00 EUR started. Order")
    assert await latest(odd.order) == ("refund-ordered", by, "seen")
    await carry_out(odd.order)
    await ledger.check()


async def test_the_address_of_a_form_fills_in_the_id(clerk: httpx.AsyncClient, placed: int) -> None:
    for form in chain.from_iterable(
        (await clerk.get(f"{FORMS}/grouped/")).json()["grouped"].values()
    ):
        address = f"{FORMS}/{form['slug']}-{placed}/"
        shown = (await clerk.get(address)).json()
        assert shown | {"description": form["description"]} == form
        assert shown["description"].endswith(form["description"])
        plain = (await clerk.get(f"{FORMS}/{form['slug']}/schema/")).json()["properties"]
        filled = (await clerk.get(f"{address}schema/")).json()["properties"]
        subject, *others = plain
        assert filled[subject] == plain[subject] | {"default": placed}
        assert {name: filled[name] for name in others} == {name: plain[name] for name in others}
        assert "default" not in plain[subject]
    result = await submit(clerk, f"cancel-an-order-{placed}", order=str(placed))
    assert result == (200, f"Order {placed} is canceled.")
    for number in ("", "x", "-1", "1.5", "\u0663", "9" * 19, "9" * 5000, "1-1"):
        for path in ("", "schema/"):
            answer = await clerk.get(f"{FORMS}/cancel-an-order-{number}/{path}")
            assert answer.status_code == 404, number


BAD_SUBJECTS: list[Any] = ["", None, 0, "-1", "1.5", "x", True, 2**63, "9" * 5000, [], "\u0663"]


@pytest.mark.parametrize(
    ("form", "subject", "body"),
    [
        ("cancel-an-order", "order", {}),
        ("pay-an-order-again", "order", {}),
        ("refund-an-order", "order", {"reason": "r"}),
        ("receive-stock", "flavor", {"reason": "r", "quantity": 1}),
        ("retry-a-parked-payment", "payment", {"reason": "r"}),
        ("release-a-parked-payment", "payment", {"reason": "r"}),
        ("refund-a-parked-payment", "payment", {"reason": "r"}),
        ("book-a-parked-refund", "payment", {"reason": "r"}),
    ],
)
async def test_an_invalid_form_is_refused_with_a_message(
    clerk: httpx.AsyncClient, form: str, subject: str, body: dict[str, Any]
) -> None:
    before = await everything()
    for value in BAD_SUBJECTS:
        code, result = await submit(clerk, form, **body | {subject: value})
        assert code == 422
        assert subject in result
    result = (await submit(clerk, form, **body))[1]
    assert result == f"{subject} is required."
    result = (await submit(clerk, form, **body | {subject: 2**62}))[1]
    assert result == f"There is no {subject} {2**62}."
    bad: list[dict[str, Any]] = [{"colour": "red"}]
    if body:
        bad += [*each("reason", "", "  ", "a\0b", "x" * 201, 1), {"model_config": 1}]
        bad += each("internal_note", "  ", "a\0b", "x" * 201, 1)
    for more in bad:
        code, result = await submit(clerk, form, **{subject: 1} | body | more)
        assert code == 422
        assert next(iter(more)) in result
    assert await everything() == before


async def test_a_form_notifies_the_workers_of_its_payments(
    hashed: str, customer: Caller, placed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    notified: list[int] = []

    async def notify(staged: list[int], customers: Sequence[int]) -> None:
        notified.extend(staged)

    monkeypatch.setattr("tasks.notify.notify_workers", notify)
    odd = await parked(customer)
    site = httpx.ASGITransport(app.create(), raise_app_exceptions=False)
    async with browser(site, id=await session(await new_user(hashed, admin=True))) as client:
        await submit(client, "cancel-an-order", order=placed)
        assert notified == []
        await submit(client, "retry-a-parked-payment", payment=odd.payment, reason="r")
        assert notified == [odd.payment]


# Bodies

BODIES = [
    b"{",
    b"[]",
    b"null",
    b"x",
    b'"x"',
    b'{"price": NaN}',
    b'{"price": "\xff"}',
    b'{"name": "\\ud800"}',
    b'{"price": ' + b"[" * 50_000,
    b"price=1",
    b"",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body)[:30])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "x"])
async def test_a_body_that_is_not_a_json_object_is_refused(
    admin: httpx.AsyncClient, flavor: int, body: bytes, kind: str
) -> None:
    admin.headers["Content-Type"] = kind
    for method, path in (
        ("PATCH", f"{API}/flavor/{flavor}/"),
        ("POST", f"{API}/users/"),
        ("POST", "/admin/api/change-password/"),
        ("POST", "/admin/public/login/"),
        ("POST", "/admin/api/forms/x/"),
        ("POST", "/admin/api/media/"),
    ):
        assert refused(await admin.request(method, f"{path}", content=body)), path


@pytest.mark.parametrize("word", ["Null", "NULL", "null"])
async def test_a_name_may_be_null(
    admin: httpx.AsyncClient, flavor: int, hashed: str, word: str
) -> None:
    person = await new_user(hashed)
    for path, change in (
        (f"{API}/flavor/{flavor}/", {"name": word}),
        (f"{API}/users/{person.id}/", {"first_name": word, "last_name": None}),
    ):
        assert (await admin.patch(path, json=change)).status_code == 200
        row = (await admin.get(path)).json()
        assert {name: row[name] for name in change} == change
    found = (await admin.get(f"{API}/flavor/?name={word}")).json()["rows"]
    assert [one["id"] for one in found if one["name"] == word] == [flavor]
    await admin.patch(f"{API}/flavor/{flavor}/", json={"name": f"called {word} {flavor}"})


async def test_a_compressed_body_is_415_in_the_admin_too(
    admin: httpx.AsyncClient, flavor: int
) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = await admin.patch(f"{API}/flavor/{flavor}/", json={"price": 1}, headers=headers)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")


async def test_a_too_large_body_is_413(visitor: httpx.AsyncClient) -> None:
    answer = await log_in(visitor, "x" * 100_000)
    assert answer.status_code == 413
