"""Totals by the day in the installation's time zone, and by quarter of an hour."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import BigInt, BigSerial, Date, Varchar

from icecream.columns import Word

ID = "2026-11-29T20:11:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Totals by local day and by quarter of an hour"
STATUSES = ("pending", "failed", "paid", "refunding", "refunded", "canceled")
PLAIN = {"null": False, "unique": False, "index": False}
REQUIRED = PLAIN | {"default": None}
COLUMNS = (
    ("FlavorDay", "flavor_day", "local_day", Date, REQUIRED),
    ("CustomerDay", "customer_day", "local_day", Date, REQUIRED),
    ("DayTotal", "day_total", "local_day", Date, REQUIRED),
    ("TotalChange", "total_change", "local_day", Date, REQUIRED),
    ("TotalChange", "total_change", "quarter", BigInt, REQUIRED),
    (
        "TotalProgress",
        "total_progress",
        "time_zone",
        Varchar,
        PLAIN | {"length": 64, "default": "UTC"},
    ),
    ("QuarterTotal", "quarter_total", "id", BigSerial, PLAIN | {"primary_key": True}),
    ("QuarterTotal", "quarter_total", "quarter", BigInt, REQUIRED),
    ("QuarterTotal", "quarter_total", "status", Word, REQUIRED | {"words": STATUSES}),
    *(
        ("QuarterTotal", "quarter_total", name, BigInt, REQUIRED)
        for name in ("quantity", "orders", "revenue", "refunded")
    ),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_table(
        class_name="QuarterTotal", tablename="quarter_total", schema=None, columns=None
    )
    for class_name, table, name, kind, params in COLUMNS:
        manager.add_column(
            table_class_name=class_name,
            tablename=table,
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params=params,
        )
    return manager
