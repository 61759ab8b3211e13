"""Test a shop's own account: its password, its payment method, signing out everywhere."""

import httpx
import pytest

from icecream import settings
from icecream.accounts import refresh_tokens
from icecream.tables import RefreshToken, Session, User
from tests.conftest import PASSWORD
from tests.shop.visitors import Visitor

pytestmark = pytest.mark.anyio
ACCOUNT = "/shop/account/"
NEW = "battery staple"


async def send(shop: Visitor, form: str, **typed: str) -> httpx.Response:
    page = (await shop.get(ACCOUNT)).text
    return await shop.fill(page, f"{ACCOUNT}{form}/", **typed)


async def method_of(shop: Visitor) -> str | None:
    row = await User.objects().get(User.id == shop.user.id)
    assert row is not None
    method: str | None = row.payment_method
    return method


async def test_a_new_password_keeps_this_browser_signed_in_and_no_other(shop: Visitor) -> None:
    other = (await Session.create_session(shop.user.id)).token
    await refresh_tokens.issue_pair(shop.user)
    answer = await send(shop, "password", current_password=PASSWORD, new_password=NEW)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ACCOUNT}?done=new-password")
    assert (await shop.get(ACCOUNT)).status_code == 303
    assert await Session.get_user_id(other) is None
    assert not await RefreshToken.exists().where(RefreshToken.user == shop.user.id)
    shop.session = answer.headers["set-cookie"].split(";")[0].removeprefix("id=")
    assert "Your password is changed" in (await shop.get(answer.headers["location"])).text
    assert await User.login(shop.user.username, NEW) == shop.user.id


@pytest.mark.parametrize(
    ("current", "new", "field", "message"),
    [
        ("wrong horse", NEW, "current_password", "This is not your password."),
        ("", NEW, "current_password", "This is not your password."),
        (PASSWORD, "seven77", "new_password", "A password must have 8 to 128 characters."),
        (PASSWORD, "x" * 129, "new_password", "A password must have 8 to 128 characters."),
        (PASSWORD, "password1", "new_password", "This password is one of the most common"),
    ],
)
async def test_a_refused_password_is_said_at_its_field(
    shop: Visitor, current: str, new: str, field: str, message: str
) -> None:
    answer = await send(shop, "password", current_password=current, new_password=new)
    assert answer.status_code == 400
    assert f'id="problem-{field}">{message}' in answer.text
    assert await User.login(shop.user.username, PASSWORD) == shop.user.id


async def test_attempts_are_limited_like_attempts_to_sign_in(shop: Visitor) -> None:
    statuses = [
        (await send(shop, "password", current_password="x", new_password=NEW)).status_code
        for _ in range(11)
    ]
    assert statuses == [400] * 10 + [429]


async def test_a_payment_method_is_set_shown_in_part_and_removed(
    shop: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Payment method" not in (await shop.get(ACCOUNT)).text
    monkeypatch.setattr(settings.Settings, "needs_payment_method", True)
    assert "needs a payment method first" in (await shop.get("/shop/")).text
    answer = await send(shop, "payment-method", reference=" pm_1N3T00Lkd ")
    assert answer.headers["location"] == f"{ACCOUNT}?done=payment-method"
    assert await method_of(shop) == "pm_1N3T00Lkd"
    page = (await shop.get(answer.headers["location"])).text
    assert "... 0Lkd" in page and "pm_1N3T00Lkd" not in page
    assert "needs a payment method first" not in (await shop.get("/shop/")).text
    await send(shop, "payment-method", reference="")
    assert await method_of(shop) is None


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("4242 4242 4242 4242", "this looks like a card number"),
        ("pm 1", "must be 1 to 255 visible ASCII characters"),
    ],
)
async def test_a_wrong_payment_method_is_refused_and_not_repeated(
    shop: Visitor, monkeypatch: pytest.MonkeyPatch, reference: str, message: str
) -> None:
    monkeypatch.setattr(settings.Settings, "needs_payment_method", True)
    answer = await send(shop, "payment-method", reference=reference)
    assert answer.status_code == 400
    assert message in answer.text and reference not in answer.text
    assert await method_of(shop) is None


async def test_signing_out_everywhere_ends_sessions_and_tokens(shop: Visitor) -> None:
    await refresh_tokens.issue_pair(shop.user)
    answer = await send(shop, "sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert not await Session.exists().where(Session.user_id == shop.user.id)
    assert not await RefreshToken.exists().where(RefreshToken.user == shop.user.id)


@pytest.mark.parametrize("form", ["password", "payment-method", "sign-out"])
async def test_a_form_without_the_token_of_the_session_changes_nothing(
    shop: Visitor, form: str
) -> None:
    answer = await shop.post(
        f"{ACCOUNT}{form}/", {"current_password": PASSWORD, "new_password": NEW, "reference": "pm"}
    )
    assert answer.status_code == 403
    assert await User.login(shop.user.username, PASSWORD) == shop.user.id
    assert await method_of(shop) is None
    assert await Session.exists().where(Session.user_id == shop.user.id)
