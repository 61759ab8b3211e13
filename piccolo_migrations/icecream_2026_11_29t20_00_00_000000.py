"""Orders get the state of their fulfilment; so far none was packed."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.columns import Word

ID = "2026-11-29T20:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "The fulfilment of orders"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_column(
        table_class_name="Order",
        tablename="orders",
        column_name="fulfilment",
        db_column_name="fulfilment",
        column_class_name="Word",
        column_class=Word,
        params={
            "default": "unfulfilled",
            "null": False,
            "unique": False,
            "index": False,
            "words": ("unfulfilled", "packed", "delivered", "returned"),
        },
    )
    return manager
