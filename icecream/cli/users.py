"""Accounts: shops, staff and admins."""

import secrets
import sys
from typing import Any

import click

from icecream.cli import output
from icecream.cli.commands import main, with_database


@main.group()
def user() -> None:
    """Accounts: shops, staff and admins."""


def _choose_password(password: str | None) -> tuple[str, bool]:
    """Return the password (passed, prompted or generated), and whether it must be shown."""
    if password is not None:
        return password, False
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True), False
    return secrets.token_urlsafe(12), True


@user.command()
@click.argument("name")
@click.option(
    "--password",
    help="Without it, the command asks for a password, or generates one and shows it once.",
)
@click.option("--email")
@click.option(
    "--staff", is_flag=True, help="Staff use the pages for staff and change the catalogue."
)
@click.option("--admin", is_flag=True, help="An admin is staff, and may also manage accounts.")
@with_database
async def create(
    name: str, password: str | None, email: str | None, staff: bool, admin: bool
) -> None:
    """Create an account."""
    from icecream.accounts import users

    secret, is_generated = _choose_password(password)
    await users.create_user(name, secret, email=email, staff=staff, admin=admin)
    if is_generated:
        click.echo(f"Created {name!r}, password {secret} (shown only once).")
    else:
        click.echo(f"Created {name!r}.")


@user.command("list")
@output.as_json_option
@with_database
async def list_users(as_json: bool) -> None:
    """List all accounts."""
    from icecream.tables import User

    columns = (User.id, User.username, User.email, User.active, User.admin, User.superuser)
    rows = [row | {"role": _role(row)} for row in await User.select(*columns).order_by(User.id)]
    output.print_rows(rows, ("id", "username", "role", "email", "active"), as_json=as_json)


def _role(row: dict[str, Any]) -> str:
    if not row["admin"]:
        return "customer"
    return "admin" if row["superuser"] else "staff"


@user.command()
@click.argument("name")
@click.option(
    "--password",
    help="Without it, the command asks for a password, or generates one and shows it once.",
)
@with_database
async def password(name: str, password: str | None) -> None:
    """Set a new password, and sign the account out.

    All its sessions and tokens end. Its API keys remain.
    """
    from icecream.accounts import users

    user_id = await users.find_user_id(name)
    secret, is_generated = _choose_password(password)
    await users.set_password(user_id, secret)
    if is_generated:
        click.echo(f"Changed the password of {name!r} to {secret} (shown only once).")
    else:
        click.echo(f"Changed the password of {name!r}.")


@user.command()
@click.argument("name")
@with_database
async def link(name: str) -> None:
    """Print a link with which the user sets a new password.

    It works once, within 48 hours.
    """
    from icecream.accounts import password_links, users

    created = await password_links.create_link(await users.find_user_id(name), by=None)
    click.echo(f"{created.address}\nIt works once, until {created.expires_at:%Y-%m-%d %H:%M} UTC.")


@user.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Disable even the last active admin.")
@with_database
async def disable(name: str, yes: bool) -> None:
    """Disable an account, and sign it out everywhere."""
    from icecream import errors
    from icecream.accounts import users

    try:
        await users.disable_user(await users.find_user_id(name), also_last_admin=yes)
    except errors.LastAdmin:
        raise ValueError(
            f"{name!r} is the last active admin: create another one first "
            "(`icecream user create NAME --admin`), or add --yes."
        ) from None
    click.echo(f"Disabled {name!r}.")


@user.command()
@click.argument("name")
@with_database
async def enable(name: str) -> None:
    """Enable a disabled account; its password is unchanged."""
    from icecream.accounts import users

    await users.enable_user(await users.find_user_id(name))
    click.echo(f"Enabled {name!r}.")
