"""Accounts: shops, staff and admins."""

import secrets
import sys

import click

from icecream.cli.commands import main, with_database


@main.group()
def user() -> None:
    """Accounts: shops, staff and admins."""


def _choose_password(password: str | None) -> tuple[str, bool]:
    """Return the password (given, prompted or generated), and whether it must be shown."""
    if password is not None:
        return password, False
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True), False
    return secrets.token_urlsafe(12), True


@user.command()
@click.argument("name")
@click.option("--password", help="Without it you are asked, or it is made up and shown once.")
@click.option("--email")
@click.option("--staff", is_flag=True, help="May use the admin and change the catalogue.")
@click.option("--admin", is_flag=True, help="Staff who may also manage accounts.")
@with_database
async def create(
    name: str, password: str | None, email: str | None, staff: bool, admin: bool
) -> None:
    """Make an account."""
    from icecream.accounts import users

    secret, made_up = _choose_password(password)
    await users.create(name, secret, email=email, staff=staff, admin=admin)
    click.echo(f"Made {name!r}" + (f", password {secret} (shown only this once)." * made_up or "."))


@user.command("list")
@with_database
async def list_users() -> None:
    """Show all accounts."""
    from icecream.tables import User

    for row in await User.objects().order_by(User.id):
        role = "admin" if row.superuser and row.admin else "staff" if row.admin else "customer"
        state = "" if row.active else "  disabled"
        click.echo(f"{row.id:>6}  {row.username:<30}  {role:<8}  {row.email or ''}{state}")


@user.command()
@click.argument("name")
@click.option("--password", help="Without it you are asked, or it is made up and shown once.")
@with_database
async def password(name: str, password: str | None) -> None:
    """Set a new password; ends every session and token given for the old one."""
    from icecream.accounts import users

    found = await users.named(name)
    secret, made_up = _choose_password(password)
    await users.set_password(found, secret)
    click.echo(
        f"Changed the password of {name!r}"
        + (f" to {secret} (shown only this once)." * made_up or ".")
    )


@user.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Also the last active admin.")
@with_database
async def disable(name: str, yes: bool) -> None:
    """Disable an account, and sign it out everywhere."""
    from icecream import errors
    from icecream.accounts import users

    try:
        await users.disable(await users.named(name), also_last_admin=yes)
    except errors.LastAdmin:
        raise ValueError(
            f"{name!r} is the last active admin: make another one first "
            "(`icecream user create NAME --admin`), or add --yes."
        ) from None
    click.echo(f"Disabled {name!r}.")


@user.command()
@click.argument("name")
@with_database
async def enable(name: str) -> None:
    """Let a disabled account sign in again, with its old password."""
    from icecream.accounts import users

    await users.enable(await users.named(name))
    click.echo(f"Enabled {name!r}.")
