"""Accounts: creating, disabling and enabling them; passwords; admin sessions."""

import re

from icecream import database, errors, fields
from icecream.accounts import refresh_tokens, tokens
from icecream.runtime import passwords
from icecream.tables import SESSION_WRITE_INTERVAL, Session, User


async def find_session_user(session: str, *, is_use: bool = False) -> User | None:
    """Return the user of this admin session; after a use, its idle time begins again."""
    interval = SESSION_WRITE_INTERVAL if is_use else None
    user = await Session.get_user_id(session, interval) if session else None
    if user is None:
        return None
    return await User.objects().where(User.id == user, User.active.eq(True)).first()


async def create_user(
    name: str, password: str, *, email: str | None = None, staff: bool = False, admin: bool = False
) -> User:
    """Create an account.

    Raises:
        ValueError: the name or the password has a wrong length.
        errors.AccountExists: the name or the email is in use.
    """
    if len(name) > 100 or not re.search(fields.LINE_PATTERN, name):
        raise ValueError("A name must have 1 to 100 characters, without control characters.")
    if not fields.is_visible(name):
        raise ValueError("A name must have a visible character.")
    user = User(
        username=name,
        password=await passwords.hash_password(password),
        email=email or None,
        active=True,
        admin=staff or admin,
        superuser=admin,
    )
    try:
        await user.save()
    except database.CONSTRAINT_VIOLATIONS:
        raise errors.AccountExists() from None
    return user


async def find_user_id(name: str) -> int:
    """Return the id of the account with this name.

    Raises:
        errors.NotFound: there is no such account.
    """
    row = await User.select(User.id).where(User.username == name).first()
    if row is None:
        raise errors.NotFound(f"There is no account {name!r}.")
    user: int = row["id"]
    return user


async def set_password(user: int, password: str) -> None:
    """Change a password, and sign the user out everywhere.

    Raises:
        ValueError: the password is too short or too long.
    """
    hashed = await passwords.hash_password(password)

    async def change() -> None:
        await User.update({User.password: hashed}).where(User.id == user)
        await _end_sessions(user)

    await database.transaction(change)
    tokens.token_cache.forget(user)


async def disable_user(user: int, *, also_last_admin: bool = False) -> None:
    """Disable an account, and sign it out everywhere.

    Raises:
        errors.LastAdmin: it is the last active admin, and `also_last_admin` does not allow it.
    """

    async def change() -> None:
        if not also_last_admin:
            await require_another_admin(user)
        await User.update({User.active: False}).where(User.id == user)
        await _end_sessions(user)

    await database.transaction(change)
    tokens.token_cache.forget(user)


async def enable_user(user: int) -> None:
    """Let a disabled account sign in again."""
    await User.update({User.active: True}).where(User.id == user)


async def require_another_admin(user: int) -> None:
    """Lock all active admins, in a transaction that is going to disable this one.

    Two admins that disable each other at the same time wait for each other here.

    Raises:
        errors.LastAdmin: there is no other active admin.
    """
    admins = (User.active.eq(True), User.admin.eq(True), User.superuser.eq(True))
    rows = await database.for_no_key_update(User.select(User.id).where(*admins).order_by(User.id))
    if [row["id"] for row in rows] == [user]:
        raise errors.LastAdmin("This is the last active admin: create another one first.")


async def sign_out(user: int) -> None:
    """End all tokens and all admin sessions of a user."""
    await database.transaction(lambda: _end_sessions(user))
    # After the commit, so that the next check of a token finds that it has ended.
    tokens.token_cache.forget(user)


async def _end_sessions(user: int) -> None:
    await Session.delete().where(Session.user_id == user)
    await refresh_tokens.revoke_tokens(user)
