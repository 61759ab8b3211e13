"""`icecream events`: the events of all orders, as they happen."""

import asyncio
from typing import Any

import click
import msgspec

from icecream.cli import output
from icecream.cli.commands import main, with_database

# Without a position, the command begins this many events before the end.
LAST_EVENTS = 10
POLL_SECONDS = 0.5
# The columns of the table with their widths. Lines are printed one by one, so they cannot depend on
# all rows; a longer text moves the rest of its line.
COLUMNS = {"position": 10, "at": 20, "type": 16, "order": 10, "user": 8, "status": 10}
NUMERIC = [name in ("position", "order", "user") for name in COLUMNS]


@main.command()
@click.option(
    "--after", type=click.IntRange(0), help="Begin after this position; by default near the end."
)
@click.option("--follow", is_flag=True, help="Wait for new events, until interrupted.")
@output.as_json_option
@with_database
async def events(after: int | None, follow: bool, as_json: bool) -> None:
    """Show the events of orders, in the sequence of the feed.

    To continue later without missing or repeating an event, use the position of the last one as
    --after. With --json, each event is one line.
    """
    from icecream.feed import events as feed

    end = (await feed.read_last_event()).position
    position = max(0, end - LAST_EVENTS) if after is None else after
    if not as_json:
        output.print_line([name.upper() for name in COLUMNS], [*COLUMNS.values()], NUMERIC)
    while True:
        published = await _read(position)
        for event in published:
            _print_event({"position": event.position} | msgspec.to_builtins(event.data), as_json)
            position = event.position
        if not published and not follow:
            return
        if not published:
            await asyncio.sleep(POLL_SECONDS)


async def _read(position: int) -> list[Any]:
    """Return the next events; none while the database is unavailable, which the log reports."""
    from icecream import database
    from icecream.feed import events as feed
    from icecream.runtime import logs

    try:
        return await feed.read_events(position, position + feed.MAX_EVENTS_PER_READ)
    except database.DATABASE_UNAVAILABLE as error:
        logs.DATABASE_OUTAGE.record_failure(error)
        return []


def _print_event(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(event))
        return
    shown = event | {"at": event["at"][:19].replace("T", " ") + "Z"}
    texts = [output.as_text(shown[name]) for name in COLUMNS]
    output.print_line(texts, [*COLUMNS.values()], NUMERIC)
