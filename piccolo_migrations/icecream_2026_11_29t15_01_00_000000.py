"""Views of the totals, together with the changes that are not yet applied."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T15:01:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Views of the totals"
SUMS = ("quantity", "orders", "revenue", "refunded")
# For each table: its keys, and the changes that belong to it.
TOTALS = {
    "flavor_total": ("flavor, status", "flavor"),
    "flavor_day": ("flavor, day, status", "flavor"),
    "customer_day": ('"user", day, status', '"user"'),
    "day_total": ("day, status", '"user"'),
}
CHANGES = """SELECT {keys}, CAST(sum(quantity) AS bigint) AS quantity,
    CAST(sum(orders) AS bigint) AS orders, CAST(sum(revenue) AS bigint) AS revenue,
    CAST(sum(refunded) AS bigint) AS refunded FROM total_change WHERE {owner} IS NOT NULL"""
# PostgreSQL searches the changes by their ids, from the start. They are summed up before a query
# joins other tables.
VIEW = f"""CREATE VIEW current_{{table}} AS SELECT {{columns}} FROM {{table}} UNION ALL {CHANGES}
    AND id >= (SELECT start FROM total_progress) GROUP BY {{keys}}"""
# The same as in `icecream.reporting.applying`, for all changes.
ADD = f"""INSERT INTO {{table}} ({{columns}}) {CHANGES} GROUP BY {{keys}}
    ON CONFLICT ({{keys}}) DO UPDATE SET {{updates}}"""


async def create() -> None:
    await DB.run_ddl("INSERT INTO total_progress (start) VALUES (0)")
    for table, (keys, owner) in TOTALS.items():
        columns = ", ".join((keys, *SUMS))
        await DB.run_ddl(VIEW.format(table=table, keys=keys, columns=columns, owner=owner))


async def apply_and_drop() -> None:
    """Apply the remaining changes, because older versions read only the tables."""
    for table, (keys, owner) in TOTALS.items():
        columns = ", ".join((keys, *SUMS))
        updates = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in SUMS)
        parts = {"keys": keys, "owner": owner, "columns": columns, "updates": updates}
        await DB.run_ddl(ADD.format(table=table, **parts))
        await DB.run_ddl(f"DROP VIEW current_{table}")
    await DB.run_ddl("DELETE FROM total_change")


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_raw(create)
    manager.add_raw_backwards(apply_and_drop)
    return manager
