"""The parents of the refresh tokens that were given out before there was a column for them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-28T13:01:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Fill the parents of refresh tokens"
PARENTS = """UPDATE refresh_token SET parent = (SELECT p.jti FROM refresh_token p
    WHERE p.successor = refresh_token.jti AND p.family = refresh_token.family)"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def fill() -> None:
        await DB.run_ddl(PARENTS)

    async def keep() -> None:
        """The column itself goes with the migration before this one."""

    manager.add_raw(fill)
    manager.add_raw_backwards(keep)
    return manager
