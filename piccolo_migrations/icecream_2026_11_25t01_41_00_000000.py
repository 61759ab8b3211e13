"""Count the orders that are there already; and find totals by their day."""

from itertools import accumulate, groupby
from operator import itemgetter

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB, Postgres

ID = "2026-11-25T01:41:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Fill the new totals, and index them"
INDEXES = {
    "customer_day_key": (
        'UNIQUE INDEX "customer_day_key" ON "customer_day" ("user", "day", "status")'
    ),
    "customer_day_day": 'INDEX "customer_day_day" ON "customer_day" ("day")',
    "flavor_day_day": 'INDEX "flavor_day_day" ON "flavor_day" ("day")',
}
# What was given back as a whole was given back of every line; of a part each has its share by
# price, rounded down in the running sum.
WHOLE = """UPDATE order_line SET refunded = quantity * unit_price
    WHERE "order" IN (SELECT id FROM orders WHERE refunded = total AND total > 0)"""
PARTLY = """SELECT o.id AS number, o.total, o.refunded, l.id, l.quantity * l.unit_price AS price
    FROM orders o JOIN order_line l ON l."order" = o.id
    WHERE o.refunded > 0 AND o.refunded < o.total ORDER BY o.id, l.id"""
# SQLite's times are text in UTC that begins with the day.
POSTGRES_DAY = "CAST(created_at AT TIME ZONE 'UTC' AS date)"
DAY = POSTGRES_DAY if isinstance(DB, Postgres) else "substr(created_at, 1, 10)"
LINES = f"""SELECT flavor, {DAY} AS day, status, quantity, 1 AS orders,
    quantity * unit_price AS revenue, l.refunded
    FROM order_line l JOIN orders o ON o.id = l."order\""""
ORDERS = f"""SELECT "user", {DAY} AS day, status, quantity, 1 AS orders, total AS revenue, refunded
    FROM orders o JOIN (SELECT "order", sum(quantity) AS quantity FROM order_line
    GROUP BY "order") q ON q."order" = o.id"""
TOTALS = {
    "flavor_total": ("flavor, status", LINES),
    "flavor_day": ("flavor, day, status", LINES),
    "customer_day": ('"user", day, status', ORDERS),
    "day_total": ("day, status", ORDERS),
}


async def share_refunds() -> None:
    """Give every line its part of what was given back of its order."""
    await DB.run_ddl(WHOLE)
    for _, lines in groupby(await DB.run_ddl(PARTLY), key=itemgetter("number")):
        rows = list(lines)
        before = 0
        for row, price in zip(rows, accumulate(row["price"] for row in rows), strict=True):
            after = row["refunded"] * price // row["total"]
            await DB.run_ddl(
                f"UPDATE order_line SET refunded = {after - before} WHERE id = {row['id']}"
            )
            before = after


async def count() -> None:
    """Make the totals anew: they come from the orders, and from nothing else."""
    for table, (keys, facts) in TOTALS.items():
        await DB.run_ddl(f"DELETE FROM {table}")
        await DB.run_ddl(
            f"INSERT INTO {table} ({keys}, quantity, orders, revenue, refunded)"
            f" SELECT {keys}, sum(quantity), sum(orders), sum(revenue), sum(refunded)"
            f" FROM ({facts}) facts GROUP BY {keys}"
        )


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        for index in INDEXES.values():
            await DB.run_ddl(f"CREATE {index}")

    async def drop() -> None:
        for name in INDEXES:
            await DB.run_ddl(f'DROP INDEX "{name}"')

    manager.add_raw(share_refunds)
    manager.add_raw(count)
    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
