"""Test API keys over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from icecream.accounts import api_keys, refresh_tokens
from icecream.runtime.logs import security
from icecream.tables import ApiKey, Order
from tests.conftest import Caller, new_user, records_of

pytestmark = pytest.mark.anyio
READ = {"name": "Web shop", "scopes": ["read"]}


async def create(caller: Caller, **values: Any) -> dict[str, Any]:
    answer = await caller.post("/api/keys/", READ | values)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def program(caller: Caller, key: str) -> Caller:
    return Caller(caller.client, caller.user, key)


async def test_a_key_is_shown_once_and_acts_for_its_account(customer: Caller, flavor: int) -> None:
    created = await create(customer, scopes=["order"])
    key = created.pop("key")
    assert created == {
        "id": created["id"],
        "user": customer.user.id,
        "name": "Web shop",
        "prefix": key[:16],
        "scopes": ["order"],
        "created_at": created["created_at"],
        "expires_at": None,
        "last_used_at": None,
    }
    answer = await program(customer, key).post("/api/orders/", {"quantity": 1, "flavor": flavor})
    row = await Order.objects().get(Order.id == answer.json()["order_id"])
    assert row is not None and row.user == customer.user.id
    listed = await customer.get("/api/keys/")
    assert listed.json() == [created]
    assert key not in listed.text


async def test_a_revoked_key_ends_at_once_in_this_process(customer: Caller) -> None:
    created = await create(customer)
    shop = program(customer, created["key"])
    assert (await shop.get("/api/me/")).status_code == 200
    revoked = await customer.request("DELETE", f"/api/keys/{created['id']}/")
    assert (revoked.status_code, revoked.content) == (204, b"")
    refused = await shop.get("/api/me/")
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid-token")
    assert (await customer.get("/api/keys/")).json() == []


async def test_a_revocation_in_another_process_takes_effect_within_a_second(
    customer: Caller,
) -> None:
    """Another process cannot notify this one."""
    created = await create(customer)
    shop = program(customer, created["key"])
    assert (await shop.get("/api/me/")).status_code == 200
    now = datetime.now(UTC)
    await ApiKey.update({ApiKey.revoked_at: now}).where(ApiKey.id == created["id"])
    await asyncio.sleep(1)
    assert (await shop.get("/api/me/")).status_code == 401


async def test_a_key_counts_as_its_user(customer: Caller) -> None:
    created = await create(customer)
    shop = program(customer, created["key"])
    left = []
    for caller, path in ((customer, "/api/me/"), (shop, "/api/me/"), (shop, "/api/keys/")):
        left.append((await caller.get(path)).headers["RateLimit"])
    remaining = [int(one.split("r=")[1].split(";")[0]) for one in left]
    assert remaining == [remaining[0], remaining[0] - 1, remaining[0] - 2]


async def test_a_key_without_the_scope_is_told_which_one(
    customer: Caller, flavor: int, caplog: pytest.LogCaptureFixture
) -> None:
    shop = program(customer, (await create(customer))["key"])
    answer = await shop.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer realm="icecream", error="insufficient_scope", scope="order"'
    )
    assert not await Order.exists().where(Order.user == customer.user.id)
    never = await shop.post("/api/keys/", READ)
    assert (never.status_code, never.json()["code"]) == (403, "insufficient-scope")
    assert "scope=" not in never.headers["WWW-Authenticate"]
    refusals = [one.msg for one in records_of(caplog, security.log)]
    assert refusals.count("access-refused") == 2


async def test_staff_see_and_revoke_the_keys_of_others(customer: Caller, staff: Caller) -> None:
    created = await create(customer)
    for user in (str(customer.user.id), "all"):
        listed = (await staff.get("/api/keys/", params={"user": user})).json()
        assert created["id"] in [one["id"] for one in listed]
    assert (await staff.get("/api/keys/")).json() == []
    assert (await customer.get("/api/keys/", params={"user": "all"})).status_code == 403
    revoked = await staff.request("DELETE", f"/api/keys/{created['id']}/")
    assert revoked.status_code == 204


async def test_only_admins_create_keys_for_others(
    customer: Caller, staff: Caller, hashed: str
) -> None:
    for caller in (customer, staff):
        other = {"user": (await new_user(hashed)).id}
        assert (await caller.post("/api/keys/", READ | other)).status_code == 403
    row = await new_user(hashed, admin=True, superuser=True)
    admin = Caller(customer.client, row, (await refresh_tokens.issue_pair(row)).access)
    created = await create(admin, user=customer.user.id)
    assert created["user"] == customer.user.id
    missing = await admin.post("/api/keys/", READ | {"user": 2**31 - 1})
    assert missing.status_code == 404


async def test_keys_are_listed_in_pages(customer: Caller) -> None:
    ids = [(await create(customer, name=f"key {n}"))["id"] for n in range(3)]
    first = await customer.get("/api/keys/", params={"limit": 2})
    assert [one["id"] for one in first.json()] == ids[:2]
    rest = await customer.get(first.links["next"]["url"])
    assert [one["id"] for one in rest.json()] == ids[2:]


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "\u200b"}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["staff"]}, "/scopes"),
        ({"scopes": ["write"]}, "/scopes"),
        ({"scopes": ["read", "staff"]}, "/scopes"),
        ({"scopes": "read"}, "/scopes"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:00"}, "/expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "tomorrow"}, "/expires_at"),
        ({"user": 0}, "/user"),
    ],
)
async def test_a_bad_value_is_named(customer: Caller, values: dict[str, Any], pointer: str) -> None:
    answer = await customer.post("/api/keys/", READ | values)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert not await ApiKey.exists().where(ApiKey.user == customer.user.id)


async def test_a_key_may_expire(customer: Caller) -> None:
    end = datetime.now(UTC) + timedelta(days=90)
    created = await create(customer, expires_at=end.isoformat())
    assert datetime.fromisoformat(created["expires_at"]) == end
    found = await api_keys.verify_key(created["key"])
    assert found is not None and found[0].exp == end
