"""`icecream webhooks`: the endpoints to which the events of orders are sent."""

from datetime import UTC, datetime
from typing import Any

import click
from msgspec.structs import asdict

from icecream.cli import output
from icecream.cli.commands import main, with_database

COLUMNS = ("id", "url", "types", "enabled", "failing_since", "disabled_reason")
DELIVERY_COLUMNS = ("id", "created_at", "type", "order", "state", "tries", "status_code", "error")
DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@main.group()
def webhooks() -> None:
    """Endpoints of webhooks: programs that receive events."""


@webhooks.command("list")
@output.as_json_option
@with_database
async def list_endpoints(as_json: bool) -> None:
    """List the endpoints of all accounts."""
    from icecream.webhooks import endpoints

    rows = [asdict(one) for one in await endpoints.list_endpoints(None)]
    output.print_rows(rows, COLUMNS, as_json=as_json)


@webhooks.command()
@click.argument("account")
@click.argument("url")
@click.option("--type", "types", multiple=True, help="A type of events, such as order.paid.")
@with_database
async def create(account: str, url: str, types: tuple[str, ...]) -> None:
    """Create an endpoint for an account, and show its secret once."""
    from icecream.accounts import users
    from icecream.webhooks import endpoint_types, endpoints

    new = endpoint_types.NewWebhookEndpoint(url, types=list(types) or None)
    created = await endpoints.create_endpoint(new, user=await users.find_user_id(account))
    click.echo(f"Created endpoint {created.id}, secret {created.secret} (shown only once).")


@webhooks.command()
@click.argument("endpoint", type=int)
@click.option(
    "--hours",
    type=click.IntRange(0, 168),
    default=24,
    show_default=True,
    help="How long the old secret signs too; 0 after a leak.",
)
@with_database
async def rotate(endpoint: int, hours: int) -> None:
    """Replace the secret of an endpoint, and show the new one once."""
    from icecream.webhooks import endpoints

    rotated = await endpoints.rotate_secret(endpoint, hours, user=None, by=None)
    click.echo(f"The secret of endpoint {endpoint} is {rotated.secret} (shown only once).")


async def _edit(endpoint: int, **changes: Any) -> None:
    from icecream.webhooks import endpoint_types, endpoints

    edit = endpoint_types.WebhookEndpointEdit(**changes)
    await endpoints.edit_endpoint(endpoint, edit, user=None, by=None)


@webhooks.command()
@click.argument("endpoint", type=int)
@with_database
async def enable(endpoint: int) -> None:
    """Enable an endpoint; its pending messages are sent at once."""
    await _edit(endpoint, enabled=True)
    click.echo(f"Enabled endpoint {endpoint}.")


@webhooks.command()
@click.argument("endpoint", type=int)
@with_database
async def disable(endpoint: int) -> None:
    """Disable an endpoint."""
    await _edit(endpoint, enabled=False)
    click.echo(f"Disabled endpoint {endpoint}.")


@webhooks.command()
@click.argument("endpoint", type=int)
@with_database
async def delete(endpoint: int) -> None:
    """Delete an endpoint and its messages."""
    from icecream.webhooks import endpoints

    await endpoints.delete_endpoint(endpoint, user=None, by=None)
    click.echo(f"Deleted endpoint {endpoint}.")


@webhooks.command()
@click.argument("endpoint", type=int)
@with_database
async def test(endpoint: int) -> None:
    """Send a test message to an endpoint."""
    from icecream.webhooks import deliveries

    queued = await deliveries.send_test(endpoint, user=None)
    click.echo(f"Queued message {queued.message}; `icecream webhooks deliveries {endpoint}`.")


@webhooks.command("deliveries")
@click.argument("endpoint", type=int)
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@output.as_json_option
@with_database
async def list_deliveries(endpoint: int, limit: int, as_json: bool) -> None:
    """List the newest messages to an endpoint, with their answers."""
    from icecream.webhooks import deliveries, endpoints

    await endpoints.get_endpoint(endpoint, user=None)
    rows = [asdict(one) for one in await deliveries.list_deliveries(endpoint, limit=limit)]
    output.print_rows(rows, DELIVERY_COLUMNS, as_json=as_json)


@webhooks.command("replay")
@click.argument("endpoint", type=int)
@click.option("--delivery", type=int, help="The number of one message in the list of deliveries.")
@click.option("--since", type=click.DateTime(DAYS), help="Begin of a period, in UTC.")
@click.option("--until", type=click.DateTime(DAYS), help="End of the period; without it, now.")
@with_database
async def replay(
    endpoint: int, delivery: int | None, since: datetime | None, until: datetime | None
) -> None:
    """Send one message again, or all events of a period."""
    from icecream.webhooks import replaying

    if (delivery is None) == (since is None):
        raise ValueError("choose a message with --delivery, or a period with --since.")
    if delivery is not None:
        wanted = replaying.WebhookReplay(delivery=delivery)
    else:
        assert since is not None
        end = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
        wanted = replaying.WebhookReplay(since=since.replace(tzinfo=UTC), until=end)
    queued = (await replaying.replay(endpoint, wanted, user=None, by=None)).queued
    click.echo(f"Queued {queued} messages.")
