"""An index of the packed orders: there are few, and a new order is not among them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T20:01:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "An index of packed orders"
INDEX = 'CREATE INDEX "orders_packed" ON "orders" ("id") WHERE "fulfilment" = \'packed\''


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl(INDEX)

    async def drop() -> None:
        await DB.run_ddl('DROP INDEX "orders_packed"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
