"""No two flavors have the same article number."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T16:11:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Unique article numbers"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl('CREATE UNIQUE INDEX "flavor_sku" ON "flavor" ("sku")')

    async def drop() -> None:
        await DB.run_ddl('DROP INDEX "flavor_sku"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
