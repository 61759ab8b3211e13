"""Money: our payments beside the provider's list."""

import sys
from datetime import UTC, datetime, timedelta

import click

from icecream import gateway, settings
from icecream.cli.commands import main, with_database


@main.command()
@click.option("--days", type=click.IntRange(1, 3650), default=3, help="How far to look back.")
@click.option("--yes", is_flag=True, help="Do what the plan says.")
@with_database
async def reconcile(days: int, yes: bool) -> None:
    """Compare our payments with the provider's list, and print the plan.

    Fails if anything is left to be done.
    """
    provider = gateway.chosen(settings.load())
    if not provider.keeps_list:
        click.echo("The provider keeps no list: there is nothing to compare.")
        return
    try:
        left = await _compare(provider, timedelta(days=days), do=yes)
    finally:
        await provider.close()
    click.echo("Nothing is left to be done." if not left else f"{left} left to be done.")
    if left:
        sys.exit(1)


async def _compare(provider: gateway.Gateway, period: timedelta, *, do: bool) -> int:
    """How many differences are left."""
    from icecream.payments import reconciliation

    left, until = 0, datetime.now(UTC) - reconciliation.YOUNG
    async for finding in reconciliation.compare(provider, until - period, until):
        said, done = "", False
        if do and finding.what != "look":
            said, done = await _carry_out(provider, finding)
        click.echo(f"{finding}{said}")
        left += not done
    return left


async def _carry_out(provider: gateway.Gateway, finding: object) -> tuple[str, bool]:
    from icecream.payments import reconciliation

    assert isinstance(finding, reconciliation.Finding)
    if finding.what == "adopt":
        await reconciliation.adopt(finding)
        return " - adopted", True
    try:
        answer = await reconciliation.give_back(provider, finding)
    except (gateway.Unknown, gateway.Later, OSError, TimeoutError) as error:
        return f" - nobody knows whether it was refunded, do it again: {error!r}", False
    if isinstance(answer, gateway.Declined):
        return f" - the refund was declined: {answer.reason}", False
    return " - refunded", True
