"""Indexes of webhook deliveries, and the row with the progress."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T20:21:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Indexes of webhook deliveries"
PENDING = 'WHERE "due_at" IS NOT NULL'
INDEXES = {
    "webhook_delivery_log": '("endpoint", "id")',
    # The due deliveries of an endpoint, and the other deliveries of the same order.
    "webhook_delivery_due": f'("endpoint", "due_at") {PENDING}',
    "webhook_delivery_order": f'("endpoint", "order", "id") {PENDING}',
}


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl("INSERT INTO webhook_progress (position) VALUES (0)")
        for name, columns in INDEXES.items():
            await DB.run_ddl(f'CREATE INDEX "{name}" ON "webhook_delivery" {columns}')

    async def drop() -> None:
        for name in INDEXES:
            await DB.run_ddl(f'DROP INDEX "{name}"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
