"""A table for the keys of imported orders and receipts."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import BigInt, BigSerial, Varchar

from icecream.columns import Word

ID = "2026-11-30T02:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "A table for the keys of imported rows"
COMMON = {"null": False, "primary_key": False, "unique": False, "index": False, "default": None}
COLUMNS = (
    ("id", BigSerial, {"primary_key": True}),
    ("kind", Word, {"words": ("order", "stock")}),
    ("key", Varchar, {"length": 255}),
    ("row", BigInt, {}),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_table(class_name="ImportedKey", tablename="imported_key", schema=None, columns=None)
    for name, kind, params in COLUMNS:
        manager.add_column(
            table_class_name="ImportedKey",
            tablename="imported_key",
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params=COMMON | params,
            schema=None,
        )
    return manager
