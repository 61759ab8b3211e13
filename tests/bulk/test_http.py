"""Test import and export over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from icecream import database
from icecream.accounts import api_keys, refresh_tokens, users
from icecream.bulk import http, running
from icecream.tables import Flavor, Order, User
from tests.bulk.test_importing import name_of
from tests.conftest import Caller, new_flavor, new_user, place
from tests.test_app import check_problem

pytestmark = pytest.mark.anyio
CSV = {"Content-Type": "text/csv; charset=utf-8"}
JSON_LINES = {"Content-Type": "application/x-ndjson"}


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_staff_import_orders_and_read_a_result_for_each_row(
    staff: Caller, customer: Caller
) -> None:
    name = await name_of(await new_flavor())
    text = (
        "key;customer;flavor_name;quantity\n"
        f"{name} a;{customer.user.username};{name};2\n"
        f"{name} b;{customer.user.username};{name};0\n"
    )
    refused = {
        "row": 3,
        "result": "refused",
        "pointer": "/lines/0/quantity",
        "code": "invalid",
        "detail": "quantity must be a whole number from 1 to 100000.",
    }
    counts = {"rows": 2, "updated": 0, "skipped": 0, "refused": 1}
    tried = lines(await staff.post("/api/import/orders?dry_run=true", content=text, headers=CSV))
    summary = counts | {"created": 1, "unchanged": 0, "dry_run": True}
    assert tried == [{"row": 2, "result": "created"}, refused, {"summary": summary}]
    placed, *rest = lines(await staff.post("/api/import/orders", content=text, headers=CSV))
    assert rest == [refused, {"summary": summary | {"dry_run": False}}]
    assert await Order.exists().where(Order.id == placed["id"], Order.user == customer.user.id)
    (again, *_) = lines(await staff.post("/api/import/orders", content=text, headers=CSV))
    assert again == {"row": 2, "result": "unchanged", "id": placed["id"]}


@pytest.mark.parametrize("kind", running.KINDS)
@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
async def test_an_export_is_imported_unchanged(staff: Caller, kind: str, file_format: str) -> None:
    await place(staff.user.id, {await new_flavor(stock=3): 1})
    answer = await staff.get(f"/api/export/{kind}?format={file_format}")
    assert answer.headers["content-disposition"] == f'attachment; filename="{kind}.{file_format}"'
    headers = CSV if file_format == "csv" else JSON_LINES
    path = f"/api/import/{kind}"
    (*rows, last) = lines(await staff.post(path, content=answer.content, headers=headers))
    assert [one for one in rows if one["result"] != "unchanged"] == []
    assert last["summary"]["unchanged"] == last["summary"]["rows"] > 0


async def test_a_customer_may_do_neither(customer: Caller) -> None:
    for answer in (
        await customer.post("/api/import/orders", content="key", headers=CSV),
        await customer.get("/api/export/orders"),
    ):
        check_problem(answer, 403, "forbidden")


async def test_no_key_of_a_program_imports_accounts(client: httpx.AsyncClient, hashed: str) -> None:
    admin = await new_user(hashed, admin=True, superuser=True)
    other = await new_user(hashed, admin=True, superuser=True)
    _, key = await api_keys.create_key(admin.id, "a program", ["order", "staff"])
    text = f"username,active\n{other.username},false\n"
    headers = CSV | {"Authorization": f"Bearer {key}"}
    answer = await client.post("/api/import/customers", content=text, headers=headers)
    check_problem(answer, 403, "forbidden")
    assert await User.exists().where(User.id == other.id, User.active.eq(True))


@pytest.mark.parametrize("ended", ["account", "role", "sign-in", "key"])
async def test_an_import_stops_when_its_caller_may_not_import_any_more(
    client: httpx.AsyncClient, hashed: str, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    monkeypatch.setattr(http, "RIGHTS_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(running, "MAX_BATCH_ROWS", 1)
    user, name = await new_user(hashed, admin=True), await name_of(await new_flavor())
    key, token = await api_keys.create_key(user.id, "a program", ["order", "staff"])
    if ended != "key":
        token = (await refresh_tokens.issue_pair(user)).access
    send = http._send_lines

    async def end_after_the_first_row(values: list[Any], *args: Any, **options: Any) -> None:
        await send(values, *args, **options)
        monkeypatch.setattr(http, "_send_lines", send)
        if ended == "account":
            await users.edit_user(user.id, {"active": False}, by=None)
        elif ended == "role":
            await users.edit_user(user.id, {"admin": False}, by=None)
        elif ended == "sign-in":
            await refresh_tokens.revoke_tokens(user.id)
        else:
            await api_keys.revoke_key(key["id"], user=user.id, by=user.id)

    monkeypatch.setattr(http, "_send_lines", end_after_the_first_row)
    headers = CSV | {"Authorization": f"Bearer {token}"}
    text = f"flavor_name,price_minor\n{name},301\n{name},302\n"
    first, last = lines(await client.post("/api/import/prices", content=text, headers=headers))
    assert first["result"] == "updated"
    assert last["error"]["code"] == ("forbidden" if ended == "role" else "invalid-token")
    assert await Flavor.exists().where(Flavor.name == name, Flavor.price == 301)


async def test_nothing_is_imported_if_the_rights_of_the_caller_end_during_the_upload(
    client: httpx.AsyncClient, hashed: str
) -> None:
    user, name = await new_user(hashed, admin=True), await name_of(await new_flavor())
    token = (await refresh_tokens.issue_pair(user)).access

    async def upload() -> AsyncIterator[bytes]:
        yield b"flavor_name,price_minor\n"
        await users.edit_user(user.id, {"active": False}, by=None)
        yield f"{name},301\n".encode()

    headers = CSV | {"Authorization": f"Bearer {token}"}
    answer = await client.post("/api/import/prices", content=upload(), headers=headers)
    check_problem(answer, 401, "invalid-token")
    assert not await Flavor.exists().where(Flavor.name == name, Flavor.price == 301)


async def test_a_client_that_does_not_read_does_not_stop_other_imports(
    staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SEND_TIMEOUT_SECONDS", 0.01)

    async def never(message: Any) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await http._send_lines([{}], never)


async def test_a_file_that_cannot_be_read_is_refused(staff: Caller) -> None:
    problem = check_problem(
        await staff.post("/api/import/stock", content="key,reason\n", headers=CSV),
        400,
        "validation-failed",
    )
    assert problem["errors"][0]["pointer"] == "/1/quantity"
    for headers in ({"Content-Type": "application/json"}, {}):
        answer = await staff.post("/api/import/stock", content="{}", headers=headers)
        check_problem(answer, 415, "unsupported-media-type")
    packed = CSV | {"Content-Encoding": "gzip"}
    answer = await staff.post("/api/import/stock", content="key", headers=packed)
    check_problem(answer, 415, "unsupported-media-type")


async def test_an_unknown_kind_or_format_is_refused(staff: Caller) -> None:
    answer = await staff.post("/api/import/users", content="key", headers=CSV)
    check_problem(answer, 404, "not-found")
    check_problem(await staff.get("/api/export/users"), 404, "not-found")
    check_problem(await staff.get("/api/export/stock?format=xml"), 400, "validation-failed")


async def test_a_file_that_is_too_large_is_refused(staff: Caller) -> None:
    headers = CSV | {"Content-Length": str(http.MAX_FILE_BYTES + 1)}
    answer = await staff.post("/api/import/stock", content=b"x", headers=headers)
    check_problem(answer, 413, "payload-too-large")


async def test_one_import_runs_at_a_time(staff: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    name = await name_of(await new_flavor())
    begun, go_on, check = asyncio.Event(), asyncio.Event(), running.Import.check

    async def slow(work: running.Import) -> int:
        begun.set()
        await go_on.wait()
        return await check(work)

    monkeypatch.setattr(running.Import, "check", slow)
    text = f"flavor_name,price_minor\n{name},300\n"
    first = asyncio.create_task(staff.post("/api/import/prices", content=text, headers=CSV))
    await begun.wait()
    answer = await staff.post("/api/import/prices", content="x", headers=CSV)
    check_problem(answer, 503, "unavailable")
    go_on.set()
    assert lines(await first)[0]["result"] == "updated"


async def test_an_outage_ends_the_results_without_a_summary(
    staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [await name_of(await new_flavor()) for _ in range(2)]
    prices = running.KINDS["prices"]
    done = 0

    async def fail_later(rows: Any, by: Any, *, dry_run: bool) -> Any:
        nonlocal done
        done += 1
        if done == 2:
            raise database.DatabaseUnavailable("the test stops it")
        return await prices.apply(rows, by, dry_run=dry_run)

    altered = {
        "prices": type(prices)(
            **{name: getattr(prices, name) for name in prices.__struct_fields__}
            | {"apply": fail_later}
        )
    }
    monkeypatch.setattr(running, "KINDS", altered)
    text = "flavor_name,price_minor\n" + "".join(f"{name},300\n" for name in names)
    found = lines(await staff.post("/api/import/prices", content=text, headers=CSV))
    assert found[0]["result"] == "updated"
    assert found[1]["error"]["code"] == "unavailable"
    monkeypatch.undo()
    again = lines(await staff.post("/api/import/prices", content=text, headers=CSV))
    assert [one.get("result") for one in again] == ["unchanged", "updated", None]
    assert await Flavor.count().where(Flavor.name.is_in(names), Flavor.price == 300) == 2
