"""Sessions in the admin are found by the hash of their token; those with a plain token end."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T12:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "End the sessions with plain tokens; indexes of sessions"
INDEXES = {
    "sessions_token": 'UNIQUE INDEX "sessions_token" ON "sessions" ("token")',
    "sessions_user": 'INDEX "sessions_user" ON "sessions" ("user_id")',
    "sessions_expiry": 'INDEX "sessions_expiry" ON "sessions" ("expiry_date")',
}


async def end_all() -> None:
    """End all sessions: a plain token is not valid any more, and neither is a hash before this."""
    await DB.run_ddl("DELETE FROM sessions")


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        for index in INDEXES.values():
            await DB.run_ddl(f"CREATE {index}")

    async def drop() -> None:
        for name in INDEXES:
            await DB.run_ddl(f'DROP INDEX "{name}"')

    manager.add_raw(end_all)
    manager.add_raw(create)
    manager.add_raw_backwards(end_all)
    manager.add_raw_backwards(drop)
    return manager
