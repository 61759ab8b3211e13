"""`icecream config` and `icecream db check`: how this installation is set up."""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dotenv import dotenv_values

from icecream import settings
from icecream.cli import output
from icecream.cli.commands import errors_in_one_line, main, with_database
from icecream.runtime import logs


@main.command()
@output.as_json_option
def config(as_json: bool) -> None:
    """Show the settings in effect, without their secrets."""
    with errors_in_one_line():
        current, from_file = settings.load(), dotenv_values(".env")
        effective = {
            "public_url": current.address,
            "sweep": current.sweep_every,
            "flavors_added_by": "staff" if current.staff_alone_add_flavors else "anyone",
        }
        rows = [
            {
                "setting": settings.VARIABLE_PREFIX + name.upper(),
                "value": _mask(effective.get(name, getattr(current, name)), current.secrets),
                "source": _source(settings.VARIABLE_PREFIX + name.upper(), from_file),
            }
            for name in current.__struct_fields__
        ]
        output.print_rows(rows, ("setting", "value", "source"), as_json=as_json)


def _mask(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, tuple):
        return [_mask(one, secrets) for one in value]
    if value in secrets:
        return logs.REDACTED
    return logs.redact(value) if isinstance(value, str) else value


def _source(variable: str, from_file: Mapping[str, str | None]) -> str:
    if os.environ.get(variable):
        return "environment"
    return ".env" if from_file.get(variable) else "default"


@main.group()
def db() -> None:
    """The database."""


@db.command()
@output.as_json_option
@with_database
async def check(as_json: bool) -> None:
    """Check that the database can be used.

    It answers, it has the tables of this version, it accepts writes, and its clock is right.
    """
    from icecream import bootstrap, database

    began = time.perf_counter()
    version = await database.read_version()
    round_trip = time.perf_counter() - began
    difference = await database.now() - datetime.now(UTC)
    await database.check_writable()
    facts = {
        "database": settings.load().database_label,
        "version": version,
        "migrations": len(bootstrap.all_migrations()),
        "writable": True,
        "round_trip_ms": round(round_trip * 1000, 1),
        # Without a sign if it is 0.
        "clock_difference_s": round(difference.total_seconds(), 1) + 0.0,
        "warnings": database.DB.warnings(),
    }
    output.print_facts(facts, as_json=as_json)
