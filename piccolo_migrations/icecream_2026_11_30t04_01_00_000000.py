"""Count the payments that have ended, in UTC; a start with another time zone counts them again."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB, Postgres

ID = "2026-11-30T04:01:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Fill and index the totals of payments"
KEYS = "kind, state, day, local_day"
# SQLite's times are text in UTC that begins with the day.
DAY = (
    "CAST(o.created_at AT TIME ZONE 'UTC' AS date)"
    if isinstance(DB, Postgres)
    else "substr(o.created_at, 1, 10)"
)
STATEMENTS = (
    f"""INSERT INTO payment_day ({KEYS}, quantity, orders, revenue, refunded)
        SELECT kind, state, day, day, count(*), 0, sum(amount), 0 FROM (
            SELECT p.kind, p.state, {DAY} AS day, COALESCE(p.moved, p.amount) AS amount
            FROM payment p JOIN orders o ON o.id = p."order"
            WHERE p.state IN ('succeeded', 'declined', 'void')) facts
        GROUP BY kind, state, day""",
    f"CREATE UNIQUE INDEX payment_day_key ON payment_day ({KEYS})",
    "CREATE INDEX payment_day_local_day ON payment_day (local_day)",
    # As in the migration of 20:12 on 2026-11-29.
    f"""CREATE VIEW current_payment_day AS SELECT {KEYS}, quantity, orders, revenue, refunded
        FROM payment_day UNION ALL SELECT {KEYS}, CAST(sum(quantity) AS bigint) AS quantity,
        CAST(sum(orders) AS bigint) AS orders, CAST(sum(revenue) AS bigint) AS revenue,
        CAST(sum(refunded) AS bigint) AS refunded FROM total_change WHERE kind IS NOT NULL
        AND id >= (SELECT start FROM total_progress) GROUP BY {KEYS}""",
    # Totals of another time zone are counted again at the next start.
    "UPDATE total_progress SET time_zone = '' WHERE time_zone <> 'UTC'",
)
REMOVAL = (
    "DROP VIEW current_payment_day",
    "DROP INDEX payment_day_local_day",
    "DROP INDEX payment_day_key",
    "DELETE FROM total_change WHERE kind IS NOT NULL",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def count() -> None:
        for statement in STATEMENTS:
            await DB.run_ddl(statement)

    async def remove() -> None:
        for statement in REMOVAL:
            await DB.run_ddl(statement)

    manager.add_raw(count)
    manager.add_raw_backwards(remove)
    return manager
