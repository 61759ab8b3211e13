"""Count the totals by day again, in UTC; a start with another time zone counts them once more."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB, Postgres

ID = "2026-11-29T20:12:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Fill and index the totals by local day and by quarter of an hour"
# SQLite's times are text in UTC that begins with the day.
TIME = (
    "CAST(created_at AT TIME ZONE 'UTC' AS date) AS day,"
    " CAST(created_at AT TIME ZONE 'UTC' AS date) AS local_day,"
    " CAST(floor(extract(epoch FROM created_at)) AS bigint) / 900 AS quarter"
    if isinstance(DB, Postgres)
    else "substr(created_at, 1, 10) AS day, substr(created_at, 1, 10) AS local_day,"
    " CAST(strftime('%s', created_at) AS integer) / 900 AS quarter"
)
LINES = f"""SELECT flavor, {TIME}, status, quantity, 1 AS orders,
    quantity * unit_price AS revenue, l.refunded
    FROM order_line l JOIN orders o ON o.id = l."order\""""
ORDERS = f"""SELECT "user", {TIME}, status, quantity, 1 AS orders, total AS revenue, refunded
    FROM orders o JOIN (SELECT "order", sum(quantity) AS quantity FROM order_line
    GROUP BY "order") q ON q."order" = o.id"""
# For each table: its keys, the changes that belong to it, and its facts.
TOTALS = {
    "flavor_total": ("flavor, status", "flavor", LINES),
    "flavor_day": ("flavor, day, local_day, status", "flavor", LINES),
    "customer_day": ('"user", day, local_day, status', '"user"', ORDERS),
    "day_total": ("day, local_day, status", '"user"', ORDERS),
    "quarter_total": ("quarter, status", '"user"', ORDERS),
}
# PostgreSQL searches the changes by their ids, from the start. They are summed up before a query
# joins other tables.
VIEW = """CREATE VIEW current_{table} AS SELECT {keys}, quantity, orders, revenue, refunded
    FROM {table} UNION ALL SELECT {keys}, CAST(sum(quantity) AS bigint) AS quantity,
    CAST(sum(orders) AS bigint) AS orders, CAST(sum(revenue) AS bigint) AS revenue,
    CAST(sum(refunded) AS bigint) AS refunded FROM total_change WHERE {owner} IS NOT NULL
    AND id >= (SELECT start FROM total_progress) GROUP BY {keys}"""


async def count() -> None:
    for table, (keys, owner, facts) in TOTALS.items():
        await DB.run_ddl(
            f"INSERT INTO {table} ({keys}, quantity, orders, revenue, refunded)"
            f" SELECT {keys}, sum(quantity), sum(orders), sum(revenue), sum(refunded)"
            f" FROM ({facts}) facts GROUP BY {keys}"
        )
        if table != "flavor_total":
            await DB.run_ddl(f"CREATE UNIQUE INDEX {table}_key ON {table} ({keys})")
        if "local_day" in keys:
            await DB.run_ddl(f"CREATE INDEX {table}_local_day ON {table} (local_day)")
        await DB.run_ddl(VIEW.format(table=table, keys=keys, owner=owner))


async def remove() -> None:
    for table, (keys, _, _) in TOTALS.items():
        await DB.run_ddl(f"DROP VIEW current_{table}")
        await DB.run_ddl(f"DELETE FROM {table}")
        if table != "flavor_total":
            await DB.run_ddl(f"DROP INDEX {table}_key")
        if "local_day" in keys:
            await DB.run_ddl(f"DROP INDEX {table}_local_day")
    await DB.run_ddl("DELETE FROM total_change")


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_raw(count)
    manager.add_raw_backwards(remove)
    return manager
