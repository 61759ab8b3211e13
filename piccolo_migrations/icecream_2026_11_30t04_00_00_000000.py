"""Totals of the payments that have ended."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import BigInt, BigSerial, Date

from icecream.columns import Word

ID = "2026-11-30T04:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Totals of payments"
KINDS = {"words": ("charge", "refund")}
STATES = {"words": ("new", "sent", "unknown", "parked", "succeeded", "declined", "void")}
PLAIN = {"null": False, "unique": False, "index": False}
REQUIRED = PLAIN | {"default": None}
OPTIONAL = REQUIRED | {"null": True}
COLUMNS = (
    ("TotalChange", "total_change", "kind", Word, OPTIONAL | KINDS),
    ("TotalChange", "total_change", "state", Word, OPTIONAL | STATES),
    ("PaymentDay", "payment_day", "id", BigSerial, PLAIN | {"primary_key": True}),
    ("PaymentDay", "payment_day", "kind", Word, REQUIRED | KINDS),
    ("PaymentDay", "payment_day", "state", Word, REQUIRED | STATES),
    ("PaymentDay", "payment_day", "day", Date, REQUIRED),
    ("PaymentDay", "payment_day", "local_day", Date, REQUIRED),
    *(
        ("PaymentDay", "payment_day", name, BigInt, REQUIRED)
        for name in ("quantity", "orders", "revenue", "refunded")
    ),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_table(class_name="PaymentDay", tablename="payment_day", schema=None, columns=None)
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
