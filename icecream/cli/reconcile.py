"""`icecream reconcile`: compares our payments with the provider's list."""

import sys
from datetime import UTC, datetime, timedelta

import click
import msgspec

from icecream import settings
from icecream.cli import output
from icecream.cli.commands import main, with_database
from icecream.payments import providers


@main.command()
@click.option("--days", type=click.IntRange(1, 3650), default=3, help="How many days to look back.")
@click.option("--yes", is_flag=True, help="Carry out the plan.")
@output.as_json_option
@with_database
async def reconcile(days: int, yes: bool, as_json: bool) -> None:
    """Compare our payments with the provider's list.

    Prints the differences and what to do. Fails if anything is left to be done. With --json, each
    difference is one line.
    """
    provider = providers.create_provider(settings.load())
    if not provider.keeps_list:
        if not as_json:
            click.echo("The provider has no list of payments, so there is nothing to compare.")
        return
    try:
        left = await _compare(provider, timedelta(days=days), do=yes, as_json=as_json)
    except (providers.RetryLater, *providers.NO_ANSWER) as error:
        sys.exit(
            f"icecream: the provider did not return its list; try again in a few minutes: {error}"
        )
    finally:
        await provider.close()
    if not as_json:
        click.echo("Nothing is left to be done." if not left else f"{left} left to be done.")
    if left:
        sys.exit(1)


async def _compare(
    provider: providers.PaymentProvider, period: timedelta, *, do: bool, as_json: bool
) -> int:
    """Print the differences, and return how many are left."""
    from icecream.payments import reconciliation, remedies

    left, until = 0, datetime.now(UTC) - reconciliation.MIN_PAYMENT_AGE
    async for finding in reconciliation.find_differences(provider, until - period, until):
        outcome = await remedies.apply_remedy(provider, finding) if do else remedies.NOT_DONE
        if as_json:
            line = {"difference": str(finding), "outcome": outcome.text, "is_done": outcome.is_done}
            click.echo(msgspec.json.encode(line))
        else:
            click.echo(f"{finding}{outcome.text}")
        left += not outcome.is_done
    return left
