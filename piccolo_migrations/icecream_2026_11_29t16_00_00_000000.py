"""Orders get a reference, a note and a delivery date."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import Date, Varchar

ID = "2026-11-29T16:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "What customers add to an order"
COLUMNS = (
    ("delivery_date", Date, {}),
    ("note", Varchar, {"length": 500}),
    ("reference", Varchar, {"length": 100}),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    for name, kind, length in COLUMNS:
        manager.add_column(
            table_class_name="Order",
            tablename="orders",
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params={"default": None, "null": True, "unique": False, "index": False, **length},
        )
    return manager
