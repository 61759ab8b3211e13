"""Tables for webhooks: endpoints, deliveries, and the progress of queueing them."""

from typing import Any

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.columns.column_types import (
    JSON,
    BigInt,
    BigSerial,
    ForeignKey,
    Integer,
    Serial,
    Text,
    Timestamptz,
    Varchar,
)
from piccolo.table import Table

from icecream.columns import Word

ID = "2026-11-29T20:20:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Tables for webhooks"


class User(Table, tablename="users", schema=None):
    id = Serial(primary_key=True)


class WebhookEndpoint(Table, tablename="webhook_endpoint", schema=None):
    id = BigSerial(primary_key=True)


def _reference(table: type[Table]) -> dict[str, Any]:
    return {
        "references": table,
        "on_delete": OnDelete.restrict,
        "on_update": OnUpdate.restrict,
        "target_column": None,
    }


EMPTY: dict[str, Any] = {"null": True, "default": None}
KEY: dict[str, Any] = {"primary_key": True}
TABLES: dict[str, tuple[str, list[tuple[str, type[Any], dict[str, Any]]]]] = {
    "WebhookEndpoint": (
        "webhook_endpoint",
        [
            ("id", BigSerial, KEY),
            ("user", ForeignKey, {**_reference(User), "index": True}),
            ("url", Varchar, {"length": 2000}),
            ("description", Varchar, {"length": 200, "default": ""}),
            ("types", JSON, EMPTY),
            ("secret", Varchar, {"length": 100, "secret": True}),
            ("previous_secret", Varchar, {"length": 100, "secret": True, **EMPTY}),
            ("previous_secret_until", Timestamptz, EMPTY),
            ("created_at", Timestamptz, {}),
            ("start", BigInt, {}),
            ("next_round_at", Timestamptz, {}),
            ("lease", BigInt, {"default": 0}),
            ("failures", Integer, {"default": 0}),
            ("failing_since", Timestamptz, EMPTY),
            ("disabled_at", Timestamptz, EMPTY),
            ("disabled_reason", Varchar, {"length": 200, **EMPTY}),
            ("deleted_at", Timestamptz, EMPTY),
        ],
    ),
    "WebhookDelivery": (
        "webhook_delivery",
        [
            ("id", BigSerial, KEY),
            ("endpoint", ForeignKey, _reference(WebhookEndpoint)),
            ("order", BigInt, EMPTY),
            ("customer", BigInt, EMPTY),
            ("message", Varchar, {"length": 64}),
            ("type", Varchar, {"length": 60}),
            ("body", Text, {}),
            ("state", Word, {"words": ("pending", "succeeded", "failed")}),
            ("created_at", Timestamptz, {}),
            ("due_at", Timestamptz, EMPTY),
            ("tries", Integer, {"default": 0}),
            ("tried_at", Timestamptz, EMPTY),
            ("duration_ms", Integer, EMPTY),
            ("status_code", Integer, EMPTY),
            ("answer", Text, EMPTY),
            ("error", Varchar, {"length": 300, **EMPTY}),
        ],
    ),
    "WebhookProgress": ("webhook_progress", [("id", BigSerial, KEY), ("position", BigInt, {})]),
}


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    for class_name, (name, columns) in TABLES.items():
        manager.add_table(class_name=class_name, tablename=name, schema=None, columns=None)
        for column, kind, params in columns:
            default: dict[str, Any] = {} if kind is BigSerial else {"default": None}
            manager.add_column(
                table_class_name=class_name,
                tablename=name,
                column_name=column,
                db_column_name=column,
                column_class_name=kind.__name__,
                column_class=kind,
                params={"null": False, "unique": False, "index": False, **default, **params},
            )
    return manager
