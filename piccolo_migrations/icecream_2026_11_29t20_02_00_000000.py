"""Refunds get the reason for which staff make them, and the lines that they are about."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.columns.column_types import BigSerial, Boolean, ForeignKey
from piccolo.table import Table

from icecream.columns import Bounded, Word

ID = "2026-11-29T20:02:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "What refunds are about"


class Payment(Table, tablename="payment"):
    id = BigSerial(primary_key=True)


class OrderLine(Table, tablename="order_line"):
    id = BigSerial(primary_key=True)


REFERENCE = {
    "on_delete": OnDelete.restrict,
    "on_update": OnUpdate.restrict,
    "target_column": None,
    "default": None,
    "null": False,
    "index": True,
}
COLUMNS = (
    ("id", BigSerial, {"primary_key": True, "index": False}),
    ("payment", ForeignKey, {**REFERENCE, "references": Payment}),
    ("line", ForeignKey, {**REFERENCE, "references": OrderLine}),
    ("quantity", Bounded, {"default": None, "index": False, "low": 1, "high": 100_000}),
    ("restocked", Boolean, {"default": None, "index": False}),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_column(
        table_class_name="Payment",
        tablename="payment",
        column_name="reason_code",
        db_column_name="reason_code",
        column_class_name="Word",
        column_class=Word,
        params={
            "default": None,
            "null": True,
            "unique": False,
            "index": False,
            "words": ("melted", "missing", "damaged", "wrong-item", "other"),
        },
    )
    manager.add_table(class_name="RefundLine", tablename="refund_line")
    for name, kind, params in COLUMNS:
        manager.add_column(
            table_class_name="RefundLine",
            tablename="refund_line",
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params={"null": False, "unique": False, "primary_key": False, **params},
        )
    return manager
