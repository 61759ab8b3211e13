"""`icecream import-django`: the move from the original service."""

import click

from icecream.cli.commands import main, with_database


@main.command("import-django")
@click.argument("address")
@click.option(
    "--place-pending",
    is_flag=True,
    help="Also place the orders that still wait for a payment, at the prices here. This charges.",
)
@with_database
async def import_django(address: str, place_pending: bool) -> None:
    """Import from the database of the original.

    This copies its accounts, flavors and orders.

    ADDRESS is the path of its SQLite file, or the URL of its PostgreSQL database
    (postgresql://...). It is only read. Stop both services first. Everything is imported, or
    nothing; a repeated import adds only what is new.
    """
    from icecream.django_import import importing, source

    async with source.open_source(address) as original:
        count, _ = await original.count_orders()
        with click.progressbar(length=count, label="Importing orders") as bar:
            report = await importing.import_all(
                original, place_pending=place_pending, on_orders=bar.update
            )
    for line in report.lines():
        click.echo(line)
