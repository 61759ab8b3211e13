"""Test that the schema refuses bad data, also from SQL that bypasses the code."""

from datetime import UTC, datetime
from typing import Any

import pytest
from piccolo.apps.migrations.auto.diffable_table import DiffableTable
from piccolo.apps.migrations.auto.schema_differ import SchemaDiffer
from piccolo.apps.migrations.auto.schema_snapshot import SchemaSnapshot
from piccolo.apps.migrations.commands.base import BaseMigrationManager
from piccolo.columns import OnDelete

from icecream import database
from icecream.database import DB
from icecream.tables import APP_CONFIG, Flavor, Order
from tests.conftest import WHICH, Caller, place

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ids(customer: Caller, flavor: int) -> dict[str, Any]:
    placed = await place(customer.user.id, {flavor: 1})
    now = datetime.now(UTC).isoformat()
    return {
        "order": placed.order,
        "payment": placed.payment,
        "flavor": flavor,
        "user": customer.user.id,
        "now": f"'{now}'",
    }


PAYMENT = 'INSERT INTO payment ("order", kind, n, state, provider_key, amount, tries) VALUES '
LINE = 'INSERT INTO order_line ("order", flavor, quantity, unit_price) VALUES '
REFUSED = [
    # Bounds.
    "UPDATE flavor SET stock = -1 WHERE id = {flavor}",
    "UPDATE flavor SET stock = 1000000000001 WHERE id = {flavor}",
    "UPDATE flavor SET price = -1 WHERE id = {flavor}",
    "UPDATE flavor SET price = 100000001 WHERE id = {flavor}",
    "UPDATE orders SET total = -1 WHERE id = {order}",
    "UPDATE orders SET refunded = -1 WHERE id = {order}",
    "UPDATE orders SET refunded = total + 1 WHERE id = {order}",
    "UPDATE orders SET status = 'lost' WHERE id = {order}",
    "UPDATE orders SET fulfilment = 'lost' WHERE id = {order}",
    "UPDATE orders SET fulfilment = NULL WHERE id = {order}",
    "UPDATE payment SET state = 'maybe' WHERE id = {payment}",
    "UPDATE payment SET kind = 'gift' WHERE id = {payment}",
    "UPDATE payment SET amount = -1 WHERE id = {payment}",
    LINE + "({order}, {flavor}, 0, 1)",
    LINE + "({order}, {flavor}, 100001, 1)",
    LINE + "({order}, {flavor}, 1, -1)",
    # Missing values.
    "UPDATE orders SET created_at = NULL WHERE id = {order}",
    'UPDATE orders SET "user" = NULL WHERE id = {order}',
    "INSERT INTO flavor (name) VALUES ('No price')",
    # Duplicates.
    "INSERT INTO flavor (name, description, price, archived, version)"
    " SELECT name, '', 1, archived, 1 FROM flavor WHERE id = {flavor}",
    PAYMENT + "({order}, 'charge', 1, 'declined', 'a', 1, 0)",
    PAYMENT + "({order}, 'charge', 2, 'new', 'b', 1, 0)",
    PAYMENT + "({order}, 'charge', 2, 'parked', 'c', 1, 0)",
    PAYMENT + "({order}, 'charge', 2, 'declined', (SELECT provider_key FROM payment"
    " WHERE id = {payment}), 1, 0)",
    "INSERT INTO job (kind, subject, run_at, tries) VALUES ('charge', {payment}, {now}, 0)",
    'INSERT INTO event ("order", seq, type, payload, at) VALUES'
    " ({order}, 1, 'placed', '{{}}', {now})",
    # Rows that other rows still need.
    "DELETE FROM users WHERE id = {user}",
    "DELETE FROM flavor WHERE id = {flavor}",
    "DELETE FROM orders WHERE id = {order}",
    LINE + "({order}, 999999, 1, 1)",
    LINE + "(999999, {flavor}, 1, 1)",
    'UPDATE orders SET "user" = 999999 WHERE id = {order}',
]


@pytest.mark.parametrize("statement", REFUSED)
async def test_the_database_refuses_invalid_rows(ids: dict[str, Any], statement: str) -> None:
    with pytest.raises(database.CONSTRAINT_VIOLATIONS):
        await DB.run_ddl(statement.format(**ids))
    assert await Order.exists().where(Order.id == ids["order"])
    assert await Flavor.exists().where(Flavor.id == ids["flavor"])


async def test_only_one_charge_of_an_order_can_succeed(ids: dict[str, Any]) -> None:
    await DB.run_ddl("UPDATE payment SET state = 'succeeded' WHERE id = {payment}".format(**ids))
    with pytest.raises(database.CONSTRAINT_VIOLATIONS):
        await DB.run_ddl((PAYMENT + "({order}, 'charge', 2, 'succeeded', 'd', 1, 0)").format(**ids))
    await DB.run_ddl((PAYMENT + "({order}, 'charge', 2, 'declined', 'e', 1, 0)").format(**ids))
    # Restore the rows, because the books must balance in later tests.
    await DB.run_ddl('DELETE FROM payment WHERE "order" = {order} AND n = 2'.format(**ids))
    await DB.run_ddl("UPDATE payment SET state = 'new' WHERE id = {payment}".format(**ids))


async def test_every_foreign_key_restricts_and_is_indexed() -> None:
    for table in APP_CONFIG.table_classes:
        first_of_index = await first_columns(table._meta.tablename)
        for key in table._meta.foreign_key_columns:
            assert key._foreign_key_meta.on_delete is OnDelete.restrict, (table, key)
            assert key._meta.db_column_name in first_of_index, (table, key)


@pytest.mark.only("postgres")
async def test_no_foreign_key_leads_to_rows_that_are_written_all_the_time() -> None:
    """A check of a foreign key reads all old rows that a held snapshot keeps."""
    rows = await DB.run_ddl(
        "SELECT DISTINCT CAST(CAST(confrelid AS regclass) AS text) AS target"
        " FROM pg_constraint WHERE contype = 'f'"
    )
    # Of these, only a flavor with counted stock is written often.
    assert {row["target"] for row in rows} == {"flavor", "order_line", "orders", "payment", "users"}


async def first_columns(table: str) -> set[str]:
    """Return the columns that come first in some index of the table."""
    if WHICH == "sqlite":
        rows = await DB.run_ddl(
            f"SELECT i.name FROM pragma_index_list('{table}') l, pragma_index_info(l.name) i"
            " WHERE i.seqno = 0"
        )
    else:
        rows = await DB.run_ddl(
            "SELECT a.attname AS name FROM pg_index i JOIN pg_attribute a"
            f" ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            f" WHERE i.indrelid = '{table}'::regclass"
        )
    return {row["name"] for row in rows}


async def test_the_migrations_create_exactly_these_tables() -> None:
    managers = await BaseMigrationManager().get_migration_managers(app_config=APP_CONFIG)
    snapshot = SchemaSnapshot(managers=managers).get_snapshot()
    wanted = [
        DiffableTable(
            class_name=table.__name__,
            tablename=table._meta.tablename,
            columns=table._meta.non_default_columns,
        )
        for table in APP_CONFIG.table_classes
    ]
    differ = SchemaDiffer(schema=wanted, schema_snapshot=snapshot, auto_input="y")
    assert [
        change.statements for change in differ.get_alter_statements() if change.statements
    ] == []
