"""The `icecream` command."""

import asyncio
import json
import sys
from typing import Any

import click

from icecream import settings
from icecream.cli import demo, reconcile, sandbox, serve, users
from icecream.cli.commands import errors_in_one_line, main, with_database

__all__ = ["demo", "main", "reconcile", "sandbox", "serve", "users"]


@main.command()
def migrate() -> None:
    """Bring the database up to date; an empty one also gets its first admin and flavor."""

    async def run() -> None:
        from icecream import bootstrap, database

        async with database.running("migrate", patient=True):
            await bootstrap.migrate(click.echo)

    with errors_in_one_line():
        asyncio.run(run())
    click.echo("The database is up to date.")


@main.command()
@click.option("--repair", "mend", is_flag=True, help="Show what can be put right.")
@click.option("--yes", is_flag=True, help="With --repair: do it.")
@with_database
async def doctor(mend: bool, yes: bool) -> None:
    """Check that orders, payments, jobs, stock, history and totals agree; fails if they do not."""
    from icecream import database
    from icecream.integrity import doctor, repair

    if yes and not mend:
        raise ValueError("--yes goes with --repair.")
    click.echo(f"Checking {settings.load().database_label}")
    for warning in database.DB.warnings():
        click.echo(f"WARNING {warning}")
    broken = await doctor.examine()
    _print_violations(broken)
    for rule in broken if mend else ():
        what = "is made anew" if repair.is_repairable(rule) else "a person has to look"
        click.echo(f"REPAIR  {rule}: {what}")
    if yes and broken:
        for rule, why in (await repair.repair_rules(broken)).items():
            click.echo(f"FAILED  {rule}: {why}")
        click.echo("Repaired what can be; now:")
        broken = await doctor.examine()
        _print_violations(broken)
    if broken:
        click.echo(f"{len(broken)} of {len(doctor.RULES)} rules are broken.")
        sys.exit(1)
    click.echo(f"{len(doctor.RULES)} rules: every rule holds.")


def _print_violations(broken: dict[str, list[tuple[object, ...]]]) -> None:
    from icecream.integrity import advice

    for rule, rows in broken.items():
        some = ", ".join(str(row[0]) for row in rows[:10])
        click.echo(f"BROKEN  {rule}: {len(rows)} ({some}{', ...' * (len(rows) > 10)})")
        click.echo(f"TO DO   {advice.ADVICE[rule]}")


def _openapi_document() -> dict[str, Any]:
    from icecream import app

    return app.litestar().openapi_schema.to_schema()


@main.command()
def openapi() -> None:
    """Print the API's OpenAPI document."""
    with errors_in_one_line():
        click.echo(json.dumps(_openapi_document(), indent=2))


@main.command()
def postman() -> None:
    """Print a Postman collection of the API."""
    with errors_in_one_line():
        from icecream.cli import postman_collection

        click.echo(
            json.dumps(
                postman_collection.build_collection(_openapi_document(), settings.load().address),
                indent=2,
            )
        )
