"""Installation of the service in a database: migrations, the first admin, the flavor Vanilla.

The time zone belongs to it too: the totals by day are those of one zone.
"""

import contextlib
import io
import logging
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path

from piccolo.apps.migrations.tables import Migration
from piccolo.columns.combination import WhereRaw

from icecream import database, settings
from icecream.database import DB
from icecream.integrity import repair
from icecream.runtime import optional_imports, passwords
from icecream.settings import signing_keys
from icecream.tables import APP_CONFIG, Flavor, Order, User

log = logging.getLogger(__name__)
INITIAL_ADMIN = "admin"
INITIAL_FLAVOR = "Vanilla"


class NotReady(Exception):
    """A line with the reason why the service cannot start."""


@cache
def all_migrations() -> list[str]:
    """Return the ids of the migrations of this code, from the names of their files.

    So a start imports neither the migrations nor Piccolo's commands for them.
    """
    prefix = f"{APP_CONFIG.app_name}_"
    files = Path(APP_CONFIG.resolved_migrations_folder_path).glob(f"{prefix}*.py")
    return sorted(_migration_id(file.stem.removeprefix(prefix)) for file in files)


def _migration_id(name: str) -> str:
    day, time = name.split("t")
    return f"{day.replace('_', '-')}T{time.replace('_', ':')}"


async def _applied_migrations() -> list[str]:
    if not await database.has_table(Migration):
        return []
    return await Migration.get_migrations_which_ran(APP_CONFIG.app_name)


async def pending_migrations() -> list[str]:
    """Return the ids of the migrations that this database lacks."""
    return _missing(await _applied_migrations())


def _missing(applied: list[str]) -> list[str]:
    return [name for name in all_migrations() if name not in applied]


def _refuse_newer_database(applied: list[str]) -> None:
    newer = set(applied) - set(all_migrations())
    if newer:
        raise NotReady(
            f"The database belongs to a newer version of the service (migration {max(newer)}): "
            "start that version, or restore a backup from before its `icecream migrate`."
        )


async def migrate(announce: Callable[[str], None]) -> None:
    """Apply all pending migrations, and adopt the time zone; several processes may do so at once.

    The migrations are one transaction, so an interrupted run changes nothing. The random password
    of a new admin is announced just before the commit. So it is never lost, but if the commit
    fails, it is not valid.

    Raises:
        NotReady: a newer version has migrated this database, or the migration failed.
    """
    async with DB.migration_lock():
        applied = await _applied_migrations()
        _refuse_newer_database(applied)
        if _missing(applied):
            async with DB.transaction():
                await _apply_migrations(announce)
        if await repair.follow_time_zone() and await Order.exists():
            announce(f"The totals by day were recounted for {settings.load().time_zone}.")


async def _apply_migrations(announce: Callable[[str], None]) -> None:
    # Piccolo would not create its table if another schema has one.
    if not await database.has_table(Migration):
        await Migration.create_table()
    with optional_imports.replaced("black"):
        from piccolo.apps.migrations.commands.forwards import run_forwards

    await _run_piccolo_command(run_forwards("icecream"))
    if not await User.exists():
        await _insert_initial_rows(announce)


async def migrate_to(migration: str) -> None:
    """Revert this migration and all later ones, which drops their tables; `all` reverts all."""
    with optional_imports.replaced("black"):
        from piccolo.apps.migrations.commands.backwards import run_backwards

    async with DB.migration_lock(), DB.transaction():
        await _run_piccolo_command(run_backwards("icecream", migration, auto_agree=True))


async def _run_piccolo_command(command: object) -> None:
    # Piccolo prints its progress; a failed migration is reported only by the return value.
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        result = await command  # type: ignore[misc]  # Piccolo's commands carry no types
    log.debug(output.getvalue())
    if not result.success:
        raise NotReady(f"The migration failed: {result.message}")


async def _insert_initial_rows(announce: Callable[[str], None]) -> None:
    configured = settings.load().admin_password
    password = configured or secrets.token_urlsafe(12)
    try:
        hashed = await passwords.hash_password(password)
    except ValueError as error:
        raise settings.BadSetting(f"ICECREAM_ADMIN_PASSWORD: {error}") from None
    await User(
        username=INITIAL_ADMIN,
        password=hashed,
        active=True,
        admin=True,
        superuser=True,
    ).save()
    await Flavor(name=INITIAL_FLAVOR, price=settings.load().default_price).save()
    if configured:
        announce(
            f"The first admin is {INITIAL_ADMIN!r}, with the password from ICECREAM_ADMIN_PASSWORD."
        )
    else:
        announce(f"The first admin is {INITIAL_ADMIN!r}, password {password} (shown only once).")


async def prepare_database(announce: Callable[[str], None]) -> None:
    """Prepare the database: migrate an embedded one, and check any other.

    Raises:
        NotReady: the message has the necessary action.
    """
    if settings.load().embedded:
        await migrate(announce)
    await check_database()


async def check_database() -> None:
    """Raise NotReady unless this code can serve this database with these settings.

    Raises:
        settings.BadSetting: there is no usable secret key.
    """
    signing_keys.load_keys(settings.load())
    applied = await _applied_migrations()
    if _missing(applied):
        raise NotReady("The database has pending migrations: run `icecream migrate` first.")
    _refuse_newer_database(applied)
    currency = settings.load().currency
    last = await Order.select(Order.currency).order_by(Order.id, ascending=False).first()
    if last is not None and last["currency"] != currency:
        raise NotReady(
            f"ICECREAM_CURRENCY is {currency}, but the orders here are in {last['currency']}: "
            f"set it to {last['currency']}."
        )
    await _refuse_unchargeable_prices()
    configured, kept = settings.load().time_zone, await repair.read_time_zone()
    if configured != kept:
        raise NotReady(
            f"ICECREAM_TIME_ZONE is {configured}, but the totals by day are those of {kept}: set "
            f"it to {kept}, or stop all servers and workers and recount with `icecream migrate`."
        )


async def _refuse_unchargeable_prices() -> None:
    """Raise NotReady if a price was entered for another provider, and orders of it would fail."""
    step, currency = settings.load().amount_step, settings.load().currency
    if step == 1:
        return
    is_too_fine = WhereRaw(f"price % {step} <> 0")
    flavor = await Flavor.select(Flavor.name).where(is_too_fine).order_by(Flavor.id).first()
    if flavor is not None:
        raise NotReady(
            f"Stripe accepts only multiples of {step} minor units of {currency}, but the price of "
            f"{flavor['name']} is none: change it before you set ICECREAM_PAYMENT_PROVIDER."
        )
