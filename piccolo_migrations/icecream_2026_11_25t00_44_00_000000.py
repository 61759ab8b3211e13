"""A notice is kept once; parked payments are found at once."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-25T00:44:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Unique and partial indexes of providers"
INDEXES = {
    "notice_provider_event": (
        'UNIQUE INDEX "notice_provider_event" ON "notice" ("provider", "event")'
    ),
    "payment_parked": 'INDEX "payment_parked" ON "payment" ("id") WHERE "state" = \'parked\'',
}


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        for index in INDEXES.values():
            await DB.run_ddl(f"CREATE {index}")

    async def drop() -> None:
        for name in INDEXES:
            await DB.run_ddl(f'DROP INDEX "{name}"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
