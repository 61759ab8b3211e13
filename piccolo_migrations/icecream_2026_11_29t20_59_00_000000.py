"""An index that finds imported rows, and keeps each of them once."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T20:59:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "An index of imported rows"
INDEX = 'CREATE UNIQUE INDEX "imported_row_source" ON "imported_row" ("kind", "source")'


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl(INDEX)

    async def drop() -> None:
        await DB.run_ddl('DROP INDEX "imported_row_source"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
