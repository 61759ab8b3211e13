"""The history of a flavor or an account is found by it."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T20:55:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Find changes by the changed row"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl('CREATE INDEX "change_row" ON "change" ("row", "subject")')

    async def drop() -> None:
        await DB.run_ddl('DROP INDEX "change_row"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
