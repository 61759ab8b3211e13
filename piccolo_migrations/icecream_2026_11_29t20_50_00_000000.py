"""An index of the events with which few orders end: it finds the orders in these states."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T20:50:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "An index of rare events"
# A new order has none of them, and most orders never have one.
INDEX = (
    'CREATE INDEX "event_rare" ON "event" ("type", "order") '
    "WHERE \"type\" IN ('failed', 'refunded', 'canceled', 'returned')"
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await DB.run_ddl(INDEX)

    async def drop() -> None:
        await DB.run_ddl('DROP INDEX "event_rare"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
