"""Remove the totals by day, which get another key; and count them again on the way back."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB, Postgres

ID = "2026-11-29T20:10:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Remove the totals by day"
# SQLite's times are text in UTC that begins with the day.
POSTGRES_DAY = "CAST(created_at AT TIME ZONE 'UTC' AS date)"
DAY = POSTGRES_DAY if isinstance(DB, Postgres) else "substr(created_at, 1, 10)"
LINES = f"""SELECT flavor, {DAY} AS day, status, quantity, 1 AS orders,
    quantity * unit_price AS revenue, l.refunded
    FROM order_line l JOIN orders o ON o.id = l."order\""""
ORDERS = f"""SELECT "user", {DAY} AS day, status, quantity, 1 AS orders, total AS revenue, refunded
    FROM orders o JOIN (SELECT "order", sum(quantity) AS quantity FROM order_line
    GROUP BY "order") q ON q."order" = o.id"""
SUMS = ("quantity", "orders", "revenue", "refunded")
# For each table: its keys, the changes that belong to it, and its facts.
TOTALS = {
    "flavor_total": ("flavor, status", "flavor", LINES),
    "flavor_day": ("flavor, day, status", "flavor", LINES),
    "customer_day": ('"user", day, status', '"user"', ORDERS),
    "day_total": ("day, status", '"user"', ORDERS),
}
# As in the migration of 15:01.
VIEW = """CREATE VIEW current_{table} AS SELECT {keys}, quantity, orders, revenue, refunded
    FROM {table} UNION ALL SELECT {keys}, CAST(sum(quantity) AS bigint) AS quantity,
    CAST(sum(orders) AS bigint) AS orders, CAST(sum(revenue) AS bigint) AS revenue,
    CAST(sum(refunded) AS bigint) AS refunded FROM total_change WHERE {owner} IS NOT NULL
    AND id >= (SELECT start FROM total_progress) GROUP BY {keys}"""


async def remove() -> None:
    for table, (keys, _, _) in TOTALS.items():
        await DB.run_ddl(f"DROP VIEW current_{table}")
        await DB.run_ddl(f"DELETE FROM {table}")
        if "day" in keys:
            await DB.run_ddl(f"DROP INDEX {table}_key")
    await DB.run_ddl("DELETE FROM total_change")


async def count() -> None:
    for table, (keys, owner, facts) in TOTALS.items():
        await DB.run_ddl(
            f"INSERT INTO {table} ({keys}, quantity, orders, revenue, refunded)"
            f" SELECT {keys}, sum(quantity), sum(orders), sum(revenue), sum(refunded)"
            f" FROM ({facts}) facts GROUP BY {keys}"
        )
        if "day" in keys:
            await DB.run_ddl(f"CREATE UNIQUE INDEX {table}_key ON {table} ({keys})")
        await DB.run_ddl(VIEW.format(table=table, keys=keys, owner=owner))


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_raw(remove)
    manager.add_raw_backwards(count)
    return manager
