"""Shared parts of all commands: valid settings, an open database, and one-line errors."""

import asyncio
import logging.config
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import Any

import asyncpg
import click

from icecream import __version__, settings
from icecream.runtime import garbage_collection, logs

log = logging.getLogger(__name__)

# The other modules open the database at import, which requires valid settings. So commands import
# them after the settings were read, and `--help` needs neither.


def log_configuration(level: str) -> dict[str, Any]:
    """Return the log configuration of all commands: standard error, chosen format, no secrets."""
    from icecream.runtime.logs import lines

    current = settings.load()
    return lines.logging_config(current.log_format, current.secrets, level)


def _log_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log a bug, instead of Python's own traceback, which may show a secret."""
    log.critical("The command failed: %r", error, exc_info=(kind, error, trace))


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Report errors that an operator can fix in one line, without a traceback or a secret."""
    try:
        # A short command prints its result; the log shows only warnings.
        logging.config.dictConfig(log_configuration("WARNING"))
        sys.excepthook = _log_bug
        with garbage_collection.paused():
            from icecream import bootstrap, database, errors
    except settings.BadSetting as error:
        sys.exit(f"icecream: {error}")
    except (OSError, UnicodeError) as error:
        sys.exit(f"icecream: cannot read .env: {error}")
    try:
        yield
    except (
        settings.BadSetting,
        bootstrap.NotReady,
        database.DatabaseInUse,
        errors.Refusal,
    ) as error:
        sys.exit(f"icecream: {logs.redact(str(error))}")
    except (
        *database.DATABASE_UNAVAILABLE,
        sqlite3.DatabaseError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as error:
        # Not only an outage: the file is no database, or the database or the role does not exist,
        # or the address has an invalid option.
        current = settings.load()
        where = current.database_label if current.embedded else "ICECREAM_DATABASE_URL"
        cause = " ".join((str(error) or repr(error)).split())
        sys.exit(f"icecream: cannot use the database ({where}): {logs.redact(cause)}")
    except ValueError as error:
        sys.exit(f"icecream: {logs.redact(str(error))}")


def with_database(work: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Turn a coroutine into a command with an open, up-to-date database.

    The command never creates a database. Otherwise, in the wrong folder, it would report that an
    empty database is correct.
    """

    async def run(*args: Any, **kwargs: Any) -> None:
        from icecream import bootstrap, database

        current = settings.load()
        if current.embedded and not current.database_path.exists():
            raise ValueError(
                f"there is no database at {current.database_label}: run this command in the folder "
                "of the service, or set ICECREAM_DATABASE_URL. (`icecream serve` creates a new "
                "database.)"
            )
        command = click.get_current_context().info_name or ""
        async with database.open_pool(command, no_time_limit=True):
            await bootstrap.check_database()
            await work(*args, **kwargs)

    @wraps(work)
    def command(*args: Any, **kwargs: Any) -> None:
        with errors_in_one_line():
            asyncio.run(run(*args, **kwargs))

    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="icecream")
def main() -> None:
    """The order service of an ice-cream distributor."""
