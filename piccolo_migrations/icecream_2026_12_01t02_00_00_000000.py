"""PostgreSQL gets a function that ends a statement if rows have changed since they were read."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB, Postgres

ID = "2026-12-01T02:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "A function that requires a number of rows"
SIGNATURE = "require_rows(returned bigint, wanted bigint)"
FUNCTION = f"""
    CREATE FUNCTION {SIGNATURE} RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF returned < wanted THEN
            RAISE EXCEPTION 'rows have changed since they were read, so they are read again'
                USING ERRCODE = 'serialization_failure';
        END IF;
    END $$"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        if isinstance(DB, Postgres):
            await DB.run_ddl(FUNCTION)

    async def drop() -> None:
        if isinstance(DB, Postgres):
            await DB.run_ddl(f"DROP FUNCTION {SIGNATURE}")

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
