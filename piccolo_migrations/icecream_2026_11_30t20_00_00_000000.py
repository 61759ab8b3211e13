"""All times in SQLite have microseconds: Piccolo wrote none at a whole second.

SQLite compares times as text, so the same time in the two formats was not equal.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB, SQLite

ID = "2026-11-30T20:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "All times in SQLite have microseconds"
_TIME_COLUMNS = """
    SELECT m.name AS "table", c.name AS "column" FROM sqlite_master m, pragma_table_info(m.name) c
    WHERE m.type = 'table' AND c.type IN ('TIMESTAMP', 'TIMESTAMPTZ')
"""
# With and without a time zone: `2026-11-30 20:00:00+00:00` and `2026-11-30 20:00:00`.
_ADD_MICROSECONDS = """
    UPDATE "{table}"
    SET "{column}" = substr("{column}", 1, 19) || '.000000' || substr("{column}", 20)
    WHERE length("{column}") IN (19, 25)
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def add_microseconds() -> None:
        if isinstance(DB, SQLite):
            for column in await DB.run_ddl(_TIME_COLUMNS):
                await DB.run_ddl(_ADD_MICROSECONDS.format(**column))

    async def keep() -> None:
        """Do nothing: older versions read both formats."""

    manager.add_raw(add_microseconds)
    manager.add_raw_backwards(keep)
    return manager
