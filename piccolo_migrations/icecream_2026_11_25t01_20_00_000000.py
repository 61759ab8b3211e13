"""Notices are found by when they were applied, if they were."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-25T01:20:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Index of notices"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl('CREATE INDEX "notice_applied_at" ON "notice" ("applied_at")')

    async def drop() -> None:
        await DB.run_ddl('DROP INDEX "notice_applied_at"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
