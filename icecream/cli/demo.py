"""`icecream demo`: creates a season of sample orders."""

import click

from icecream import settings
from icecream.cli.commands import main, with_database


@main.command()
@click.option(
    "--orders",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="The number of orders.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=180,
    show_default=True,
    help="The days up to now over which the orders are spread.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed creates the same season.")
@click.option("--yes", is_flag=True, help="Create the season even if orders exist.")
@with_database
async def demo(orders: int, days: int, seed: int, yes: bool) -> None:
    """Create a season of sample data.

    These are customers, flavors, stock and orders with their payments. It can run next to a running
    service, but only with simulated payments. The customers cannot sign in until they get a
    password. The data cannot be removed by a command.
    """
    from icecream import demo as seasons

    with click.progressbar(length=orders, label="Creating orders") as bar:
        counts = await seasons.create_season(
            orders, days, seed=seed, allow_existing=yes, on_batch=bar.update
        )
    address = settings.load().address
    click.echo(f"{sum(counts.values())} orders in {days} days:")
    for outcome, count in counts.most_common():
        click.echo(f"{count:>8}  {outcome}")
    click.echo(f"See them at\n  {address}/dashboard/\n  {address}/staff/orders/")
