"""`icecream keys`: API keys of programs."""

from datetime import UTC, datetime, timedelta

import click

from icecream.cli import output
from icecream.cli.commands import main, with_database

SCOPES = ("read", "order", "staff")
COLUMNS = ("id", "user", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at")


@main.group()
def keys() -> None:
    """API keys of programs."""


@keys.command()
@click.argument("username")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What the key allows. Repeatable.",
)
@click.option("--days", type=click.IntRange(1, 36_500), help="The days until the key expires.")
@output.as_json_option
@with_database
async def create(
    username: str, name: str, scopes: tuple[str, ...], days: int | None, as_json: bool
) -> None:
    """Create a key for the account USERNAME, and show it once.

    NAME says what the key is for.
    """
    from icecream.accounts import api_keys, users

    end = datetime.now(UTC) + timedelta(days=days) if days else None
    user = await users.find_user_id(username)
    row, key = await api_keys.create_key(user, name, scopes, expires_at=end)
    if as_json:
        output.print_json(api_keys.as_shown(row) | {"key": key})
    else:
        click.echo(f"Created key {row['id']} for {username!r}: {key} (shown only once).")


@keys.command("list")
@click.argument("username", required=False)
@output.as_json_option
@with_database
async def list_keys(username: str | None, as_json: bool) -> None:
    """List the keys of an account, or of all accounts."""
    from icecream.accounts import api_keys, users
    from icecream.tables import ApiKey

    query = ApiKey.select(*api_keys.COLUMNS, ApiKey.user.username.as_alias("username"))
    query = query.where(api_keys.NOT_REVOKED).order_by(ApiKey.id)
    if username is not None:
        query = query.where(ApiKey.user == await users.find_user_id(username))
    rows = [api_keys.as_shown(row) | {"user": row["username"]} for row in await query]
    output.print_rows(rows, COLUMNS, as_json=as_json)


@keys.command()
@click.argument("key", type=click.IntRange(1))
@with_database
async def revoke(key: int) -> None:
    """Revoke the key with this id; it ends within a second."""
    from icecream import errors
    from icecream.accounts import api_keys

    try:
        await api_keys.revoke_key(key, user=None)
    except errors.NotFound:
        raise ValueError(f"there is no key {key}, or it is revoked.") from None
    click.echo(f"Revoked key {key}.")
