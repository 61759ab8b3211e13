"""The feed begins with the events that are there, in the order of their ids."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-25T01:31:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "The beginning of the feed"
BEGINNING = (
    'UPDATE "event" SET "position" = "new"."n" FROM'
    ' (SELECT "id", row_number() OVER (ORDER BY "id") AS "n" FROM "event") AS "new"'
    ' WHERE "event"."id" = "new"."id"',
    'INSERT INTO "feed" ("last") SELECT count(*) FROM "event"',
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def begin() -> None:
        for statement in BEGINNING:
            await DB.run_ddl(statement)

    async def end() -> None:
        await DB.run_ddl('UPDATE "event" SET "position" = NULL')
        await DB.run_ddl('DELETE FROM "feed"')

    manager.add_raw(begin)
    manager.add_raw_backwards(end)
    return manager
