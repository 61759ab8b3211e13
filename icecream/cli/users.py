"""Accounts: shops, staff and admins."""

import secrets
import sys

import click

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
@click.option("--staff", is_flag=True, help="Staff may use the admin and change the catalogue.")
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
@with_database
async def list_users() -> None:
    """List all accounts."""
    from icecream.tables import User

    for row in await User.objects().order_by(User.id):
        role = "customer"
        if row.admin:
            role = "admin" if row.superuser else "staff"
        state = "" if row.active else "  disabled"
        click.echo(f"{row.id:>6}  {row.username:<30}  {role:<8}  {row.email or ''}{state}")


@user.command()
@click.argument("name")
@click.option(
    "--password",
    help="Without it, the command asks for a password, or generates one and shows it once.",
)
@with_database
async def password(name: str, password: str | None) -> None:
    """Set a new password, and end all sessions and tokens of the account."""
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
