"""PostgreSQL checks no foreign key from a message to its webhook endpoint any more.

Each round of messages updates the endpoint. While another session holds a snapshot, PostgreSQL
keeps all old rows of it, and every new message read them for the check.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB, Postgres

ID = "2026-11-30T21:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Check no foreign key from a message to its webhook endpoint"
TABLE = 'ALTER TABLE "webhook_delivery"'
NAME = '"webhook_delivery_endpoint_fkey"'


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def drop() -> None:
        if isinstance(DB, Postgres):
            await DB.run_ddl(f"{TABLE} DROP CONSTRAINT {NAME}")

    async def create() -> None:
        if isinstance(DB, Postgres):
            await DB.run_ddl(
                f'{TABLE} ADD CONSTRAINT {NAME} FOREIGN KEY ("endpoint") REFERENCES'
                ' "webhook_endpoint" ("id") ON DELETE RESTRICT ON UPDATE RESTRICT'
            )

    manager.add_raw(drop)
    manager.add_raw_backwards(create)
    return manager
