"""Test the rules of API keys."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest

from icecream import errors
from icecream.accounts import api_keys, users
from icecream.runtime import background
from icecream.tables import ApiKey, Change
from tests.conftest import Caller, new_user, until

pytestmark = pytest.mark.anyio


async def find(key: int) -> ApiKey:
    row = await ApiKey.objects().get(ApiKey.id == key)
    assert row is not None
    return row


async def test_only_the_hash_of_a_key_is_stored(customer: Caller) -> None:
    row, key = await api_keys.create_key(customer.user.id, "shop", ["order"])
    assert re.fullmatch(r"ice_[0-9a-f]{12}_[0-9a-f]{48}", key)
    stored = await find(row["id"])
    secret = key.rpartition("_")[2]
    assert not any(secret in str(value) for value in stored.to_dict().values())
    assert stored.prefix in key


async def test_a_key_is_found_only_with_its_whole_secret(customer: Caller) -> None:
    row, key = await api_keys.create_key(customer.user.id, "shop", ["read"])
    found = await api_keys.verify_key(key)
    assert found is not None
    access, user = found
    assert (access.id, user.id) == (row["id"], customer.user.id)
    assert access.scopes == {"read"}
    assert access.exp == api_keys.NEVER
    other = (await api_keys.create_key(customer.user.id, "another", ["read"]))[1]
    start, prefix, secret = key.split("_")
    wrong = [
        f"{start}_{prefix}_{other.rpartition('_')[2]}",
        f"{start}_{'0' * 12}_{secret}",
        f"{start}_{prefix}_{secret[:-1]}",
        f"{key}0",
        f"{key}\n",
        key.upper(),
        row["prefix"],
        "ice_",
    ]
    assert [await api_keys.verify_key(one) for one in wrong] == [None] * len(wrong)


async def test_placing_orders_includes_reading(customer: Caller) -> None:
    _, key = await api_keys.create_key(customer.user.id, "shop", ["order"])
    found = await api_keys.verify_key(key)
    assert found is not None and found[0].scopes == {"read", "order"}


async def test_a_key_of_staff_is_a_customers_without_the_scope(hashed: str) -> None:
    admin = await new_user(hashed, admin=True, superuser=True)
    roles = []
    for scopes in (["order"], ["order", "staff"]):
        _, key = await api_keys.create_key(admin.id, "a program", scopes)
        found = await api_keys.verify_key(key)
        assert found is not None
        roles.append((found[1].admin, found[1].superuser))
    assert roles == [(False, False), (True, True)]
    await users.edit_user(admin.id, {"admin": False}, by=None, also_last_admin=True)
    found = await api_keys.verify_key(key)
    assert found is not None and not found[1].admin


async def test_a_key_ends_when_it_expires(customer: Caller) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    _, key = await api_keys.create_key(customer.user.id, "brief", ["read"], expires_at=soon)
    found = await api_keys.verify_key(key)
    assert found is not None and found[0].exp == soon
    await asyncio.sleep(0.5)
    assert await api_keys.verify_key(key) is None


async def test_a_key_ends_with_its_account_and_not_with_the_password(customer: Caller) -> None:
    _, key = await api_keys.create_key(customer.user.id, "shop", ["read"])
    await users.set_password(customer.user.id, "another password")
    assert await api_keys.verify_key(key) is not None
    await users.disable_user(customer.user.id)
    assert await api_keys.verify_key(key) is None
    with pytest.raises(errors.NotFound):
        await api_keys.create_key(customer.user.id, "late", ["read"])


@pytest.mark.parametrize("scopes", [[], ["staff"]])
async def test_a_key_must_allow_something(staff: Caller, scopes: list[str]) -> None:
    with pytest.raises(errors.ValidationFailed, match="must contain read or order"):
        await api_keys.create_key(staff.user.id, "useless", scopes)


async def test_only_staff_have_keys_of_staff(customer: Caller) -> None:
    with pytest.raises(errors.ValidationFailed, match="Only an account of staff"):
        await api_keys.create_key(customer.user.id, "too much", ["read", "staff"])
    assert not await ApiKey.exists().where(ApiKey.user == customer.user.id)


async def test_the_number_of_keys_is_limited(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MAX_KEYS", 3)
    attempts = (api_keys.create_key(customer.user.id, "one of many", ["read"]) for _ in range(5))
    results = await asyncio.gather(*attempts, return_exceptions=True)
    refused = [one for one in results if isinstance(one, errors.TooManyApiKeys)]
    assert len(refused) == 2
    created = [one for one in results if isinstance(one, tuple)]
    await api_keys.revoke_key(created[0][0]["id"], user=customer.user.id)
    await api_keys.create_key(customer.user.id, "the next", ["read"])


async def test_a_key_is_revoked_once_and_by_its_owner(customer: Caller, stranger: Caller) -> None:
    row, key = await api_keys.create_key(customer.user.id, "shop", ["read"])
    with pytest.raises(errors.NotFound):
        await api_keys.revoke_key(row["id"], user=stranger.user.id)
    assert await api_keys.verify_key(key) is not None
    await api_keys.revoke_key(row["id"], user=customer.user.id)
    assert await api_keys.verify_key(key) is None
    with pytest.raises(errors.NotFound):
        await api_keys.revoke_key(row["id"], user=None)


async def test_the_history_of_the_account_names_its_keys(customer: Caller, staff: Caller) -> None:
    row, key = await api_keys.create_key(
        customer.user.id, "shop", ["order", "read"], by=customer.user.id
    )
    await api_keys.revoke_key(row["id"], user=None, by=staff.user.id)
    columns = (Change.before, Change.after, Change.by)
    about = (Change.subject == "user") & (Change.row == customer.user.id)
    changes = await Change.select(*columns).where(about).order_by(Change.id)
    named = f"shop (ice_{row['prefix']}): read order"
    assert changes == [
        {"before": None, "after": named, "by": customer.user.id},
        {"before": named, "after": None, "by": staff.user.id},
    ]
    assert key not in str(changes)


async def test_the_last_use_is_written_once_in_an_interval(customer: Caller) -> None:
    row, key = await api_keys.create_key(customer.user.id, "shop", ["read"])
    await api_keys.key_uses.write()
    assert (await find(row["id"])).last_used_at is None
    await api_keys.verify_key(key)
    assert (await find(row["id"])).last_used_at is None
    await api_keys.key_uses.write()
    first = (await find(row["id"])).last_used_at
    assert first is not None
    await api_keys.verify_key(key)
    await api_keys.key_uses.write()
    assert (await find(row["id"])).last_used_at == first
    long_ago = first - api_keys.USE_WRITE_INTERVAL
    await ApiKey.update({ApiKey.last_used_at: long_ago}).where(ApiKey.id == row["id"])
    await api_keys.verify_key(key)
    await api_keys.key_uses.write()
    assert (await find(row["id"])).last_used_at > long_ago


async def test_a_background_task_writes_the_uses(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "USE_WRITE_DELAY_SECONDS", 0)
    uses, row = api_keys.KeyUses(), (await api_keys.create_key(customer.user.id, "a", ["read"]))[0]
    writing = asyncio.create_task(uses.write_repeatedly())
    uses.add(row["id"], None)

    async def is_written() -> bool:
        return (await find(row["id"])).last_used_at is not None

    await until(is_written)
    await background.cancel_tasks({writing})
    assert (await find(row["id"])).last_used_at is not None
