"""What every command shares: good settings, an open database, and errors that are one line."""

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

from icecream import __version__, logs, settings

log = logging.getLogger(__name__)

# The rest of the house opens the database when it is imported, which needs good settings: commands
# import it once these were read, and `--help` needs neither.


def log_configuration(level: str) -> dict[str, Any]:
    """The log of every command: on standard error, in the chosen form, without secrets."""
    from icecream.logs import lines

    current = settings.load()
    return lines.configuration(current.log_format, current.secrets, level)


def _log_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Instead of the traceback that Python prints, which may show a secret."""
    log.critical("The command failed: %r", error, exc_info=(kind, error, trace))


@contextmanager
def one_line() -> Iterator[None]:
    """Whatever an operator can mend is told in one line, without a traceback or a secret."""
    try:
        # What a short command has to say it prints.
        logging.config.dictConfig(log_configuration("WARNING"))
        sys.excepthook = _log_bug
        from icecream import database, errors, installation
    except settings.BadSetting as error:
        sys.exit(f"icecream: {error}")
    except (OSError, UnicodeError) as error:
        sys.exit(f"icecream: cannot read .env: {error}")
    try:
        yield
    except (
        settings.BadSetting,
        installation.NotReady,
        database.InUse,
        errors.Refusal,
        ValueError,
    ) as error:
        sys.exit(f"icecream: {logs.hide(str(error))}")
    except (*database.AWAY, sqlite3.DatabaseError, asyncpg.PostgresError) as error:
        # Not only away: the file is something else, there is no such database, no such role.
        current = settings.load()
        where = current.database_label if current.embedded else "ICECREAM_DATABASE_URL"
        what = " ".join((str(error) or repr(error)).split())
        sys.exit(f"icecream: cannot use the database ({where}): {logs.hide(what)}")


def with_database(work: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Turn a coroutine into a command that finds the database open and up to date.

    It never makes a database: started in the wrong folder, a command would then say that all is
    well with an empty one.
    """

    async def run(*args: Any, **kwargs: Any) -> None:
        from icecream import database, installation

        current = settings.load()
        if current.embedded and not current.database_path.exists():
            raise ValueError(
                f"there is no database at {current.database_label}: run this where the service "
                "runs, or set ICECREAM_DATABASE_URL. (`icecream serve` makes a new one.)"
            )
        command = click.get_current_context().info_name or ""
        async with database.running(command, patient=True):
            await installation.check()
            await work(*args, **kwargs)

    @wraps(work)
    def command(*args: Any, **kwargs: Any) -> None:
        with one_line():
            asyncio.run(run(*args, **kwargs))

    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="icecream")
def main() -> None:
    """The ice-cream distributor's order service."""
