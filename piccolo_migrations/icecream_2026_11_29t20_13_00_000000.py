"""An index for the orders of some days."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T20:13:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "An index for the orders of some days"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl('CREATE INDEX "orders_created_at" ON "orders" ("created_at", "id")')

    async def drop() -> None:
        await DB.run_ddl('DROP INDEX "orders_created_at"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
