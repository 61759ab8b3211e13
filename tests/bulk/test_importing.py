"""Test imports and exports: each row once, with its result, and back again."""

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from icecream.bulk import reading, running, writing
from icecream.integrity import doctor
from icecream.tables import (
    Change,
    Flavor,
    ImportedKey,
    Order,
    OrderLine,
    Payment,
    StockMove,
    User,
)
from tests.conftest import Caller, apply_all, new_flavor, place

pytestmark = pytest.mark.anyio
TABLES = (Change, Flavor, ImportedKey, Order, OrderLine, Payment, StockMove, User)
FORMATS: tuple[reading.Format, ...] = ("csv", "jsonl")


async def bring_in(
    kind: str, text: str, file_format: reading.Format = "csv", **options: Any
) -> list[running.RowResult]:
    file = io.BytesIO(text.encode())
    work = running.Import(file, running.KINDS[kind], file_format, **options)
    rows = await work.check()
    results = [one async for some in work.run() for one in some]
    assert work.summary.rows == len(results) == rows
    return results


async def export(kind: str, file_format: reading.Format = "csv") -> str:
    return "".join([text async for text in writing.write_rows(running.KINDS[kind], file_format)])


def words(results: list[running.RowResult]) -> list[str]:
    return [one.code or one.result for one in results]


async def counts() -> list[int]:
    return [await table.count() for table in TABLES]


async def name_of(flavor: int) -> str:
    row = await Flavor.select(Flavor.name).where(Flavor.id == flavor).first()
    assert row is not None
    return str(row["name"])


async def require_sound() -> None:
    await apply_all()
    assert await doctor.find_violations() == {}


async def test_flavors_are_created_edited_and_left_alone() -> None:
    name = await name_of(await new_flavor())
    text = (
        "name;sku;price_eur;allergens;min_quantity;archived\n"
        f"{name};;2,60;milk nuts;6;\n"
        f"{name} new;SKU-{name[7:]};3;none;;true\n"
    )
    before = await counts()
    assert words(await bring_in("flavors", text, dry_run=True)) == ["updated", "created"]
    assert await counts() == before
    edited, created = await bring_in("flavors", text)
    assert (edited.result, created.result) == ("updated", "created")
    row = await Flavor.select().where(Flavor.id == edited.id).output(load_json=True).first()
    assert row is not None
    assert (row["price"], row["allergens"], row["min_quantity"], row["version"]) == (
        260,
        ["milk", "nuts"],
        6,
        2,
    )
    row = await Flavor.select().where(Flavor.id == created.id).output(load_json=True).first()
    assert row is not None
    assert (row["price"], row["allergens"], row["archived"]) == (300, [], True)
    after = await counts()
    assert words(await bring_in("flavors", text)) == ["unchanged", "unchanged"]
    assert await counts() == after
    # The article number finds the flavor under its new name.
    text = f"name;sku\n{name} renamed;SKU-{name[7:]}\n{name};SKU-{name[7:]}\n"
    assert words(await bring_in("flavors", text)) == ["updated", "taken"]


async def test_prices_are_those_of_existing_flavors() -> None:
    name = await name_of(await new_flavor())
    text = f"flavor_name,price_minor\n{name},275\nmissing,1\n"
    for dry_run in (True, False):
        assert words(await bring_in("prices", text, dry_run=dry_run)) == [
            "updated",
            "unknown-flavor",
        ]
    assert words(await bring_in("prices", text)) == ["unchanged", "unknown-flavor"]


@pytest.mark.parametrize(
    ("kind", "text", "pointer"),
    [
        ("flavors", "name\n \u200b \n", "/name"),
        ("prices", "flavor_name,price_minor\n \u200b ,1\n", "/flavor_name"),
        ("stock", "key,flavor_name,quantity,reason\na, \u200b ,1,b\n", "/flavor_name"),
        ("orders", "key,customer,flavor_name,quantity\na,b, \u200b ,1\n", "/lines/0/flavor_name"),
    ],
)
async def test_a_refused_name_is_named_as_in_the_file(kind: str, text: str, pointer: str) -> None:
    (result,) = await bring_in(kind, text)
    assert (result.result, result.pointer) == ("refused", pointer)


async def test_customers_get_no_password_and_no_rights(staff: Caller) -> None:
    name = staff.user.username
    text = (
        "username,email,active\n"
        f"{name} shop,{name}@example.org,\n"
        f"{name} other,{name}@example.org,\n"
        f"{name},,false\n"
    )
    expected = ["created", "taken", "forbidden"]
    assert words(await bring_in("customers", text, by=staff.user)) == expected
    assert words(await bring_in("customers", text, by=staff.user)) == ["unchanged", *expected[1:]]
    row = await User.objects().where(User.username == f"{name} shop").first()
    assert row is not None
    assert (row.admin, row.superuser, row.active) == (False, False, True)
    assert await User.login(row.username, "") is None
    text = f"username,active\n{name} shop,false\n{name} next,false\n"
    before = await counts()
    assert words(await bring_in("customers", text, dry_run=True)) == ["updated", "created"]
    assert await counts() == before
    assert words(await bring_in("customers", text)) == ["updated", "created"]
    assert words(await bring_in("customers", text)) == ["unchanged", "unchanged"]


async def test_a_receipt_counts_once() -> None:
    flavor = await new_flavor(stock=10)
    name = await name_of(flavor)
    text = (
        "key,flavor_name,quantity,reason,received_at\n"
        f"{name} 1,{name},5,delivery,2025-05-13T10:22:06Z\n"
        f"{name} 2,{name},-16,loss,\n"
        f"{name} 3,{name},-15,loss,\n"
        f"{name} 4,{name},1,later,2999-01-01T00:00:00Z\n"
        f"{name} 5,{name},1,early,0001-01-01T00:00:00+23:59\n"
        f"{name} 6,{name},1,late,9999-12-31T23:59:59-23:59\n"
    )
    before = await counts()
    await bring_in("stock", text, dry_run=True)
    assert await counts() == before
    expected = ["created", "insufficient-stock", "created", "invalid", "invalid", "invalid"]
    assert words(await bring_in("stock", text)) == expected
    assert words(await bring_in("stock", text.replace("-15", "-14")))[2] == "key-reused"
    expected = [word.replace("created", "unchanged") for word in expected]
    assert words(await bring_in("stock", text)) == expected
    row = await Flavor.select(Flavor.stock).where(Flavor.id == flavor).first()
    assert row == {"stock": 0}
    await require_sound()


async def test_an_order_is_placed_once(customer: Caller) -> None:
    flavor, other = await new_flavor(stock=10), await new_flavor()
    name, second, shop = await name_of(flavor), await name_of(other), customer.user.username
    text = (
        "key,customer,flavor_name,quantity,reference,delivery_date,status\n"
        f"{name} 1,{shop},{name},3,PO-1,,\n"
        f"{name} 1,{shop},{second},2,PO-1,,\n"
        f"{name} 2,{shop},{name},8,,,\n"
        f"{name} 3,{shop},{name},1,,2001-01-01,\n"
        f"{name} 4,nobody,{name},1,,,\n"
        f"{name} 5,{shop},missing,1,,,\n"
        f"{name} 6,{shop},{name},1,,,canceled\n"
        f"{name} 7,{shop},{name},1,,,refunded\n"
        f"{name} 8,{shop},{name},1,,,payed\n"
    )
    expected = [
        "created",
        "insufficient-stock",
        "invalid",
        "unknown-customer",
        "unknown-flavor",
        "skipped",
        "skipped",
        "invalid",
    ]
    before = await counts()
    assert words(await bring_in("orders", text, dry_run=True)) == expected
    assert await counts() == before
    placed: list[Any] = []
    results = await bring_in("orders", text, on_placed=placed.extend)
    assert words(results) == expected
    assert [one.row for one in results] == [2, 4, 5, 6, 7, 8, 9, 10]
    assert [one.order for one in placed] == [results[0].id]
    order = await Order.objects().where(Order.id == results[0].id).first()
    assert order is not None
    assert (order.user, order.total, order.reference) == (customer.user.id, 5 * 250, "PO-1")
    after = await counts()
    again = await bring_in("orders", text, on_placed=placed.extend)
    assert words(again) == ["unchanged", *expected[1:]]
    assert again[0].id == results[0].id
    assert (await counts(), len(placed)) == (after, 1)
    await require_sound()


async def test_an_order_with_a_faulty_line_is_not_placed_in_part(customer: Caller) -> None:
    a, b, c = [await name_of(await new_flavor()) for _ in range(3)]
    shop, before = customer.user.username, await counts()
    text = (
        "key;customer;flavor_name;quantity;unit_price_eur;note\n"
        f"{a} 1;{shop};{a};2;2,50;\n{a} 1;{shop};{b};3;4,50 €;\n{a} 1;{shop};{c};5;2,50;\n"
        f"{a} 2;{shop};{a};2;x;\n{a} 2;{shop};{b};3;2,50;\n"
        f"{a} 3;{shop};{a};2;;a;b\n{a} 3;{shop};{b};3;2,50;a\n"
        f"{a} 4;{shop};{a};2;;\n;{shop};{b};3;;\n"
        f"{a} 5 ;{shop};{a};2;;\n"
    )
    results = await bring_in("orders", text)
    assert [(one.row, one.pointer, one.code) for one in results] == [
        (3, "/lines/1/unit_price_eur", "invalid"),
        (5, "/unit_price_eur", "invalid"),
        (7, "", "too-many-cells"),
        (10, "/lines/1/key", "missing"),
        (11, "/key", "invalid"),
    ]
    assert await counts() == before
    # The corrected file is imported as if it were the first one.
    right = text.replace(" €", "").replace(";x;", ";;").replace("a;b", "a")
    right = right.replace("\n;", f"\n{a} 4;").replace(" 5 ;", " 5;")
    assert words(await bring_in("orders", right)) == ["created"] * 5


async def test_an_imported_order_is_recorded_now_and_by_its_importer(
    customer: Caller, staff: Caller
) -> None:
    name = await name_of(await new_flavor())
    before = datetime.now(UTC) - timedelta(minutes=1)
    text = (
        "key,customer,flavor_name,quantity,placed_at\n"
        f"{name},{customer.user.username},{name},2,2026-01-02T03:04:05Z\n"
    )
    (result,) = await bring_in("orders", text, by=staff.user)
    order = (await customer.get(f"/api/orders/{result.id}/")).json()
    assert order["created_at"] == "2026-01-02T03:04:05Z"
    (placed,) = order["history"]
    assert (placed["type"], placed["by"]) == ("placed", staff.user.id)
    assert datetime.fromisoformat(placed["at"]) > before
    # So programs that ask for changes see it.
    since = f"{before:%Y-%m-%dT%H:%M:%SZ}"
    changed = (await customer.get(f"/api/orders/?updated_from={since}")).json()
    assert result.id in [one["id"] for one in changed]


async def test_faulty_and_empty_rows_do_not_stop_the_event_loop() -> None:
    rounds = 0

    async def count_rounds() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    counting = asyncio.create_task(count_rounds())
    results = await bring_in("prices", "\n" * 1000 + '{"x": 1}\n' * 5000, "jsonl")
    counting.cancel()
    assert {one.code for one in results} == {"unknown-field"}
    # At least once between the batches.
    assert rounds >= len(results) / running.MAX_BATCH_ROWS


async def test_a_disabled_account_gets_no_order(customer: Caller) -> None:
    name = await name_of(await new_flavor())
    await User.update({User.active: False}).where(User.id == customer.user.id)
    text = f"key,customer,flavor_name,quantity\n{name},{customer.user.username},{name},1\n"
    (result,) = await bring_in("orders", text)
    assert (result.pointer, result.code) == ("/customer", "unknown-customer")


async def test_two_imports_of_one_file_at_once_place_each_order_once(customer: Caller) -> None:
    name = await name_of(await new_flavor(stock=1000))
    text = "key,customer,flavor_name,quantity\n" + "".join(
        f"{name} {n},{customer.user.username},{name},1\n" for n in range(250)
    )
    both = await asyncio.gather(bring_in("orders", text), bring_in("orders", text))
    found = [sorted((one.result, two.result)) for one, two in zip(*both, strict=True)]
    assert found == [["created", "unchanged"]] * 250
    assert [one.id for one in both[0]] == [one.id for one in both[1]]
    await require_sound()


@pytest.mark.parametrize("file_format", FORMATS)
async def test_an_export_changes_nothing_where_it_comes_from(
    customer: Caller, file_format: reading.Format
) -> None:
    """Also orders and receipts that were never imported."""
    flavor = await new_flavor(stock=10, description='=1+1\n"quoted"; -2', sku=None)
    await place(customer.user.id, {flavor: 2, await new_flavor(): 1})
    before = await counts()
    for kind in running.KINDS:
        text = await export(kind, file_format)
        assert text == await export(kind, file_format)
        assert {one.result for one in await bring_in(kind, text, file_format)} <= {"unchanged"}
    assert await counts() == before


async def test_a_formula_is_exported_as_text_and_comes_back(customer: Caller) -> None:
    name = await name_of(await new_flavor())
    notes = ["=1+1", "'=1", "''-2", "'plain", "a;=b", '"=1', "\n=x", "@a\n'+b"]
    lines = [f'{{"flavor_name": "{name}", "quantity": 1}}']
    text = "".join(
        f'{{"key": "{name} {n}", "customer": "{customer.user.username}",'
        f' "note": {json.dumps(note)}, "lines": [{lines[0]}]}}\n'
        for n, note in enumerate(notes)
    )
    results = await bring_in("orders", text, "jsonl")
    assert words(results) == ["created"] * len(notes)
    sheet = await export("orders")
    assert "'=1+1" in sheet
    assert ",=1+1" not in sheet
    again = await bring_in("orders", sheet)
    assert {one.result for one in again} == {"unchanged"}


async def test_a_batch_with_a_refused_row_imports_the_others() -> None:
    name = await name_of(await new_flavor(stock=1))
    text = "key,flavor_name,quantity,reason\n" + "".join(
        f"{name} {n},{'missing' if n % 7 == 3 else name},1,x\n" for n in range(120)
    )
    found = words(await bring_in("stock", text))
    assert found == ["unknown-flavor" if n % 7 == 3 else "created" for n in range(120)]
