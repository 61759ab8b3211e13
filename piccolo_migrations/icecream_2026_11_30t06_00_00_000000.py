"""An index of the unfulfilled orders: without it, their list reads all older orders first."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-30T06:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "An index of unfulfilled orders"
INDEX = 'CREATE INDEX "orders_unfulfilled" ON "orders" ("id") WHERE "fulfilment" = \'unfulfilled\''


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl(INDEX)

    async def drop() -> None:
        await DB.run_ddl('DROP INDEX "orders_unfulfilled"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
