"""API keys: secrets for programs, which act for an account."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.columns.column_types import BigSerial, ForeignKey, Serial, Timestamptz, Varchar
from piccolo.table import Table


class User(Table, tablename="users", schema=None):
    id = Serial(primary_key=True)


ID = "2026-11-29T20:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "API keys"
COLUMNS = (
    ("id", BigSerial, {"primary_key": True}),
    (
        "user",
        ForeignKey,
        {
            "references": User,
            "on_delete": OnDelete.restrict,
            "on_update": OnUpdate.restrict,
            "target_column": None,
            "index": True,
        },
    ),
    ("name", Varchar, {"length": 100, "default": None}),
    ("prefix", Varchar, {"length": 12, "default": None, "unique": True}),
    ("hash", Varchar, {"length": 64, "default": None, "secret": True}),
    ("scopes", Varchar, {"length": 40, "default": None}),
    ("created_at", Timestamptz, {"default": None}),
    ("expires_at", Timestamptz, {"default": None, "null": True}),
    ("last_used_at", Timestamptz, {"default": None, "null": True}),
    ("revoked_at", Timestamptz, {"default": None, "null": True}),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_table(class_name="ApiKey", tablename="api_key", schema=None, columns=None)
    for name, kind, params in COLUMNS:
        manager.add_column(
            table_class_name="ApiKey",
            tablename="api_key",
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params={"null": False, "unique": False, "index": False, "primary_key": False, **params},
        )
    return manager
