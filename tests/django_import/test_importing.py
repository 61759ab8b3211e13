"""Test the import from the original's database, here a SQLite file with Django's tables."""

import base64
import hashlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from icecream import database
from icecream.catalogue import flavors, inventory
from icecream.django_import import importing, source
from icecream.django_import.report import ImportReport
from icecream.integrity import doctor
from icecream.tables import Flavor, ImportedRow, Order, OrderLine, User
from tests.conftest import Caller, apply_all, new_flavor

pytestmark = pytest.mark.anyio
SCHEMA = """
CREATE TABLE auth_user (id integer PRIMARY KEY, password varchar(128), last_login datetime,
    is_superuser bool, username varchar(150), last_name varchar(150), email varchar(254),
    is_staff bool, is_active bool, date_joined datetime, first_name varchar(150));
CREATE TABLE shop_flavor (id integer PRIMARY KEY, name varchar(100));
CREATE TABLE shop_order (id integer PRIMARY KEY, quantity integer, status varchar(20),
    created_at datetime, user_id integer, flavor_id bigint);
CREATE TABLE django_migrations (id integer PRIMARY KEY, name varchar(255));
"""
AT = "2025-05-13 10:22:06.428877"
# Larger than every id that the other tests use.
START = 10**9


def django_hash(password: str) -> str:
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), b"sa/lt", 1000)
    return f"pbkdf2_sha256$1000$sa/lt${base64.b64encode(digest).decode()}"


class Original:
    """A database of the original; each has names and ids of its own."""

    def __init__(self, path: Path, number: int) -> None:
        self.path, self.first = path, START + number * 1000
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(SCHEMA)

    def name(self, text: str) -> str:
        return f"{text} {self.first}"

    def user(self, n: int, name: str, password: str = "", **values: Any) -> int:
        row = {
            "id": self.first + n,
            "username": self.name(name),
            "password": password or django_hash("correct horse"),
            "email": "",
            "is_active": 1,
            "is_staff": 0,
            "is_superuser": 0,
        } | values
        self._insert("auth_user", row)
        return self.first + n

    def flavor(self, n: int, name: str) -> int:
        self._insert("shop_flavor", {"id": self.first + n, "name": self.name(name)})
        return self.first + n

    def order(
        self, n: int, user: int, flavor: int, *, quantity: int = 1, status: str = "paid"
    ) -> int:
        row = {
            "id": self.first + n,
            "user_id": user,
            "flavor_id": flavor,
            "quantity": quantity,
            "status": status,
            "created_at": AT,
        }
        self._insert("shop_order", row)
        return self.first + n

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        marks = ", ".join("?" * len(row))
        self.connection.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", [*row.values()]
        )

    async def imported(self, *, place_pending: bool = False) -> ImportReport:
        async with source.open_source(str(self.path)) as original:
            return await importing.import_all(
                original, place_pending=place_pending, on_orders=lambda count: None
            )


NUMBERS = iter(range(1000))


@pytest.fixture
def original(tmp_path: Path, nothing_due: None) -> Iterator[Original]:
    made = Original(tmp_path / "db.sqlite3", next(NUMBERS))
    yield made
    made.connection.close()


async def broken_rules() -> list[str]:
    await apply_all()
    return [*await doctor.find_violations()]


async def counts() -> tuple[int, ...]:
    return tuple([await table.count() for table in (User, Flavor, Order, ImportedRow)])


async def test_accounts_flavors_and_orders_are_imported_with_ids_and_times(
    original: Original,
) -> None:
    ada = original.user(1, "Ada", email=f"ada{original.first}@example.org")
    mango = original.flavor(1, "Mango")
    paid = original.order(7, ada, mango, quantity=3)
    failed = original.order(8, ada, mango, quantity=2, status="failed")
    report = await original.imported()
    assert dict(report.imported) == {"user": 1, "flavor": 1, "order": 2}
    assert not report.new_ids.total() and not report.left_out and not report.pending
    orders = await Order.select().where(Order.id.is_in([paid, failed])).order_by(Order.id)
    assert [(row["user"], row["status"], row["total"]) for row in orders] == [
        (ada, "paid", 0),
        (ada, "failed", 0),
    ]
    assert orders[0]["created_at"] == datetime(2025, 5, 13, 10, 22, 6, 428877, UTC)
    lines = await OrderLine.select().where(OrderLine.order == paid)
    assert [(line["flavor"], line["quantity"], line["unit_price"]) for line in lines] == [
        (mango, 3, 0)
    ]
    assert await broken_rules() == []


async def test_a_password_of_the_original_works(original: Original) -> None:
    ada = original.user(1, "Ada", django_hash("correct horse"))
    report = await original.imported()
    assert report.without_password == []
    assert await User.login(original.name("Ada"), "correct horse") == ada
    assert await User.login(original.name("Ada"), "wrong horse") is None


@pytest.mark.parametrize("stored", ["!unusable", "argon2$argon2id$v=19$m=1$x$y", "", "bcrypt$x$y"])
async def test_another_hash_is_reported_and_matches_nothing(
    original: Original, stored: str
) -> None:
    original.user(1, "Ada", stored or "x")
    report = await original.imported()
    assert report.without_password == [original.name("Ada")]
    assert await User.login(original.name("Ada"), stored) is None


@pytest.mark.parametrize(
    ("staff", "superuser", "active"), [(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1), (0, 0, 0)]
)
async def test_roles_are_kept(original: Original, staff: int, superuser: int, active: int) -> None:
    id_ = original.user(1, "Ada", is_staff=staff, is_superuser=superuser, is_active=active)
    await original.imported()
    user = await User.objects().get(User.id == id_)
    assert user is not None
    assert (user.admin, user.superuser, user.active) == (
        bool(staff or superuser),
        bool(superuser),
        bool(active),
    )


async def test_a_repeated_import_changes_nothing_and_adds_what_is_new(original: Original) -> None:
    ada, mango = original.user(1, "Ada"), original.flavor(1, "Mango")
    original.order(1, ada, mango)
    await original.imported()
    before = await counts()
    again = await original.imported()
    assert await counts() == before
    assert not again.imported.total()
    assert dict(again.known) == {"user": 1, "flavor": 1, "order": 1}
    original.order(2, ada, mango)
    assert (await original.imported()).imported["order"] == 1
    assert await broken_rules() == []


async def test_an_id_that_was_given_out_here_is_replaced(original: Original) -> None:
    ada, mango = original.user(1, "Ada"), original.flavor(1, "Mango")
    original.first = 1 - START  # The orders get small ids.
    original.connection.execute(
        "INSERT INTO shop_order VALUES (1, 2, 'paid', ?, ?, ?)", (AT, ada, mango)
    )
    taken = await Order.count()
    assert taken
    report = await original.imported()
    assert report.new_ids["order"] == report.imported["order"] == 1
    (row,) = await ImportedRow.select().where(ImportedRow.kind == "order", ImportedRow.source == 1)
    assert row["row"] > START
    await ImportedRow.delete().where(ImportedRow.id == row["id"])


async def test_names_that_exist_here_are_not_changed(original: Original) -> None:
    here = await new_flavor()
    (row,) = await Flavor.select(Flavor.name).where(Flavor.id == here)
    original.user(1, "Ada", email=f"{original.first}@example.org")
    await original.imported()
    await ImportedRow.delete().where(ImportedRow.source == original.first + 1)
    original.connection.execute(
        "INSERT INTO shop_flavor VALUES (?, ?)", (original.first + 1, row["name"])
    )
    order = original.order(1, original.first + 1, original.first + 1)
    report = await original.imported()
    assert report.existing == [f"account {original.name('Ada')}", f"flavor {row['name']}"]
    lines = await OrderLine.select(OrderLine.flavor).where(OrderLine.order == order)
    assert [line["flavor"] for line in lines] == [here]


async def test_pending_orders_are_listed_and_placed_only_if_asked(
    original: Original, flavor: int
) -> None:
    ada, mango = original.user(1, "Ada"), original.flavor(1, "Mango")
    stuck = original.order(1, ada, mango, quantity=4, status="pending")
    report = await original.imported()
    assert [order.id for order in report.pending] == [stuck]
    assert any("wait for a payment" in line for line in report.lines())
    assert not await Order.exists().where(Order.user == ada)
    report = await original.imported(place_pending=True)
    (order,) = report.placed
    (row,) = await Order.select(Order.status, Order.total).where(Order.id == order)
    price = (await flavors.get_flavor(mango))[0].price
    assert row == {"status": "pending", "total": 4 * price}
    again = await original.imported(place_pending=True)
    assert (again.placed, again.pending, again.known["order"]) == ([], [], 1)
    assert await broken_rules() == []


async def test_orders_that_are_not_possible_here_are_left_out(original: Original) -> None:
    ada, mango = original.user(1, "Ada"), original.flavor(1, "Mango")
    none = original.order(1, ada, mango, quantity=0)
    odd = original.order(2, ada, mango, status="on hold")
    lost = original.order(3, ada, mango + 5)
    report = await original.imported()
    assert report.left_out == [
        (none, "its quantity is 0"),
        (odd, "its status is 'on hold'"),
        (lost, "its account or its flavor does not exist"),
    ]


@pytest.mark.parametrize("name", ["x" * 101, "a\nb", " "])
async def test_a_name_that_is_not_possible_imports_nothing(original: Original, name: str) -> None:
    original.flavor(1, "Mango")
    original.user(1, "Ada", username=name)
    before = await counts()
    with pytest.raises(ValueError, match="name"):
        await original.imported()
    assert await counts() == before


async def test_counted_stock_is_not_changed(original: Original, staff: Caller) -> None:
    ada, mango = original.user(1, "Ada"), original.flavor(1, "Mango")
    await original.imported()
    await inventory.receive_stock(mango, 50, reason="counted", by=staff.user.id)
    original.order(1, ada, mango, quantity=20)
    original.order(2, ada, mango, quantity=9, status="failed")
    await original.imported()
    assert (await flavors.get_flavor(mango))[0].stock == 50
    assert await broken_rules() == []


async def test_the_original_is_only_read(original: Original) -> None:
    original.user(1, "Ada")
    before = original.path.read_bytes()
    await original.imported()
    assert original.path.read_bytes() == before


async def test_another_database_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        async with source.open_source(str(tmp_path / "none.sqlite3")):
            pass
    empty = tmp_path / "empty.sqlite3"
    sqlite3.connect(empty).executescript("CREATE TABLE t (id integer)")
    with pytest.raises(ValueError, match="no database of the original service"):
        async with source.open_source(f"sqlite:///{empty}"):
            pass
    assert not (tmp_path / "none.sqlite3").exists()
    assert database.DB
