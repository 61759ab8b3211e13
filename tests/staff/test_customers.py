"""Test the pages for accounts: the list, contact, access, orders, and who may change what."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from icecream.accounts import directory, password_links
from icecream.tables import Session, User
from tests.conftest import apply_all, new_flavor, new_user, place
from tests.staff.browsing import Browser, browse, messages, value_of

pytestmark = pytest.mark.anyio
LIST = "/staff/customers/"


@pytest.fixture
async def browser(client: httpx.AsyncClient, hashed: str) -> Browser:
    return await browse(client, await new_user(hashed, admin=True))


@pytest.fixture
async def admin(client: httpx.AsyncClient, hashed: str) -> Browser:
    return await browse(client, await new_user(hashed, admin=True, superuser=True))


@pytest.fixture
async def shop(hashed: str) -> User:
    return await new_user(hashed)


def page_of(user: User) -> str:
    return f"{LIST}{user.id}/"


async def saved(user: User) -> directory.AccountDetails:
    return await directory.load_account(user.id)


def contact_of(user: User, role: str = "shop") -> dict[str, str]:
    """Return the fields of the form as the page shows them."""
    return {
        "username": user.username,
        "username-shown": user.username,
        "email": "",
        "email-shown": "",
        "role": role,
        "role-shown": role,
    }


def row_of(page: httpx.Response, user: User) -> str:
    rows = page.text.split("<tr>")
    (row,) = [one for one in rows if f"{LIST}{user.id}/" in one]
    return row


@pytest.mark.parametrize("settle", [apply_all, None])
async def test_the_list_counts_orders_also_before_they_are_in_the_totals(
    browser: Browser, shop: User, settle: Callable[[], Awaitable[None]] | None
) -> None:
    flavor = await new_flavor()
    for _ in range(2):
        await place(shop.id, {flavor: 1})
    if settle is not None:
        await settle()
    row = row_of(await browser.get(f"{LIST}?q={shop.username}"), shop)
    assert 'data-label="Orders">2<' in row and 'data-label="Last order">' in row
    assert ">shop<" in row and ">active<" in row


async def test_the_list_is_searched_and_filtered(browser: Browser, shop: User) -> None:
    await User.update(email=f"Info-{shop.id}@Kiosk.example").where(User.id == shop.id)
    address = f'"{page_of(shop)}"'
    for query in (f"q=info-{shop.id}@KIOSK", f"q={shop.username.upper()}&show=shops"):
        assert address in (await browser.get(f"{LIST}?{query}")).text
    for query in ("q=%25%25", f"q={shop.username}&show=staff", f"q={shop.username}&show=disabled"):
        assert address not in (await browser.get(f"{LIST}?{query}")).text
    assert (await browser.get(f"{LIST}?show=some")).status_code == 400
    assert (await browser.get(f"{LIST}?q=%00")).status_code == 400


async def test_the_list_has_pages(
    browser: Browser, shop: User, hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "PAGE_SIZE", 1)
    other = await new_user(hashed)
    for number, user in enumerate((shop, other)):
        await User.update(username=f"Pages {shop.id} {number}").where(User.id == user.id)
    first = await browser.get(f"{LIST}?q=pages {shop.id}")
    assert f'"{page_of(shop)}"' in first.text and f'"{page_of(other)}"' not in first.text
    assert 'rel="next"' in first.text
    second = await browser.get(f"{LIST}?q=pages {shop.id}&after=Pages {shop.id} 0")
    assert f'"{page_of(other)}"' in second.text and 'rel="next"' not in second.text


async def test_the_page_shows_the_orders_and_no_secret(browser: Browser, shop: User) -> None:
    await User.update(payment_method=f"pm_secret_{shop.id}").where(User.id == shop.id)
    order = (await place(shop.id, {await new_flavor(price=123_450): 1})).order
    page = await browser.get(page_of(shop))
    assert f"/staff/orders/{order}/" in page.text
    assert "1,234.50\N{NO-BREAK SPACE}EUR" in page.text
    assert "stored" in page.text and "pm_secret" not in page.text
    assert (await browser.get(f"{LIST}99999999/")).status_code == 404


async def test_staff_change_the_contact_of_a_shop_with_history(
    browser: Browser, shop: User
) -> None:
    contact = contact_of(shop) | {"username": f"Kiosk {shop.id}", "email": f"{shop.id}@k.example"}
    answer = await browser.send(page_of(shop), **contact)
    assert answer.headers["location"] == f"{page_of(shop)}?done=saved"
    found = await saved(shop)
    assert (found.username, found.email) == (f"Kiosk {shop.id}", f"{shop.id}@k.example")
    page = await browser.get(answer.headers["location"])
    assert messages(page) == ["The changes are saved."]
    history = page.text[page.text.index("history-title") :]
    assert f"{shop.id}@k.example" in history and browser.user.username in history


async def test_a_form_leaves_alone_what_it_does_not_change(browser: Browser, shop: User) -> None:
    contact = contact_of(shop)
    await User.update(email=f"new{shop.id}@k.example").where(User.id == shop.id)
    await browser.send(page_of(shop), **contact | {"username": f"Changed {shop.id}"})
    found = await saved(shop)
    assert (found.username, found.email) == (f"Changed {shop.id}", f"new{shop.id}@k.example")


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("username", "", "Name is required."),
        ("username", "x" * 101, "Name must be text of 1 to 100 characters"),
        ("username", "\N{ZERO WIDTH SPACE}", "Name must have a visible character."),
        ("email", "a\tb", "E-mail must be text of 1 to 255 characters"),
        ("role", "boss", "Role must be one of shop, staff, admin."),
    ],
)
async def test_a_problem_is_shown_and_the_typed_values_stay(
    admin: Browser, shop: User, field: str, text: str, problem: str
) -> None:
    contact = contact_of(shop) | {"email": "typed@k.example", field: text}
    answer = await admin.send(page_of(shop), **contact)
    assert answer.status_code == 400
    assert messages(answer)[1].startswith(problem)
    assert value_of(answer, "email") == contact["email"]
    assert (await saved(shop)).email is None


async def test_a_taken_name_is_refused(browser: Browser, shop: User) -> None:
    taken = contact_of(shop) | {"username": browser.user.username}
    answer = await browser.send(page_of(shop), **taken)
    assert answer.status_code == 409
    assert messages(answer) == ["Another account has this name or this e-mail address."]


async def test_a_shop_is_disabled_enabled_and_signed_out(browser: Browser, shop: User) -> None:
    await Session.create_session(shop.id)
    await browser.send(f"{page_of(shop)}sign-out/")
    assert not await Session.exists().where(Session.user_id == shop.id)
    await browser.send(f"{page_of(shop)}disable/")
    assert not (await saved(shop)).active
    assert ">Enable<" in (await browser.get(page_of(shop))).text
    await browser.send(f"{page_of(shop)}enable/")
    assert (await saved(shop)).active


async def test_a_link_sets_the_password(browser: Browser, shop: User) -> None:
    page = await browser.send(f"{page_of(shop)}link/")
    token = page.text.partition("/set-password/#")[2].partition('"')[0]
    assert await password_links.use_link(token, "a new horse battery") == shop.username
    assert "/set-password/#" not in (await browser.get(page_of(shop))).text


@pytest.mark.parametrize("action", ["", "disable/", "enable/", "sign-out/", "link/"])
async def test_only_admins_change_accounts_of_staff(
    browser: Browser, admin: Browser, hashed: str, action: str
) -> None:
    colleague = await new_user(hashed, admin=True)
    await Session.create_session(colleague.id)
    fields = {} if action else contact_of(colleague, "staff") | {"email": "x@k.example"}
    answer = await browser.send(page_of(colleague) + action, **fields)
    assert answer.status_code == 403
    assert "Only admins" in answer.text
    assert await Session.exists().where(Session.user_id == colleague.id)
    found = await saved(colleague)
    assert (found.active, found.email) == (True, None)
    page = await browser.get(page_of(colleague))
    assert "Only admins change accounts of staff." in page.text and ">Disable<" not in page.text
    fields = {} if action else contact_of(colleague, "staff")
    assert (await admin.send(page_of(colleague) + action, **fields)).status_code in (200, 303)


async def test_only_admins_give_roles(browser: Browser, admin: Browser, shop: User) -> None:
    contact = contact_of(shop) | {"role": "staff"}
    assert (await browser.send(page_of(shop), **contact)).status_code == 403
    assert (await browser.send(f"{LIST}new/", username="Boss", role="admin")).status_code == 403
    assert (await saved(shop)).role == "shop"
    await admin.send(page_of(shop), **contact)
    assert (await saved(shop)).role == "staff"


async def test_the_last_admin_stays(admin: Browser) -> None:
    others = await User.select(User.id).where(User.superuser.eq(True), User.id != admin.user.id)
    ids = [one["id"] for one in others]
    await User.update(superuser=False).where(User.id.is_in(ids))
    try:
        answer = await admin.send(f"{page_of(admin.user)}disable/")
        assert answer.status_code == 409
        assert messages(answer)[0].startswith("This is the last active admin")
        role = contact_of(admin.user, "admin") | {"role": "shop"}
        assert (await admin.send(page_of(admin.user), **role)).status_code == 409
        assert (await saved(admin.user)).role == "admin"
    finally:
        await User.update(superuser=True).where(User.id.is_in(ids))


async def test_a_new_account_is_active_and_gets_its_password_by_a_link(
    browser: Browser,
) -> None:
    name = f"New by {browser.user.username}"
    assert messages(await browser.send(f"{LIST}new/"))[1] == "Name is required."
    answer = await browser.send(f"{LIST}new/", username=name, email="")
    assert answer.status_code == 303
    page = await browser.get(answer.headers["location"])
    assert messages(page)[0].startswith("The account is active.")
    user = await User.objects().where(User.username == name).first()
    assert user is not None and user.active and not user.admin
    again = await browser.send(f"{LIST}new/", username=name)
    assert (again.status_code, value_of(again, "username")) == (409, name)
