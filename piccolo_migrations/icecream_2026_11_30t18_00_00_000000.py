"""The index of imported rows begins with the row: one with the kind first was used to find keys.

Without statistics, PostgreSQL took it for the search of a kind and a key. Then each key cost a look
at all rows of its kind.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-30T18:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "The index of imported rows begins with the row"


async def _replace(columns: str) -> None:
    await DB.run_ddl('DROP INDEX "imported_key_row"')
    await DB.run_ddl(f'CREATE UNIQUE INDEX "imported_key_row" ON "imported_key" {columns}')


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await _replace('("row", "kind")')

    async def drop() -> None:
        await _replace('("kind", "row")')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
