"""Indexes that find the keys of imported rows, and keep each of them once."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-30T02:00:01:000000"
VERSION = "1.38.0"
DESCRIPTION = "Indexes of the keys of imported rows"
INDEXES = {
    "imported_key_key": '("kind", "key")',
    "imported_key_row": '("kind", "row")',
}


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        for name, columns in INDEXES.items():
            await DB.run_ddl(f'CREATE UNIQUE INDEX "{name}" ON "imported_key" {columns}')

    async def drop() -> None:
        for name in INDEXES:
            await DB.run_ddl(f'DROP INDEX "{name}"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
