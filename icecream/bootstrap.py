"""Installation of the service in a database: migrations, the first admin, the flavor Vanilla."""

import contextlib
import io
import logging
import secrets
from collections.abc import Callable
from functools import cache

from piccolo.apps.migrations.commands.backwards import run_backwards
from piccolo.apps.migrations.commands.base import BaseMigrationManager
from piccolo.apps.migrations.commands.forwards import run_forwards
from piccolo.apps.migrations.tables import Migration

from icecream import database, settings
from icecream.database import DB
from icecream.runtime import passwords
from icecream.tables import APP_CONFIG, Flavor, Order, User

log = logging.getLogger(__name__)
FIRST_ADMIN, FIRST_FLAVOR = "admin", "Vanilla"


class NotReady(Exception):
    """One line that says why the service cannot start."""


@cache
def known_migrations() -> list[str]:
    """Return the ids of the migrations of this code."""
    manager = BaseMigrationManager()
    return sorted(manager.get_migration_modules(APP_CONFIG.resolved_migrations_folder_path))


async def pending() -> list[str]:
    """Return the ids of the migrations that this database lacks."""
    there = await database.has_table(Migration)
    ran = await Migration.get_migrations_which_ran() if there else []
    return [name for name in known_migrations() if name not in ran]


async def migrate(announce: Callable[[str], None]) -> None:
    """Apply all pending migrations; safe to call from several processes at once.

    Everything is one transaction, so an interrupted run changes nothing. The random password of a
    new admin is announced just before the commit. So it is never lost, but if the commit fails, it
    is not valid.
    """
    async with DB.migration_lock():
        if not await pending():
            return
        async with DB.transaction():
            # Piccolo would not create its table if another schema has one.
            if not await database.has_table(Migration):
                await Migration.create_table()
            await _quietly(run_forwards("icecream"))
            if not await User.exists():
                await _first_rows(announce)


async def migrate_to(migration: str) -> None:
    """Revert this migration and all later ones, which drops their tables; `all` reverts all."""
    async with DB.migration_lock(), DB.transaction():
        await _quietly(run_backwards("icecream", migration, auto_agree=True))


async def _quietly(run: object) -> None:
    # Piccolo prints its progress; a failed migration is reported only by the return value.
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = await run  # type: ignore[misc]  # Piccolo's commands carry no types
    log.debug(said.getvalue())
    if not result.success:
        raise NotReady(f"The migration failed: {result.message}")


async def _first_rows(announce: Callable[[str], None]) -> None:
    chosen = settings.load().admin_password
    password = chosen or secrets.token_urlsafe(12)
    await User(
        username=FIRST_ADMIN,
        password=await passwords.hashed(password),
        active=True,
        admin=True,
        superuser=True,
    ).save()
    await Flavor(name=FIRST_FLAVOR, price=settings.load().default_price).save()
    announce(
        f"The first admin is {FIRST_ADMIN!r}, with the password from ICECREAM_ADMIN_PASSWORD."
        if chosen
        else f"The first admin is {FIRST_ADMIN!r}, password {password} (shown only this once)."
    )


async def prepare(announce: Callable[[str], None]) -> None:
    """Prepare the database: migrate an embedded one, and check any other.

    Raises:
        NotReady: the message says what to do.
    """
    if settings.load().embedded:
        await migrate(announce)
    await check()


async def check() -> None:
    """Raise NotReady unless this code can serve this database with these settings.

    Raises:
        settings.BadSetting: there is no usable secret key.
    """
    _ = settings.load().signing_keys
    if await pending():
        raise NotReady("The database lacks migrations: run `icecream migrate` first.")
    currency = settings.load().currency
    last = await Order.select(Order.currency).order_by(Order.id, ascending=False).first()
    if last is not None and last["currency"] != currency:
        raise NotReady(
            f"ICECREAM_CURRENCY is {currency}, but the orders here are in {last['currency']}: "
            f"set it to {last['currency']}."
        )
