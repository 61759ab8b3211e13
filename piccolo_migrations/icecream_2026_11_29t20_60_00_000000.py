"""A table for the links with which users set a new password."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.columns.column_types import BigSerial, ForeignKey, Serial, Timestamptz, Varchar
from piccolo.columns.indexes import IndexMethod
from piccolo.table import Table


class User(Table, tablename="users", schema=None):
    id = Serial(
        null=False,
        primary_key=True,
        unique=False,
        index=False,
        index_method=IndexMethod.btree,
        choices=None,
        db_column_name="id",
        secret=False,
    )


ID = "2026-11-29T20:60:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Links to set a password"
COMMON = {
    "null": False,
    "primary_key": False,
    "unique": False,
    "index": False,
    "index_method": IndexMethod.btree,
    "choices": None,
    "db_column_name": None,
    "secret": False,
}
ACCOUNT = {
    "references": User,
    "on_delete": OnDelete.restrict,
    "on_update": OnUpdate.restrict,
    "target_column": None,
    "index": True,
}
COLUMNS = (
    ("id", BigSerial, {"primary_key": True}),
    ("digest", Varchar, {"length": 64, "default": None, "unique": True}),
    ("user", ForeignKey, ACCOUNT),
    ("expires_at", Timestamptz, {"default": None}),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    manager.add_table(
        class_name="PasswordLink", tablename="password_link", schema=None, columns=None
    )
    for name, kind, params in COLUMNS:
        manager.add_column(
            table_class_name="PasswordLink",
            tablename="password_link",
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params=COMMON | params,
            schema=None,
        )
    return manager
