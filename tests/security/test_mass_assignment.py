"""Test that a request cannot set members that are not its caller's to set."""

from typing import Any

import pytest

from icecream.tables import Flavor, Order, User
from tests.conftest import Caller, new_flavor
from tests.security import matrix

pytestmark = pytest.mark.anyio
# Columns of our tables that no customer may write, with tempting values.
FOREIGN: dict[str, Any] = {
    "id": 1,
    "user": 1,
    "user_id": 1,
    "status": "paid",
    "state": "succeeded",
    "total": 0,
    "refunded": 0,
    "unit_price": 0,
    "currency": "XXX",
    "created_at": "2000-01-01T00:00:00Z",
    "version": 7,
    "archived": True,
    "active": True,
    "admin": True,
    "superuser": True,
    "payment_method": "pm_other",
    "provider_ref": "pi_other",
    "__class__": {},
    "__proto__": {"admin": True},
}
# Clients of the original may send these; nothing is written from them.
READ_ONLY = {"id", "user", "status", "created_at"}
BODIES: dict[str, dict[str, Any]] = {
    "POST /api/token": {"username": "x", "password": "x"},
    "POST /api/token/refresh": {"refresh": "x.y.z"},
    "POST /api/token/revoke": {"refresh": "x.y.z"},
    "POST /api/me/password": {"current_password": "x", "new_password": "x"},
    "POST /api/keys": {"name": "x", "scopes": ["read"]},
    "POST /api/flavors/add": {"name": "x"},
    "PATCH /api/flavors/{flavor}": {},
    "POST /api/flavors/{flavor}/stock": {"quantity": 1, "reason": "x"},
    "POST /api/orders": {"quantity": 1, "flavor": 999_999_999},
    "POST /api/orders/quote": {"quantity": 1, "flavor": 999_999_999},
    "POST /api/orders/{order}/refund": {"reason": "x"},
    "POST /api/orders/fulfilment": {"orders": [999_999_999], "to": "packed"},
    "POST /api/payments/{payment}/retry": {"reason": "x"},
    "POST /api/payments/{payment}/book": {"reason": "x"},
    "POST /api/payments/{payment}/release": {"reason": "x"},
    "POST /api/payments/{payment}/refund": {"reason": "x"},
    "PUT /api/payment-method": {"reference": None},
    "POST /api/webhooks": {"url": "https://shop.example.org/"},
    "PATCH /api/webhooks/{endpoint}": {},
    "POST /api/webhooks/{endpoint}/rotate": {"overlap_hours": 0},
    "POST /api/webhooks/{endpoint}/replay": {"delivery": 1},
}
OWN = {"PATCH /api/flavors/{flavor}": {"archived"}}


def test_every_body_of_the_api_is_tried() -> None:
    with_body = {line.name for line in matrix.read_lines() if line.body and "/api/" in line.path}
    others = {name for name in with_body if "/admin/" in name or "/payments/webhooks/" in name}
    assert with_body - others == set(BODIES)


@pytest.mark.parametrize("name", BODIES)
async def test_members_of_others_are_refused_or_ignored(
    customer: Caller, staff: Caller, name: str
) -> None:
    method, path = name.split()
    flavor = await new_flavor()
    for member, value in FOREIGN.items():
        if member in OWN.get(name, ()):
            continue
        body = BODIES[name] | {member: value}
        address = path.format(flavor=flavor, order=1, payment=1, endpoint=1)
        answer = await staff.request(method, address, json=body)
        if member in READ_ONLY:
            assert answer.status_code < 500
        else:
            assert answer.status_code == 400, (member, answer.text)
            assert answer.json()["errors"][0]["pointer"] == f"/{member}"
    row = await Flavor.objects().get(Flavor.id == flavor)
    assert row is not None and (row.version, row.archived) == (1, False)


async def test_an_order_belongs_to_its_caller_and_begins_pending(
    customer: Caller, stranger: Caller, flavor: int
) -> None:
    read_only = {"user": stranger.user.id, "status": "paid", "id": 1}
    answer = await customer.post(
        "/api/orders/", {"quantity": 2, "flavor": flavor, "created_at": "2000-01-01"} | read_only
    )
    row = await Order.objects().get(Order.id == answer.json()["order_id"])
    assert row is not None
    assert (row.user, row.status, row.total) == (customer.user.id, "pending", 500)
    assert row.created_at.year > 2000


async def test_only_staff_set_more_than_the_name_of_a_flavor(customer: Caller) -> None:
    for member, value in (("price", 1), ("stock", 1)):
        body = {"name": f"free {member}", member: value}
        assert (await customer.post("/api/flavors/add/", body)).status_code == 403
        assert not await Flavor.exists().where(Flavor.name == body["name"])


async def test_a_payment_method_is_set_for_the_caller_only(
    customer: Caller, stranger: Caller
) -> None:
    body = {"reference": "pm_mine", "user": stranger.user.id}
    await customer.request("PUT", "/api/payment-method/", json=body)
    row = await User.objects().get(User.id == stranger.user.id)
    assert row is not None and not row.payment_method
