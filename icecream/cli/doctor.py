"""`icecream doctor`: checks the invariants of the tables, and repairs what can be repaired."""

import sys
from collections.abc import Callable
from typing import Any

import click

from icecream import settings
from icecream.cli import output
from icecream.cli.commands import main, with_database

Echo = Callable[[str], None]
Violations = dict[str, list[tuple[object, ...]]]
# The rows of a broken rule that are printed.
MAX_PRINTED_ROWS = 10


@main.command()
@click.option("--repair", is_flag=True, help="Show which broken rules can be repaired.")
@click.option("--yes", is_flag=True, help="With --repair: repair them.")
@output.as_json_option
@with_database
async def doctor(repair: bool, yes: bool, as_json: bool) -> None:
    """Check that all tables agree; fail if they do not.

    These are orders, payments, jobs, stock, history and totals.
    """
    from icecream.integrity import doctor
    from icecream.integrity import repair as repairs

    if yes and not repair:
        raise ValueError("--yes requires --repair.")
    # With --json, only the report at the end is printed.
    echo = _ignore if as_json else click.echo
    _print_start(echo)
    broken, failed = await doctor.find_violations(), dict[str, str]()
    _print_violations(echo, broken)
    for rule in broken if repair else ():
        result = "can be repaired" if repairs.is_repairable(rule) else "needs manual review"
        echo(f"REPAIR  {rule}: {result}")
    if yes and broken:
        failed = await repairs.repair_rules(broken)
        for rule, why in failed.items():
            echo(f"FAILED  {rule}: {why}")
        echo("After the repair:")
        broken = await doctor.find_violations()
        _print_violations(echo, broken)
    if as_json:
        output.print_json(_report(broken, failed))
    if broken:
        echo(f"{len(broken)} of {len(doctor.RULES)} rules are broken.")
        sys.exit(1)
    echo(f"{len(doctor.RULES)} rules: every rule holds.")


def _ignore(line: str) -> None:
    """Print nothing."""


def _print_start(echo: Echo) -> None:
    from icecream import database

    echo(f"Checking {settings.load().database_label}")
    for warning in database.DB.warnings():
        echo(f"WARNING {warning}")


def _print_violations(echo: Echo, broken: Violations) -> None:
    from icecream.integrity import advice

    for rule, rows in broken.items():
        ids = [str(row[0]) for row in rows[:MAX_PRINTED_ROWS]]
        if len(rows) > len(ids):
            ids.append("...")
        echo(f"BROKEN  {rule}: {len(rows)} ({', '.join(ids)})")
        echo(f"TO DO   {advice.ADVICE[rule]}")


def _report(broken: Violations, failed: dict[str, str]) -> dict[str, Any]:
    """Return the findings as JSON; after a repair, those that are left."""
    from icecream import database
    from icecream.integrity import advice, doctor
    from icecream.integrity import repair as repairs

    return {
        "database": settings.load().database_label,
        "warnings": database.DB.warnings(),
        "rules": len(doctor.RULES),
        "broken": [
            {
                "rule": rule,
                "rows": [row[0] for row in rows],
                "advice": advice.ADVICE[rule],
                "is_repairable": repairs.is_repairable(rule),
                "failed_repair": failed.get(rule),
            }
            for rule, rows in broken.items()
        ],
    }
