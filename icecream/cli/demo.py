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
    help="How many.",
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=180, show_default=True, help="Up to now."
)
@click.option("--seed", default=0, show_default=True, help="The same seed makes the same season.")
@click.option("--yes", is_flag=True, help="Also where there are orders already.")
@with_database
async def demo(orders: int, days: int, seed: int, yes: bool) -> None:
    """Make up a season: customers, flavors, stock, and orders with all that became of them.

    Works beside a running service, and only with simulated payments. Nobody can sign in as one of
    these customers until you give them a password. What was made cannot be told to go away again.
    """
    from icecream import demo as room

    with click.progressbar(length=orders, label="Making orders") as bar:
        made = await room.create_season(orders, days, seed=seed, again=yes, told=bar.update)
    address = settings.load().address
    click.echo(f"{sum(made.values())} orders in {days} days:")
    for fate, count in made.most_common():
        click.echo(f"{count:>8}  {fate}")
    click.echo(f"See them at\n  Dashboard {address}/dashboard/\n  Admin     {address}/admin/")
