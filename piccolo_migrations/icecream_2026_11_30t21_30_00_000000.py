"""The unique index of jobs begins with the subject: one with the kind first could be read whole.

While another session holds a snapshot, almost all rows of this table are deleted ones. If only few
jobs are left when statistics are collected, PostgreSQL took reading all jobs of a kind, with all
deleted ones, for cheaper than finding some of them.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-30T21:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "The unique index of jobs begins with the subject"


async def _replace(old: str, new: str, columns: str) -> None:
    await DB.run_ddl(f'DROP INDEX "{old}"')
    await DB.run_ddl(f'CREATE UNIQUE INDEX "{new}" ON "job" {columns}')


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        await _replace("job_kind_subject", "job_subject_kind", '("subject", "kind")')

    async def drop() -> None:
        await _replace("job_subject_kind", "job_kind_subject", '("kind", "subject")')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
