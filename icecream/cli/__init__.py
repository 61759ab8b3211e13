"""The `icecream` command."""

import asyncio
import json
from typing import Any

import click

from icecream import settings
from icecream.cli import (
    bulk,
    demo,
    doctor,
    events,
    import_django,
    installation,
    keys,
    lists,
    reconcile,
    sandbox,
    serve,
    users,
    webhooks,
    worker,
)
from icecream.cli.commands import errors_in_one_line, main

__all__ = [
    "bulk",
    "demo",
    "doctor",
    "events",
    "import_django",
    "installation",
    "keys",
    "lists",
    "main",
    "reconcile",
    "sandbox",
    "serve",
    "users",
    "webhooks",
    "worker",
]


@main.command()
def migrate() -> None:
    """Create or migrate the database.

    A new one also gets its first admin and flavor.
    """

    async def run() -> None:
        from icecream import bootstrap, database

        async with database.open_pool("migrate", no_time_limit=True):
            await bootstrap.migrate(click.echo)

    with errors_in_one_line():
        asyncio.run(run())
    click.echo("The database is up to date.")


def _openapi_document() -> dict[str, Any]:
    from icecream import app

    return app.litestar().openapi_schema.to_schema()


@main.command("openapi")
@click.option("--json-bodies", is_flag=True, help="Without forms, for generators of clients.")
def print_openapi(json_bodies: bool) -> None:
    """Print the API's OpenAPI document."""
    with errors_in_one_line():
        document = _openapi_document()
        if json_bodies:
            from icecream.http import openapi

            document = openapi.for_generators(document)
        click.echo(json.dumps(document, indent=2))


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
