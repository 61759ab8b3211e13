"""The owners of the payment methods that are in use: the first customer of each."""

import re

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from icecream.database import DB

ID = "2026-11-29T12:21:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Fill the owners of payment methods"
# The oldest payment with each method, then the accounts.
USED = """SELECT p.method AS method, o."user" AS customer FROM payment p
    JOIN orders o ON o.id = p."order" WHERE p.method IS NOT NULL
    GROUP BY p.method, o."user" ORDER BY min(p.id)"""
SET = "SELECT payment_method AS method, id AS customer FROM users WHERE payment_method IS NOT NULL"
# All customers may use Stripe's methods for tests.
SHARED_TEST_METHOD = re.compile(r"pm_card_\w+", re.ASCII)


def _parts(method: str) -> list[str]:
    if SHARED_TEST_METHOD.fullmatch(method):
        return []
    return [part for part in method.split("/") if part] or [method]


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="icecream", description=DESCRIPTION)

    async def fill() -> None:
        owners: dict[str, int] = {}
        in_accounts = await DB.run_ddl(f"{SET} ORDER BY id")
        for row in [*await DB.run_ddl(USED), *in_accounts]:
            for part in _parts(row["method"]):
                owners.setdefault(part, row["customer"])
        for part, customer in owners.items():
            text = part.replace("'", "''")
            await DB.run_ddl(
                f"INSERT INTO payment_method_owner (method, \"user\") VALUES ('{text}', {customer})"
            )
        for row in in_accounts:
            if any(owners[part] != row["customer"] for part in _parts(row["method"])):
                await DB.run_ddl(
                    f"UPDATE users SET payment_method = NULL WHERE id = {row['customer']}"
                )

    async def keep() -> None:
        """The table itself goes with the migration before this one."""

    manager.add_raw(fill)
    manager.add_raw_backwards(keep)
    return manager
