"""`icecream sandbox`: requires neither settings nor a database."""

import sys
from pathlib import Path

import click

from icecream.cli.commands import main


def _rates(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> dict[str, float]:
    try:
        return {kind: float(rate) for kind, _, rate in (one.partition("=") for one in given)}
    except ValueError:
        raise click.BadParameter("write it as decline=0.1") from None


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=12111,
    show_default=True,
    help="0: any that is free.",
)
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    default="var/sandbox.jsonl",
    show_default=True,
    help="Where it keeps what it did.",
)
@click.option(
    "--key-life", default=86_400.0, show_default=True, help="Seconds that a key is remembered."
)
@click.option("--webhook-url", help="Where it tells what happened.")
@click.option("--webhook-secret", default="whsec_sandbox", show_default=True)
@click.option("--fault", "rates", multiple=True, callback=_rates, help="KIND=RATE, several times.")
@click.option("--fault-amounts", is_flag=True, help="By the last two digits: docs/providers.md.")
@click.option("--seed", default=0, show_default=True, help="Of the faults by rate.")
@click.option("--slow", default=2.0, show_default=True, help="Seconds that a slow answer takes.")
@click.option("--late", default=2.0, show_default=True, help="Seconds until late things happen.")
@click.option("--search-lag", default=0.0, show_default=True, help="Seconds until it finds by key.")
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
    """Be a payment provider to try things with: speaks the part of Stripe's API that we use."""
    from icecream import sandbox as room

    try:
        faults = room.Faults(rates, by_amount=fault_amounts, seed=seed)
        ledger.parent.mkdir(parents=True, exist_ok=True)
        bank = room.Bank(ledger, key_life)
    except (ValueError, OSError) as error:
        sys.exit(f"icecream: {error}")
    webhooks = room.Webhooks(webhook_url, webhook_secret)
    desk = room.Desk(bank, faults, webhooks, slow=slow, late=late)
    app = room.create(bank, desk, search_lag=search_lag)
    try:
        room.run(app, host, port, f"Sandbox, its ledger in {ledger}, at")
    except OSError as error:
        sys.exit(f"icecream: cannot listen on {host}:{port} ({error.strerror})")
