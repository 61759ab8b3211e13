"""Whose payments the jobs are about that wait already; and a word for what was declined already."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-28T10:01:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Fill the customers of jobs and the failures of payments"
OF_ITS_ORDER = """UPDATE job SET customer = (SELECT o."user" FROM payment p
    JOIN orders o ON o.id = p."order" WHERE p.id = job.subject)
    WHERE kind IN ('charge', 'refund')"""
# What was declined before has no better word.
DECLINED = "UPDATE payment SET failure = 'declined' WHERE state = 'declined'"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def fill() -> None:
        for statement in (OF_ITS_ORDER, DECLINED):
            await DB.run_ddl(statement)

    async def keep() -> None:
        """The columns themselves go with the migration before this one."""

    manager.add_raw(fill)
    manager.add_raw_backwards(keep)
    return manager
