"""The `icecream` command."""

import asyncio
import json
import sys
from typing import Any

import click

from icecream import settings
from icecream.cli import demo, reconcile, sandbox, serve, users, worker
from icecream.cli.commands import errors_in_one_line, main, with_database

__all__ = ["demo", "main", "reconcile", "sandbox", "serve", "users", "worker"]


@main.command()
def migrate() -> None:
    """Migrate the database; a new one also gets its first admin and flavor."""

    async def run() -> None:
        from icecream import bootstrap, database

        async with database.open_pool("migrate", no_time_limit=True):
            await bootstrap.migrate(click.echo)

    with errors_in_one_line():
        asyncio.run(run())
    click.echo("The database is up to date.")


@main.command()
@click.option("--repair", is_flag=True, help="Show which broken rules can be repaired.")
@click.option("--yes", is_flag=True, help="With --repair: repair them.")
@with_database
async def doctor(repair: bool, yes: bool) -> None:
    """Check that orders, payments, jobs, stock, history and totals agree; fail if they do not."""
    from icecream import database
    from icecream.integrity import doctor
    from icecream.integrity import repair as repairs

    if yes and not repair:
        raise ValueError("--yes requires --repair.")
    click.echo(f"Checking {settings.load().database_label}")
    for warning in database.DB.warnings():
        click.echo(f"WARNING {warning}")
    broken = await doctor.find_violations()
    _print_violations(broken)
    for rule in broken if repair else ():
        result = "can be repaired" if repairs.is_repairable(rule) else "needs manual review"
        click.echo(f"REPAIR  {rule}: {result}")
    if yes and broken:
        for rule, why in (await repairs.repair_rules(broken)).items():
            click.echo(f"FAILED  {rule}: {why}")
        click.echo("After the repair:")
        broken = await doctor.find_violations()
        _print_violations(broken)
    if broken:
        click.echo(f"{len(broken)} of {len(doctor.RULES)} rules are broken.")
        sys.exit(1)
    click.echo(f"{len(doctor.RULES)} rules: every rule holds.")


def _print_violations(broken: dict[str, list[tuple[object, ...]]]) -> None:
    from icecream.integrity import advice

    for rule, rows in broken.items():
        ids = [str(row[0]) for row in rows[:10]]
        if len(rows) > len(ids):
            ids.append("...")
        click.echo(f"BROKEN  {rule}: {len(rows)} ({', '.join(ids)})")
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
