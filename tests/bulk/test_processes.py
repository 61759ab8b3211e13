"""Test the commands: a killed import and its repetition, and the move to an empty installation."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icecream.bulk import running
from tests.conftest import create_database
from tests.processes import Shop

pytestmark = pytest.mark.anyio
ORDERS = 430
# The process dies in the third batch of orders: in its transaction, or after its commit.
KILLED_BEFORE_COMMIT = """
import os, signal
from icecream.runtime import failpoints
count = 0
def die():
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
failpoints.arm_failpoint("orders.before_commit", die)
"""
KILLED_AFTER_COMMIT = """
import os, signal
from icecream.bulk import kinds
count, carry_out = 0, kinds.carry_out
async def die(work, *, dry_run):
    global count
    count += 1
    result = await carry_out(work, dry_run=dry_run)
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
kinds.carry_out = die
"""


@pytest.fixture
async def shop(tmp_path: Path, empty_database: str) -> Any:
    with Shop(tmp_path / "shop", empty_database) as shop:
        yield shop


@pytest.fixture
async def other(tmp_path: Path, opened: None) -> Any:
    (tmp_path / "other").mkdir()
    url = await create_database(tmp_path / "other")
    with Shop(tmp_path / "other" / "shop", url) as shop:
        yield shop


def write_files(folder: Path) -> None:
    """Write a file of each kind."""
    (folder / "flavors.csv").write_text(
        "name;sku;price_eur;description;allergens;min_quantity;on_sale_from;on_sale_to\n"
        'Mango;MAN;2,60;"two\nlines";milk nuts;1;01.01.2020;\n'
        "Old;OLD;1,00;=1+1;none;;;2020-12-31\n"
    )
    (folder / "prices.csv").write_text("sku,price_minor\nMAN,275\n")
    (folder / "customers.csv").write_text("username,email\nAda,ada@example.org\nBert,\n")
    (folder / "stock.csv").write_text(
        "key,sku,quantity,reason\nD-1,MAN,5000,delivery\nD-2,MAN,-7,broken\n"
    )
    (folder / "orders.csv").write_text(
        "key,customer,sku,flavor_name,quantity,reference\n"
        "two,Ada,MAN,,2,PO-1\ntwo,Ada,,Vanilla,1,PO-1\n"
        + "".join(f"o-{n},{('Ada', 'Bert')[n % 2]},MAN,,{n % 5 + 1},\n" for n in range(ORDERS))
    )


def fill(shop: Shop) -> None:
    done = shop.run("migrate")
    assert done.returncode == 0, done.stdout
    write_files(shop.folder)
    for kind in ("flavors", "prices", "customers", "stock"):
        done = shop.run("import", kind, f"{kind}.csv")
        assert done.returncode == 0, done.stdout


def results(output: str) -> tuple[Counter[str], dict[str, Any]]:
    """Return the counts of the results, and the summary."""
    (*rows, last) = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return Counter(row["result"] for row in rows), last["summary"]


def exported(shop: Shop, file_format: str = "csv") -> Iterator[tuple[str, str]]:
    for kind in running.KINDS:
        done = shop.run("export", kind, "--format", file_format)
        assert done.returncode == 0, done.stdout
        yield kind, done.stdout


@pytest.mark.parametrize("alteration", [KILLED_BEFORE_COMMIT, KILLED_AFTER_COMMIT])
def test_a_killed_import_that_is_repeated_ends_as_if_it_ran_once(
    shop: Shop, alteration: str
) -> None:
    fill(shop)
    killed = shop.begin_altered(alteration, "import", "orders", "orders.csv")
    assert killed.wait() != 0
    done = shop.run("import", "orders", "orders.csv", "--json")
    assert done.returncode == 0, done.stdout
    found, summary = results(done.stdout)
    assert found.total() == summary["rows"] == ORDERS + 1
    assert found["created"] + found["unchanged"] == ORDERS + 1
    assert 100 <= found["unchanged"] <= 300
    (stock,) = [
        row["stock"]
        for row in json.loads(shop.run("flavors", "--json").stdout)
        if row["name"] == "Mango"
    ]
    assert stock == 5000 - 7 - 2 - sum(n % 5 + 1 for n in range(ORDERS))
    doctor = shop.run("doctor")
    assert doctor.returncode == 0, doctor.stdout


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
def test_an_empty_installation_gets_equal_data(shop: Shop, other: Shop, file_format: str) -> None:
    fill(shop)
    assert shop.run("import", "orders", "orders.csv").returncode == 0
    assert other.run("migrate").returncode == 0
    first = dict(exported(shop, file_format))
    for kind, text in first.items():
        name = f"{kind}.{file_format}"
        for target in (other, shop):
            (target.folder / name).write_text(text, newline="")
        done = other.run("import", kind, name)
        assert done.returncode == 0, done.stdout
        done = shop.run("import", kind, name, "--json")
        found, _ = results(done.stdout)
        assert found.keys() == {"unchanged"}, done.stdout
    assert dict(exported(other, file_format)) == first
    assert other.run("doctor").returncode == 0


def test_a_refused_row_or_file_ends_with_an_error(shop: Shop) -> None:
    fill(shop)
    path = shop.folder / "more.csv"
    path.write_text(
        "key,sku,quantity,reason\n"
        + "".join(f"k{n},NONE,1,x\n" for n in range(30))
        + "D-9,MAN,1,x\n"
    )
    done = shop.run("import", "stock", "more.csv", "--dry-run")
    assert done.returncode == 1
    assert "row 2: There is no flavor with the article number NONE. (/sku)" in done.stdout
    assert "and 10 more refused rows (--json has all)" in done.stdout
    assert "31 rows: 1 created, 0 updated, 0 unchanged, 0 skipped, 30 refused." in done.stdout
    assert "nothing was changed" in done.stdout
    path.write_bytes(b"key,sku,quantity,reason\nD-9,MAN,1,x\nD-8,MAN,1,\xe9\n")
    done = shop.run("import", "stock", "more.csv")
    assert done.returncode == 1
    assert done.stdout.startswith("icecream: Row 3 of the file: it is not text in UTF-8")
    assert "D-9" not in shop.run("export", "stock").stdout
