"""Send odd input to each form of the pages: the answer is a page or a refusal, never a failure."""

from urllib.parse import urlencode

import httpx
import pytest

from icecream.accounts.http import sessions
from icecream.tables import Session, User
from tests.conftest import carry_out, new_flavor, new_user, place
from tests.security import matrix

pytestmark = pytest.mark.anyio
# A character that PostgreSQL refuses, one that no header field has, and too large numbers.
VALUES = ("\0", "/\N{EURO SIGN}", str(2**31), str(2**63), "9" * 5000)
FLAVOR = {"name": "Fig", "price": "1", "version": "1"}
DETAILS = {"sku": "", "description": "", "unit": "", "pack_size": "", "on_sale_from": ""}
RULES = {"min_quantity": "", "allergens": "none"}
# Each form with its fields and their usual values.
FORMS = {
    "/shop/": {
        "quantity-{flavor}": "1",
        "delivery_date": "",
        "reference": "",
        "note": "",
        "key": "a",
        "total": "250",
        "action": "place",
    },
    "/shop/orders/{order}/pay/": {"key": "b"},
    "/shop/orders/{order}/cancel/": {"key": "c"},
    "/shop/account/payment-method/": {"reference": ""},
    "/staff/orders/{order}/": {"step": "refund", "key": "d", "amount": "1", "reason": "late"},
    "/staff/orders/move/": {
        "to": "packed",
        "orders": "{order}",
        "back": "?",
        "key": "e",
        "confirmed": "true",
    },
    "/staff/flavors/new/": FLAVOR | DETAILS | RULES | {"stock": ""},
    "/staff/flavors/{flavor}/": FLAVOR | DETAILS | RULES,
    "/staff/flavors/{flavor}/archived/": {"archived": "true"},
    "/staff/flavors/{flavor}/stock/": {"quantity": "1", "reason": "bought", "key": "f"},
    "/staff/flavors/{flavor}/uncounted/": {},
    "/staff/customers/new/": {"username": "Ida", "email": "", "role": "shop"},
    "/staff/customers/{user}/": {
        "username": "Ida",
        "username-shown": "",
        "email": "",
        "email-shown": "",
        "role": "shop",
        "role-shown": "shop",
    },
    "/staff/customers/{user}/disable/": {},
    "/staff/customers/{user}/enable/": {},
    "/staff/customers/{user}/link/": {},
    "/staff/customers/{user}/sign-out/": {},
    "/staff/packing/packed/": {"orders": "{order}", "date": "", "key": "g"},
}
REFUND = {"step": "refund-lines", "key": "h", "quantity-{flavor}": "1", "reason_code": "melted"}
CASES = [
    *FORMS.items(),
    ("/staff/orders/{order}/", REFUND | {"reason": "late", "restock": "true", "button": "refund"}),
    ("/staff/orders/{order}/", REFUND | {"reason": "late", "restock": "true", "button": "edit"}),
]
# The others check passwords, which takes long: their own tests send such values.
OTHER_FORMS = {"/sign-in/", "/sign-out/", "/set-password/"} | {
    f"/shop/account/{name}/" for name in ("password", "sign-out")
}


def odd_bodies(fields: dict[str, str]) -> list[bytes]:
    """Return bodies in which one field is odd, is missing, or is there twice."""
    bodies = [b"", b"\xff=&&==%"]
    for name in fields:
        others = {other: value for other, value in fields.items() if other != name}
        bodies += [urlencode(others | {name: value}).encode() for value in VALUES]
        bodies.append(urlencode(others).encode())
        bodies.append(urlencode([*fields.items(), (name, "2")]).encode())
        bodies.append(urlencode(others | {name: ""}).encode() + b"&" + name.encode() + b"=%ff")
    return bodies


@pytest.fixture
async def admin(hashed: str) -> User:
    return await new_user(hashed, admin=True, superuser=True)


@pytest.fixture
async def session(admin: User) -> str:
    return (await Session.create_session(admin.id)).token


@pytest.mark.parametrize(("path", "form"), CASES)
async def test_odd_fields_are_refused_or_ignored(
    client: httpx.AsyncClient,
    admin: User,
    session: str,
    hashed: str,
    path: str,
    form: dict[str, str],
) -> None:
    flavor = await new_flavor(price=250, stock=100)
    order, shop = (await place(admin.id, {flavor: 1})).order, await new_user(hashed)
    await carry_out(order)
    ids = {"flavor": flavor, "order": order, "user": shop.id}
    fields = {"csrf": sessions.csrf_token(session)}
    fields |= {name.format(**ids): value.format(**ids) for name, value in form.items()}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"id={session}"}
    for body in odd_bodies(fields):
        answer = await client.post(path.format(**ids), content=body, headers=headers)
        assert answer.status_code < 500, body


PAGES = ("/staff/customers/", "/staff/flavors/", "/staff/orders/", "/shop/orders/")


async def test_ids_that_no_object_can_have_are_not_found(
    client: httpx.AsyncClient, session: str
) -> None:
    cookie = {"Cookie": f"id={session}"}
    paths = [f"{page}{number}/" for page in PAGES for number in (2**31, 2**63 - 1, 2**63)]
    statuses = {path: (await client.get(path, headers=cookie)).status_code for path in paths}
    assert statuses == dict.fromkeys(paths, 404)


@pytest.mark.only("sqlite")
def test_each_form_is_here() -> None:
    paths = {name.removeprefix("POST ") for name in matrix.find_routes() if "POST /s" in name}
    assert paths == {path.rstrip("/") for path in FORMS.keys() | OTHER_FORMS}
