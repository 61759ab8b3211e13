"""Whose payment a job is about, and why a payment was declined."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.base import Column
from piccolo.columns.column_types import BigInt, Integer, Varchar
from piccolo.columns.indexes import IndexMethod

ID = "2026-11-28T10:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "The customer of a job; the failure and the faults of a payment"
NULLABLE = {
    "default": None,
    "null": True,
    "primary_key": False,
    "unique": False,
    "index": False,
    "index_method": IndexMethod.btree,
    "choices": None,
    "db_column_name": None,
    "secret": False,
}
COLUMNS: list[tuple[str, str, type[Column], dict[str, int]]] = [
    ("job", "customer", BigInt, {}),
    ("payment", "failure", Varchar, {"length": 40}),
    ("payment", "faults", Integer, {}),
]


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    for table, name, kind, more in COLUMNS:
        manager.add_column(
            table_class_name=table.capitalize(),
            tablename=table,
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params=NULLABLE | more,
            schema=None,
        )
    return manager
