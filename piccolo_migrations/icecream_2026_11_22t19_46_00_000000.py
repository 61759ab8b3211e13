"""Unique keys over several columns, and over some rows: what Piccolo cannot say on SQLite."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-22T19:46:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Unique and partial indexes"
INDEXES = {
    "orders_user": 'INDEX "orders_user" ON "orders" ("user", "id")',
    "event_order_seq": 'UNIQUE INDEX "event_order_seq" ON "event" ("order", "seq")',
    "idempotency_key_user_key": (
        'UNIQUE INDEX "idempotency_key_user_key" ON "idempotency_key" ("user", "key")'
    ),
    "payment_order_kind_n": (
        'UNIQUE INDEX "payment_order_kind_n" ON "payment" ("order", "kind", "n")'
    ),
    "payment_one_open": (
        'UNIQUE INDEX "payment_one_open" ON "payment" ("order", "kind") '
        "WHERE \"state\" IN ('new', 'sent', 'unknown', 'parked')"
    ),
    "payment_one_charge": (
        'UNIQUE INDEX "payment_one_charge" ON "payment" ("order") '
        "WHERE \"kind\" = 'charge' AND \"state\" = 'succeeded'"
    ),
    "job_kind_subject": 'UNIQUE INDEX "job_kind_subject" ON "job" ("kind", "subject")',
    "flavor_total_key": 'UNIQUE INDEX "flavor_total_key" ON "flavor_total" ("flavor", "status")',
    "flavor_day_key": 'UNIQUE INDEX "flavor_day_key" ON "flavor_day" ("flavor", "day", "status")',
    "day_total_key": 'UNIQUE INDEX "day_total_key" ON "day_total" ("day", "status")',
}


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def create() -> None:
        for index in INDEXES.values():
            await DB.run_ddl(f"CREATE {index}")

    async def drop() -> None:
        for name in INDEXES:
            await DB.run_ddl(f'DROP INDEX "{name}"')

    manager.add_raw(create)
    manager.add_raw_backwards(drop)
    return manager
