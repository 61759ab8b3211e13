"""Indexes for what customers add to an order; events are found by their time."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T16:01:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Indexes of what customers add to an order"
# Orders without these values cost nothing.
INDEXES = {
    "orders_delivery_date": (
        'INDEX "orders_delivery_date" ON "orders" ("delivery_date", "id") '
        'WHERE "delivery_date" IS NOT NULL'
    ),
    "orders_reference": (
        'INDEX "orders_reference" ON "orders" ("reference", "id") WHERE "reference" IS NOT NULL'
    ),
    "event_at": 'INDEX "event_at" ON "event" ("at")',
}


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        for index in INDEXES.values():
            await DB.run_ddl(f"CREATE {index}")

    async def drop() -> None:
        for name in INDEXES:
            await DB.run_ddl(f'DROP INDEX "{name}"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
