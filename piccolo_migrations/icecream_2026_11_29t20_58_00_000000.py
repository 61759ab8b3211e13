"""A table for the rows that were imported from the original service."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import BigInt, BigSerial

from icecream.columns import Word

ID = "2026-11-29T20:58:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "A table for imported rows"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_table(class_name="ImportedRow", tablename="imported_row", schema=None, columns=None)
    manager.add_column(
        table_class_name="ImportedRow",
        tablename="imported_row",
        column_name="id",
        db_column_name="id",
        column_class_name="BigSerial",
        column_class=BigSerial,
        params={"null": False, "primary_key": True, "unique": False, "index": False},
    )
    manager.add_column(
        table_class_name="ImportedRow",
        tablename="imported_row",
        column_name="kind",
        db_column_name="kind",
        column_class_name="Word",
        column_class=Word,
        params={
            "default": None,
            "null": False,
            "unique": False,
            "index": False,
            "words": ("user", "flavor", "order"),
        },
    )
    manager.add_column(
        table_class_name="ImportedRow",
        tablename="imported_row",
        column_name="source",
        db_column_name="source",
        column_class_name="BigInt",
        column_class=BigInt,
        params={"default": None, "null": False, "unique": False, "index": False},
    )
    manager.add_column(
        table_class_name="ImportedRow",
        tablename="imported_row",
        column_name="row",
        db_column_name="row",
        column_class_name="BigInt",
        column_class=BigInt,
        params={"default": None, "null": False, "unique": False, "index": False},
    )
    return manager
