"""An empty database becomes an installation: migrations, the first admin, Vanilla."""

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

from icecream import database, passwords, settings
from icecream.database import DB
from icecream.tables import APP_CONFIG, Flavor, Order, User

log = logging.getLogger(__name__)
FIRST_ADMIN, FIRST_FLAVOR = "admin", "Vanilla"


class NotReady(Exception):
    """One line that says what keeps the service from starting."""


@cache
def known_migrations() -> list[str]:
    """The ids of the migrations that came with this code."""
    manager = BaseMigrationManager()
    return sorted(manager.get_migration_modules(APP_CONFIG.resolved_migrations_folder_path))


async def pending() -> list[str]:
    """The ids of the migrations that this database still lacks."""
    there = await database.has_table(Migration)
    ran = await Migration.get_migrations_which_ran() if there else []
    return [name for name in known_migrations() if name not in ran]


async def migrate(announce: Callable[[str], None]) -> None:
    """Bring the database up to date; safe to call from several processes at once.

    All of it is one transaction: an interrupted run leaves nothing behind. A new admin's random
    password is announced just before the commit, so that it is never lost, though it may be void.
    """
    async with DB.migration_lock():
        if not await pending():
            return
        async with DB.transaction():
            # Piccolo would not make it if another schema has one.
            if not await database.has_table(Migration):
                await Migration.create_table()
            await _quietly(run_forwards("icecream"))
            if not await User.exists():
                await _first_rows(announce)


async def migrate_to(migration: str) -> None:
    """Go back to before this migration, dropping what it and later ones made; `all` drops all."""
    async with DB.migration_lock(), DB.transaction():
        await _quietly(run_backwards("icecream", migration, auto_agree=True))


async def _quietly(run: object) -> None:
    # Piccolo prints as it goes; a migration that fails says so with its return value.
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
    """Make the database fit to be used: an embedded one by migrating it, another by checking.

    Raises:
        NotReady: with what to do.
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
