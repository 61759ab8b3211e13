"""Flavors get product data: article number, unit, allergens, season, rules for quantities."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import JSON, BigInt, Date, Varchar

from icecream.columns import Word

ID = "2026-11-29T16:10:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Product data of flavors"
COLUMNS = (
    ("sku", Varchar, {"length": 64}),
    ("unit", Word, {"words": ("tub", "litre", "case", "piece")}),
    ("pack_size", BigInt, {}),
    ("net_content_ml", BigInt, {}),
    ("allergens", JSON, {}),
    ("on_sale_from", Date, {}),
    ("on_sale_to", Date, {}),
    ("min_quantity", BigInt, {}),
    ("quantity_multiple", BigInt, {}),
    ("low_stock_threshold", BigInt, {}),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)
    for name, kind, params in COLUMNS:
        manager.add_column(
            table_class_name="Flavor",
            tablename="flavor",
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params={"default": None, "null": True, "unique": False, "index": False, **params},
        )
    return manager
