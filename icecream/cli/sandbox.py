"""`icecream sandbox`: needs neither settings nor a database."""

import sys
from pathlib import Path

import click

from icecream.cli.commands import main


def _parse_rates(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    try:
        return {kind: float(rate) for kind, _, rate in (value.partition("=") for value in values)}
    except ValueError:
        raise click.BadParameter("must be FAULT=RATE, such as decline=0.1") from None


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=12111,
    show_default=True,
    help="0: any free port.",
)
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    default="var/sandbox.jsonl",
    show_default=True,
    help="The file in which it records its requests and payments.",
)
@click.option(
    "--key-life",
    default=86_400.0,
    show_default=True,
    help="Seconds until an idempotency key counts as new.",
)
@click.option("--webhook-url", help="The URL to which it sends webhooks.")
@click.option("--webhook-secret", default="whsec_sandbox", show_default=True)
@click.option(
    "--fault",
    "rates",
    multiple=True,
    callback=_parse_rates,
    help="FAULT=RATE, such as decline=0.1. Repeatable.",
)
@click.option(
    "--fault-amounts",
    is_flag=True,
    help="Let the last two digits of an amount select the fault: docs/providers.md.",
)
@click.option("--seed", default=0, show_default=True, help="The seed of the random faults.")
@click.option("--slow", default=2.0, show_default=True, help="Seconds that a slow response takes.")
@click.option(
    "--late", default=2.0, show_default=True, help="Seconds until a late request is carried out."
)
@click.option(
    "--search-lag",
    default=0.0,
    show_default=True,
    help="Seconds until a search finds a new payment.",
)
def sandbox(
    host: str,
    port: int,
    ledger: Path,
    key_life: float,
    webhook_url: str | None,
    webhook_secret: str,
    rates: dict[str, float],
    fault_amounts: bool,
    seed: int,
    slow: float,
    late: float,
    search_lag: float,
) -> None:
    """Run a payment provider for tests.

    It implements the part of Stripe's API that we use.
    """
    from icecream import sandbox as provider

    try:
        faults = provider.Faults(rates, by_amount=fault_amounts, seed=seed)
        ledger.parent.mkdir(parents=True, exist_ok=True)
        bank = provider.Bank(ledger, key_life)
    except (ValueError, OSError) as error:
        sys.exit(f"icecream: {error}")
    webhooks = provider.Webhooks(webhook_url, webhook_secret)
    handler = provider.RequestHandler(bank, faults, webhooks, slow=slow, late=late)
    app = provider.create_app(bank, handler, search_lag=search_lag)
    try:
        provider.run(app, host, port, f"Sandbox with ledger {ledger} listens on")
    except OSError as error:
        sys.exit(f"icecream: cannot listen on {host}:{port} ({error.strerror})")
